//! Commands in replicas.
//!
//! No API ends a command whose reader has gone, so that commands carry a mark in their environment by which a second one
//! finds and ends them. That takes a shell in the container; without one the command is started as it is, and goes on.

use std::sync::Arc;

use futures::stream::{self, StreamExt};
use iono_primitives::LeaseId;
use iono_runtime::{ExecInput, ExecOutput, ExecRequest, ExecSession, OutputKind, RuntimeError, TtySize, now};
use k8s_openapi::api::core::v1::Pod;
use kube::core::Status;
use serde_json::json;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::cluster::PATIENCE;
use crate::inner::{Inner, name_of};
use crate::spdy::{self, CHUNK, Encoder, Frame};
use crate::streams::{Connection, connect};

/// Pieces of input and output that wait for their reader.
const WAITING: usize = 32;
/// How long output may still come after the word that the command ended.
const LAST: std::time::Duration = std::time::Duration::from_millis(500);
const SHELL: &str = "/bin/sh";
/// The mark's variable.
const MARK: &str = "IONO_SESSION";

/// The streams of a command, by number: the client's are odd.
const ERROR: u32 = 1;
const STDIN: u32 = 3;
const STDOUT: u32 = 5;
const STDERR: u32 = 7;
const RESIZE: u32 = 9;

impl Inner {
    /// See [`iono_runtime::Runtime::exec`].
    pub(crate) async fn exec(
        self: &Arc<Self>,
        lease: LeaseId,
        request: ExecRequest,
    ) -> Result<ExecSession, RuntimeError> {
        let pod = self.running(lease, &request.service, request.replica).await?;
        let space = self.names.namespace(lease);
        let mark = format!("{:x}-{}", now(), uuid(&pod));
        let shell = self.has_shell(&space, &pod).await?;
        let command = if shell {
            let line = format!("export {MARK}={mark}; exec \"$@\"");
            [vec![SHELL.to_owned(), "-c".to_owned(), line, "sh".to_owned()], request.command].concat()
        } else {
            request.command
        };
        let (session, dropped) = self.session(&space, &pod, &command, request.tty).await?;
        if shell {
            let this = Arc::clone(self);
            tokio::spawn(async move {
                if dropped.await.is_err() {
                    return;
                }
                let line = format!(
                    "for f in $(grep -ls {MARK}={mark} /proc/[0-9]*/environ); do p=${{f#/proc/}}; kill -9 ${{p%/environ}}; done"
                );
                if let Err(error) = this.run(&space, &pod, &line).await {
                    tracing::debug!(%lease, pod = name_of(&pod), %error, "a command that nobody reads may go on");
                }
            });
        }
        Ok(session)
    }

    /// Starts a command; the receiver hears of it when the session is dropped before the command's end.
    pub(crate) async fn session(
        &self,
        space: &str,
        pod: &Pod,
        command: &[String],
        tty: Option<TtySize>,
    ) -> Result<(ExecSession, oneshot::Receiver<()>), RuntimeError> {
        let client = self.cluster.streams().await?;
        let connection = connect(&client, space, name_of(pod), command, tty.is_some()).await?;
        let (reader, writer) = tokio::io::split(connection);
        let (frames, to_write) = mpsc::channel(WAITING);
        let (input, inputs) = mpsc::channel(WAITING);
        let (outputs, output) = mpsc::channel(WAITING);
        let (over, (gone, dropped)) = (CancellationToken::new(), oneshot::channel());
        open(&frames, tty).await?;
        tokio::spawn(over.clone().run_until_cancelled_owned(write(writer, to_write)));
        tokio::spawn(over.clone().run_until_cancelled_owned(pump(inputs, frames.clone())));
        let ended = over.clone();
        tokio::spawn(async move {
            let last = tokio::select! {
                last = follow(reader, &outputs, &frames) => Some(last),
                () = outputs.closed() => None,
            };
            match last {
                // Nobody listens is the same as gone.
                Some(last) => drop(outputs.send(last).await),
                None => drop(gone.send(())),
            }
            ended.cancel();
        });
        let output = stream::unfold(output, |mut output| async move { Some((output.recv().await?, output)) });
        Ok((ExecSession { input, output: output.boxed() }, dropped))
    }

    /// Runs a line of shell to its end; its exit code.
    pub(crate) async fn run(&self, space: &str, pod: &Pod, line: &str) -> Result<i64, RuntimeError> {
        let command = [SHELL, "-c", line].map(str::to_owned);
        let (mut session, _) = self.session(space, pod, &command, None).await?;
        let end = async {
            while let Some(output) = session.output.next().await {
                if let ExecOutput::Exit(code) = output? {
                    return Ok(code);
                }
            }
            Err(broken("it ended without the command's end"))
        };
        tokio::time::timeout(PATIENCE, end).await.unwrap_or_else(|_| Err(broken("the command does not end")))
    }

    /// Whether a container has a shell, asked once of each.
    async fn has_shell(&self, space: &str, pod: &Pod) -> Result<bool, RuntimeError> {
        let id = uuid(pod).to_owned();
        if let Some(known) = self.shells().get(&id) {
            return Ok(*known);
        }
        let found = match self.run(space, pod, ":").await {
            Ok(code) => code == 0,
            Err(RuntimeError::Refused(_)) => false,
            Err(error) => return Err(error),
        };
        let mut shells = self.shells();
        // Pods come and go; what is forgotten is asked again.
        if shells.len() >= 1_000 {
            shells.clear();
        }
        shells.insert(id, found);
        Ok(found)
    }
}

fn uuid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

type Frames = mpsc::Sender<bytes::Bytes>;
type Outputs = mpsc::Sender<Result<ExecOutput, RuntimeError>>;

fn broken(error: impl std::fmt::Display) -> RuntimeError {
    RuntimeError::Unreachable(format!("the command's connection broke: {error}"))
}

/// Opens the command's streams.
async fn open(frames: &Frames, tty: Option<TtySize>) -> Result<(), RuntimeError> {
    let mut encoder = Encoder::new();
    let last = if tty.is_some() { (RESIZE, "resize") } else { (STDERR, "stderr") };
    for (stream, kind) in [(ERROR, "error"), (STDIN, "stdin"), (STDOUT, "stdout"), last] {
        frames.send(encoder.open(stream, &[("streamtype", kind)]).map_err(broken)?).await.map_err(broken)?;
    }
    match tty {
        Some(size) => frames.send(resize(size)).await.map_err(broken),
        None => Ok(()),
    }
}

fn resize(size: TtySize) -> bytes::Bytes {
    let text = json!({"Width": size.columns, "Height": size.rows}).to_string();
    spdy::data(RESIZE, text.as_bytes(), false)
}

async fn write(mut writer: WriteHalf<Connection>, mut frames: mpsc::Receiver<bytes::Bytes>) {
    while let Some(frame) = frames.recv().await {
        // The reader hears of a broken connection as well, and tells.
        if writer.write_all(&frame).await.and(writer.flush().await).is_err() {
            return;
        }
    }
}

async fn pump(mut inputs: mpsc::Receiver<ExecInput>, frames: Frames) {
    while let Some(input) = inputs.recv().await {
        let sent = match input {
            ExecInput::Stdin(bytes) => {
                let mut sent = Ok(());
                for piece in bytes.chunks(CHUNK) {
                    sent = frames.send(spdy::data(STDIN, piece, false)).await;
                }
                sent
            }
            ExecInput::Eof => frames.send(spdy::data(STDIN, &[], true)).await,
            ExecInput::Resize(size) => frames.send(resize(size)).await,
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Passes output on until the command's end; that is the result.
async fn follow(
    mut reader: ReadHalf<Connection>,
    outputs: &Outputs,
    frames: &Frames,
) -> Result<ExecOutput, RuntimeError> {
    let mut word: Vec<u8> = Vec::new();
    let mut ended = false;
    loop {
        let next = spdy::read(&mut reader);
        // The word of the end may overtake nothing, but some servers leave the connection open after it.
        let next = match ended {
            true => tokio::time::timeout(LAST, next).await.unwrap_or(Ok(None)),
            false => next.await,
        };
        match next {
            Ok(Some(Frame::Data { stream: ERROR, bytes, fin })) => {
                word.extend_from_slice(&bytes);
                ended |= fin || serde_json::from_slice::<Status>(&word).is_ok();
            }
            Ok(Some(Frame::Data { stream, bytes, .. })) if !bytes.is_empty() => {
                let kind = if stream == STDERR { OutputKind::Stderr } else { OutputKind::Stdout };
                outputs.send(Ok(ExecOutput::Output(kind, bytes))).await.map_err(broken)?;
            }
            Ok(Some(Frame::Reset { stream: ERROR }) | None) => break,
            Ok(Some(Frame::Ping(id))) => frames.send(spdy::pong(&id)).await.map_err(broken)?,
            Ok(Some(_)) => {}
            // A server may tear the connection down once it has said everything.
            Err(_) if ended => break,
            Err(error) => return Err(broken(error)),
        }
    }
    exit(&word)
}

/// What the API says of a command's end.
fn exit(word: &[u8]) -> Result<ExecOutput, RuntimeError> {
    if word.is_empty() {
        return Err(broken("it ended without a word of the command"));
    }
    let status: Status = serde_json::from_slice(word).map_err(broken)?;
    if status.is_success() {
        return Ok(ExecOutput::Exit(0));
    }
    let causes = status.details.map(|details| details.causes).unwrap_or_default();
    let code =
        causes.iter().find(|cause| cause.reason == "ExitCode").and_then(|cause| cause.message.parse().ok());
    code.map(ExecOutput::Exit).ok_or(RuntimeError::Refused(status.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_command_is_read() {
        assert_eq!(exit(br#"{"metadata":{},"status":"Success"}"#), Ok(ExecOutput::Exit(0)));
        let failed = br#"{"metadata":{},"status":"Failure","message":"command terminated with non-zero exit code","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"7"}]}}"#;
        assert_eq!(exit(failed), Ok(ExecOutput::Exit(7)));
        let refused = br#"{"metadata":{},"status":"Failure","message":"no such program","reason":"InternalError","code":500}"#;
        assert_eq!(exit(refused), Err(RuntimeError::Refused("no such program".to_owned())));
        assert!(matches!(exit(b""), Err(RuntimeError::Unreachable(_))));
    }
}
