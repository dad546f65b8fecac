//! Commands in replicas. The engine's stream is taken raw: a terminal's bytes are the tenant's and must not be read as
//! frames, and half-close has to reach the process.

use std::path::PathBuf;

use bollard::models::ExecConfig;
use bollard::query_parameters::ResizeExecOptionsBuilder;
use bytes::{Bytes, BytesMut};
use futures::stream::StreamExt;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use iono_primitives::LeaseId;
use iono_runtime::{ExecInput, ExecOutput, ExecRequest, ExecSession, OutputKind, RuntimeError, TtySize};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::engine::sort;
use crate::inner::Inner;

const CHUNK: usize = 16 * 1024;
/// Pieces under way in each direction.
const QUEUE: usize = 32;

type Raw = TokioIo<Upgraded>;

fn broken(error: impl std::fmt::Display) -> RuntimeError {
    RuntimeError::Unreachable(format!("the stream of a command broke: {error}"))
}

impl Inner {
    /// See [`iono_runtime::Runtime::exec`].
    pub(crate) async fn exec(
        self: &std::sync::Arc<Self>,
        lease: LeaseId,
        request: ExecRequest,
    ) -> Result<ExecSession, RuntimeError> {
        if request.command.is_empty() {
            return Err(RuntimeError::Refused("no command was given".to_owned()));
        }
        let container = self.running(lease, &request.service, request.replica).await?;
        let config = ExecConfig {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(request.tty.is_some()),
            cmd: Some(request.command),
            env: request.tty.map(|_| vec!["TERM=xterm-256color".to_owned()]),
            ..Default::default()
        };
        let id = self.engine.docker()?.create_exec(&container.id, config).await.map_err(sort)?.id;
        let raw = self.hijack(&id, request.tty.is_some()).await?;
        let command = Command { inner: std::sync::Arc::clone(self), id, container: container.id };
        if let Some(size) = request.tty {
            command.resize(size).await;
        }
        let (reader, writer) = tokio::io::split(raw);
        let (input, inputs) = mpsc::channel(QUEUE);
        let (outputs, output) = mpsc::channel(QUEUE);
        let stop = CancellationToken::new();
        tokio::spawn(command.run(reader, writer, request.tty.is_some(), inputs, outputs, stop.clone()));
        // The stream owns the command: dropping it ends the command.
        let owner: DropGuard = stop.drop_guard();
        let output = futures::stream::unfold((output, owner), |(mut output, owner)| async move {
            output.recv().await.map(|item| (item, (output, owner)))
        });
        Ok(ExecSession { input, output: output.boxed() })
    }

    /// Starts the command and takes its connection over.
    async fn hijack(&self, id: &str, tty: bool) -> Result<Raw, RuntimeError> {
        let socket = UnixStream::connect(&self.config.socket).await.map_err(broken)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.map_err(broken)?;
        tokio::spawn(async move {
            // How it ended shows in the streams.
            let _ = connection.with_upgrades().await;
        });
        let body = serde_json::json!({ "Detach": false, "Tty": tty }).to_string();
        let request = Request::post(format!("/exec/{id}/start"))
            .header(header::HOST, "docker")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "tcp")
            .body(Full::new(Bytes::from(body)))
            .map_err(broken)?;
        let response = sender.send_request(request).await.map_err(broken)?;
        match response.status() {
            StatusCode::SWITCHING_PROTOCOLS => {
                hyper::upgrade::on(response).await.map(TokioIo::new).map_err(broken)
            }
            StatusCode::NOT_FOUND => Err(RuntimeError::NotFound("the replica is gone".to_owned())),
            status => Err(RuntimeError::Refused(format!(
                "the command was not started: the engine answered {status}"
            ))),
        }
    }
}

/// A command that was started.
struct Command {
    inner: std::sync::Arc<Inner>,
    id: String,
    container: String,
}

impl Command {
    async fn run(
        self,
        reader: ReadHalf<Raw>,
        writer: WriteHalf<Raw>,
        tty: bool,
        inputs: mpsc::Receiver<ExecInput>,
        outputs: mpsc::Sender<Result<ExecOutput, RuntimeError>>,
        stop: CancellationToken,
    ) {
        let reading = async {
            if tty { read_terminal(reader, &outputs).await } else { read_frames(reader, &outputs).await }
        };
        let ended = tokio::select! {
            ended = reading => ended,
            () = self.write(writer, inputs) => Ok(()),
            () = stop.cancelled() => return self.end().await,
        };
        let last = match ended {
            Ok(()) => self.exit_code().await.map(ExecOutput::Exit),
            Err(error) => Err(broken(error)),
        };
        // Nobody may be left to read it.
        let _ = outputs.send(last).await;
    }

    /// Passes input on; does not return, so that output goes on after the end of input.
    async fn write(&self, mut writer: WriteHalf<Raw>, mut inputs: mpsc::Receiver<ExecInput>) {
        while let Some(input) = inputs.recv().await {
            let written = match input {
                ExecInput::Stdin(bytes) => writer.write_all(&bytes).await,
                ExecInput::Eof => writer.shutdown().await,
                ExecInput::Resize(size) => {
                    self.resize(size).await;
                    Ok(())
                }
            };
            if written.is_err() {
                // The process closed its input; that is not its end.
                break;
            }
        }
        std::future::pending().await
    }

    async fn resize(&self, size: TtySize) {
        let options = ResizeExecOptionsBuilder::default().h(size.rows.into()).w(size.columns.into()).build();
        let Ok(docker) = self.inner.engine.docker() else { return };
        if let Err(error) = docker.resize_exec(&self.id, options).await {
            tracing::debug!(%error, "a terminal was not resized");
        }
    }

    async fn exit_code(&self) -> Result<i64, RuntimeError> {
        // The stream ends a moment before the engine notes the code.
        for _ in 0..250 {
            let inspected = self.inner.engine.docker()?.inspect_exec(&self.id).await.map_err(sort)?;
            if let (Some(false), Some(code)) = (inspected.running, inspected.exit_code) {
                return Ok(code);
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        Err(RuntimeError::Engine("the command's exit code is not known".to_owned()))
    }

    /// Ends a command that nobody reads any more. The engine has no call for it, so the process gets the signal itself,
    /// if it is seen to belong to this container: process ids are used again.
    async fn end(&self) {
        let Ok(docker) = self.inner.engine.docker() else { return };
        let Ok(inspected) = docker.inspect_exec(&self.id).await else { return };
        let pid = inspected.pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 1);
        let (Some(true), Some(pid)) = (inspected.running, pid) else { return };
        let cgroup =
            std::fs::read_to_string(PathBuf::from(format!("/proc/{pid}/cgroup"))).unwrap_or_default();
        if cgroup.contains(&self.container)
            && let Err(error) = kill(Pid::from_raw(pid), Signal::SIGKILL)
        {
            tracing::warn!(%error, pid, "a command that nobody reads any more goes on");
        }
    }
}

type Outputs = mpsc::Sender<Result<ExecOutput, RuntimeError>>;

async fn read_terminal(mut reader: ReadHalf<Raw>, outputs: &Outputs) -> std::io::Result<()> {
    loop {
        let mut buffer = BytesMut::with_capacity(CHUNK);
        if reader.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        send(outputs, OutputKind::Stdout, buffer.freeze()).await?;
    }
}

/// The engine's frames: one byte for the stream, three unused, four of length.
async fn read_frames(mut reader: ReadHalf<Raw>, outputs: &Outputs) -> std::io::Result<()> {
    loop {
        let mut head = [0; 8];
        match reader.read_exact(&mut head).await {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
            other => other?,
        };
        let kind = if head[0] == 2 { OutputKind::Stderr } else { OutputKind::Stdout };
        let mut left = u64::from(u32::from_be_bytes([head[4], head[5], head[6], head[7]]));
        while left > 0 {
            let mut buffer = BytesMut::with_capacity(CHUNK);
            let read = (&mut reader).take(left).read_buf(&mut buffer).await?;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            left -= u64::try_from(read).unwrap_or(left);
            send(outputs, kind, buffer.freeze()).await?;
        }
    }
}

async fn send(outputs: &Outputs, kind: OutputKind, bytes: Bytes) -> std::io::Result<()> {
    outputs.send(Ok(ExecOutput::Output(kind, bytes))).await.map_err(std::io::Error::other)
}
