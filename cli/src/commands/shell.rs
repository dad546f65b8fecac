//! `iono shell`: a command in a service, with or without a terminal; its exit code is passed through.

use std::io::IsTerminal;

use futures::StreamExt;
use iono_lease_api::{ShellInput, ShellOutput, ShellRequest, TtySize};
use nix::sys::termios::{self, SetArg, Termios};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::args::lease::Shell;
use crate::context::Context;
use crate::error::{Context as _, Failure, Kind, Result};
use crate::output::{Report, write_out};
use crate::remote::{self, Need, Remote, Remotely};

/// Most output that `--json` keeps in memory, per stream.
const CAPTURE: usize = 16 << 20;
/// Bytes of input per message.
const PIECE: usize = 16 << 10;

pub(crate) async fn run(context: &Context, args: &Shell) -> Result<Report> {
    let chain = context.chain().await?;
    let remote = Remote::open(context, &chain, args.lease, Need::Write).await?;
    let service = match &args.service {
        Some(service) => service.clone(),
        None => only_service(&remote).await?,
    };
    let command = if args.command.is_empty() { vec!["/bin/sh".to_owned()] } else { args.command.clone() };
    let at_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let wants = if args.tty { true } else { !args.no_tty && at_terminal };
    let tty = (wants && !context.output.json).then(size);
    let request = ShellRequest { service, replica: args.replica, command, tty };
    let session = remote.client.shell(remote.lease, &request).await.or_remote("the shell did not start")?;
    // Raw only once the far end is there, so that errors before look as they should.
    let raw = if tty.is_some() && std::io::stdin().is_terminal() { Some(Raw::enter()?) } else { None };
    let input = tokio::spawn(feed(session.input, tty.is_some()));
    let mut captured = Captured::default();
    let mut output = session.output;
    let mut code = None;
    while let Some(item) = output.next().await {
        match item.or_remote("the shell was cut off")? {
            ShellOutput::Stdout(bytes) if context.output.json => captured.stdout(&bytes)?,
            ShellOutput::Stderr(bytes) if context.output.json => captured.stderr(&bytes)?,
            ShellOutput::Stdout(bytes) => write_out(&bytes, false)?,
            ShellOutput::Stderr(bytes) => write_err(&bytes),
            ShellOutput::Exit(exit) => code = Some(exit),
        }
    }
    input.abort();
    drop(raw);
    let code = code.ok_or_else(|| Failure::new(Kind::Provider, "the shell ended without an exit code"))?;
    let status = u8::try_from(code.rem_euclid(256)).unwrap_or(1);
    if context.output.json {
        let json = json!({
            "exit_code": code,
            "stdout": String::from_utf8_lossy(&captured.stdout),
            "stderr": String::from_utf8_lossy(&captured.stderr),
        });
        return Ok(Report { status, ..Report::new(&json, "") });
    }
    Ok(Report::streamed(status))
}

/// The lease's only service.
pub(crate) async fn only_service(remote: &Remote) -> Result<String> {
    let status = remote
        .client
        .status(remote.lease)
        .await
        .map_err(|error| remote::failure("the provider does not say which services there are", error))?;
    let names: Vec<&str> = status.services.iter().map(|service| service.name.as_str()).collect();
    match names.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => Err(Failure::new(Kind::NotFound, format!("lease {} runs no service yet", remote.lease))
            .hint("`iono status` shows what it is doing")),
        several => Err(Failure::new(
            Kind::Usage,
            format!("lease {} has several services: {}", remote.lease, several.join(", ")),
        )
        .hint("say which with --service")),
    }
}

/// Output kept for `--json`.
#[derive(Default)]
struct Captured {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Captured {
    fn stdout(&mut self, bytes: &[u8]) -> Result<()> {
        keep(&mut self.stdout, bytes)
    }

    fn stderr(&mut self, bytes: &[u8]) -> Result<()> {
        keep(&mut self.stderr, bytes)
    }
}

fn keep(kept: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
    if kept.len() + bytes.len() > CAPTURE {
        return Err(Failure::new(Kind::Failed, format!("the command wrote more than {CAPTURE} bytes"))
            .hint("run it without --json"));
    }
    kept.extend_from_slice(bytes);
    Ok(())
}

fn write_err(bytes: &[u8]) {
    use std::io::Write;
    let mut stderr = std::io::stderr().lock();
    // Nobody is left to tell when stderr is gone.
    let _ = stderr.write_all(bytes).and_then(|()| stderr.flush());
}

/// Standard input and, with a terminal, its changes of size; ends when the command does.
async fn feed(input: mpsc::Sender<ShellInput>, tty: bool) {
    let mut resized = if tty { signal(SignalKind::window_change()).ok() } else { None };
    let mut stdin = tokio::io::stdin();
    let mut buffer = vec![0; PIECE];
    loop {
        let message = tokio::select! {
            read = stdin.read(&mut buffer) => match read {
                Ok(0) | Err(_) => ShellInput::Eof,
                Ok(count) => ShellInput::Stdin(buffer[..count].to_vec().into()),
            },
            () = next(&mut resized) => ShellInput::Resize(size()),
        };
        let last = message == ShellInput::Eof;
        if input.send(message).await.is_err() {
            return;
        }
        if last {
            // Dropping the sender would be no end of input, but there is nothing more to say.
            std::future::pending::<()>().await;
        }
    }
}

async fn next(signal: &mut Option<tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// The terminal's size; a usual one where there is none.
fn size() -> TtySize {
    terminal_size::terminal_size()
        .map_or_else(TtySize::default, |(columns, rows)| TtySize { rows: rows.0, columns: columns.0 })
}

/// The terminal in raw mode, put back when dropped.
struct Raw(Termios);

impl Raw {
    fn enter() -> Result<Self> {
        let stdin = std::io::stdin();
        let old = termios::tcgetattr(&stdin).or_fail(Kind::Failed, "cannot read the terminal's settings")?;
        let mut raw = old.clone();
        termios::cfmakeraw(&mut raw);
        termios::tcsetattr(&stdin, SetArg::TCSANOW, &raw).or_fail(Kind::Failed, "cannot set the terminal")?;
        Ok(Self(old))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // There is no better thing to do with a terminal that cannot be put back.
        let _ = termios::tcsetattr(std::io::stdin(), SetArg::TCSANOW, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captured_output_is_bounded() {
        let mut captured = Captured::default();
        captured.stdout(&vec![0; CAPTURE]).unwrap();
        assert_eq!(captured.stdout(&[0]).unwrap_err().kind, Kind::Failed);
        captured.stderr(b"room here").unwrap();
    }
}
