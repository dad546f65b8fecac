//! The WebSocket of a shell on the provider's side: bytes both ways, pings, and one last word before it closes.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use futures::stream::{BoxStream, SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _, TryStreamExt as _};
use http::StatusCode;
use tokio::sync::mpsc;

use crate::guard::{OpenStream, Shared};
use crate::shell::{MAX_MESSAGE, STDERR, STDOUT, ServerControl, frame};
use crate::{ApiError, ShellInput, ShellOutput, ShellSession};

/// How often a ping looks whether the client is there.
const PING: Duration = Duration::from_secs(20);
/// How long the client has to take the last frames and to close.
const FAREWELL: Duration = Duration::from_secs(5);

type Sink = SplitSink<WebSocket, Message>;
type Source = SplitStream<WebSocket>;

/// Answers the upgrade and runs the shell until the command, the client or the right ends.
pub(crate) fn respond(
    upgrade: WebSocketUpgrade,
    session: ShellSession<ApiError>,
    mut open: OpenStream,
    shared: &Arc<Shared>,
) -> Response {
    let silence = shared.limits.silence;
    let shells = shared.shells.clone();
    upgrade.max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE).on_upgrade(move |socket| {
        // Tracked, since hyper forgets an upgraded connection when it drains.
        shells.track_future(async move {
            let (mut sink, mut source) = socket.split();
            let ShellSession { input, mut output } = session;
            let end = tokio::select! {
                end = listen(&mut source, &input, silence) => end,
                end = speak(&mut sink, &mut output) => end,
                error = open.ended() => End::Failed(error),
            };
            let _ = tokio::time::timeout(FAREWELL, async {
                say_goodbye(&mut sink, end).await?;
                // Until the client closes: input that finds nobody would reset the connection, and with it what the client
                // has not read yet.
                while source.try_next().await?.is_some() {}
                Ok::<_, axum::Error>(())
            })
            .await;
        })
    })
}

/// How a shell ended.
enum End {
    Exit(i64),
    Failed(ApiError),
    /// The client closed or vanished; nobody is there to be told.
    Gone,
}

/// Client to command.
async fn listen(source: &mut Source, input: &mpsc::Sender<ShellInput>, silence: Duration) -> End {
    loop {
        let message = match tokio::time::timeout(silence, source.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(_)) | None) | Err(_) => return End::Gone,
        };
        let read = match message {
            Message::Binary(bytes) => ShellInput::from_binary(bytes),
            Message::Text(text) => ShellInput::from_text(&text),
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Close(_) => return End::Gone,
        };
        match read {
            // A command that ended takes no more input; its exit is on the way.
            Ok(item) => drop(input.send(item).await),
            Err(why) => return End::Failed(ApiError::bad_request(why)),
        }
    }
}

/// Command to client.
async fn speak(sink: &mut Sink, output: &mut BoxStream<'static, Result<ShellOutput, ApiError>>) -> End {
    let mut ping = tokio::time::interval(PING);
    loop {
        let message = tokio::select! {
            item = output.next() => match item {
                Some(Ok(ShellOutput::Stdout(bytes))) => Message::Binary(frame(STDOUT, &bytes)),
                Some(Ok(ShellOutput::Stderr(bytes))) => Message::Binary(frame(STDERR, &bytes)),
                Some(Ok(ShellOutput::Exit(code))) => return End::Exit(code),
                Some(Err(error)) => return End::Failed(error),
                None => return End::Failed(ApiError::internal(&"a shell ended without an exit code")),
            },
            _ = ping.tick() => Message::Ping(bytes::Bytes::new()),
        };
        if sink.send(message).await.is_err() {
            return End::Gone;
        }
    }
}

async fn say_goodbye(sink: &mut Sink, end: End) -> Result<(), axum::Error> {
    let (control, code, reason) = match end {
        End::Gone => return Ok(()),
        End::Exit(code) => (ServerControl::Exit { code }, close_code::NORMAL, String::new()),
        End::Failed(error) => {
            let code = match error.status {
                _ if error.body.code == "draining" => close_code::RESTART,
                StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::GONE
                | StatusCode::NOT_FOUND => close_code::POLICY,
                StatusCode::BAD_REQUEST => close_code::PROTOCOL,
                _ => close_code::ERROR,
            };
            let reason = error.body.code.clone().into_owned();
            (ServerControl::Error(error.body), code, reason)
        }
    };
    let text = serde_json::to_string(&control).expect("plain data always becomes JSON");
    sink.send(Message::Text(text.into())).await?;
    sink.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await?;
    sink.close().await
}
