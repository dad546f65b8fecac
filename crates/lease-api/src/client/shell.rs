//! A shell on the tenant's side: a WebSocket over the same pinned TLS, as channels.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use http::StatusCode;
use iono_primitives::LeaseId;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use super::{CONNECT, Client, ClientError, refused};
use crate::shell::{ClientControl, MAX_MESSAGE, STDERR, STDIN, STDOUT, ServerControl, frame};
use crate::{ShellInput, ShellOutput, ShellRequest, ShellSession, TtySize, query};

/// The provider pings every 20 seconds; without three of them the connection is dead.
const SILENCE: Duration = Duration::from_secs(65);
/// Frames under way in each direction; more wait.
const DEPTH: usize = 32;
/// Largest piece of input in one frame.
const PIECE: usize = 64 * 1024;

type Socket = WebSocketStream<TlsStream<TcpStream>>;

impl Client {
    /// Runs a command in a replica. Dropping the session ends it.
    ///
    /// # Errors
    /// [`ClientError`], here and as the output's last item when the shell is cut off.
    pub async fn shell(
        &self,
        lease: LeaseId,
        request: &ShellRequest,
    ) -> Result<ShellSession<ClientError>, ClientError> {
        let socket = tokio::time::timeout(2 * CONNECT, self.connect(lease, request))
            .await
            .map_err(|_| self.unreachable("no answer in time"))??;
        let (input, to_send) = mpsc::channel(DEPTH);
        let (received, output) = mpsc::channel(DEPTH);
        let client = self.clone();
        tokio::spawn(async move {
            if let Err(error) = pump(client, socket, to_send, &received).await {
                // Nobody listens when the session was dropped.
                let _ = received.send(Err(error)).await;
            }
        });
        let output = futures::stream::unfold(output, |mut output| async {
            output.recv().await.map(|item| (item, output))
        });
        Ok(ShellSession { input, output: output.boxed() })
    }

    async fn connect(&self, lease: LeaseId, request: &ShellRequest) -> Result<Socket, ClientError> {
        let mut url = self
            .base
            .join(&format!("leases/{lease}/shell?{}", query::write_shell(request)))
            .expect("paths of this interface are relative and valid");
        url.set_scheme("wss").expect("https and wss are alike");
        let bad = || ClientError::BadEndpoint(self.endpoint.clone());
        let host = self.base.host_str().ok_or_else(bad)?.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host).map_err(|_| bad())?;

        let (host, port) = (self.to.0.as_str(), self.to.1);
        let tcp = TcpStream::connect((host, port)).await.map_err(|error| self.transport(&error))?;
        tcp.set_nodelay(true).map_err(|error| self.transport(&error))?;
        let tls = TlsConnector::from(Arc::clone(&self.tls));
        let tls = tls.connect(name, tcp).await.map_err(|error| self.transport(&error))?;
        let config =
            WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
        match tokio_tungstenite::client_async_with_config(url.as_str(), tls, Some(config)).await {
            Ok((socket, _)) => Ok(socket),
            Err(SocketError::Http(response)) => {
                let body = response.body().clone().unwrap_or_default();
                Err(refused(response.status(), &body))
            }
            Err(error) => Err(self.transport(&error)),
        }
    }

    fn unreachable(&self, why: &str) -> ClientError {
        ClientError::Unreachable { endpoint: self.endpoint.clone(), why: why.to_owned() }
    }
}

/// Carries frames until the command ends or the session is dropped.
async fn pump(
    client: Client,
    socket: Socket,
    mut to_send: mpsc::Receiver<ShellInput>,
    received: &mpsc::Sender<Result<ShellOutput, ClientError>>,
) -> Result<(), ClientError> {
    let (mut sink, mut source) = socket.split();
    let speak = async {
        while let Some(input) = to_send.recv().await {
            for message in messages(input) {
                sink.send(message).await.map_err(|error| client.transport(&error))?;
            }
        }
        // The sender was dropped: no more input, but output goes on.
        std::future::pending::<Result<(), ClientError>>().await
    };
    let listen = async {
        loop {
            let message = match tokio::time::timeout(SILENCE, source.next()).await {
                Ok(Some(message)) => message.map_err(|error| client.transport(&error))?,
                Ok(None) => return Err(client.unreachable("the shell broke off")),
                Err(_) => return Err(client.unreachable("the shell fell silent")),
            };
            let Some(output) = read(message)? else { continue };
            let last = matches!(output, ShellOutput::Exit(_));
            if received.send(Ok(output)).await.is_err() || last {
                return Ok(());
            }
        }
    };
    let end = tokio::select! {
        end = speak => end,
        end = listen => end,
        () = received.closed() => Ok(()),
    };
    // The provider ends the command when the socket closes; it may be closed already.
    let _ = sink.close().await;
    end
}

fn messages(input: ShellInput) -> Vec<Message> {
    let control = |control: ClientControl| {
        let text = serde_json::to_string(&control).expect("plain data always becomes JSON");
        vec![Message::Text(text.into())]
    };
    match input {
        ShellInput::Stdin(bytes) => {
            bytes.chunks(PIECE).map(|piece| Message::Binary(frame(STDIN, piece))).collect()
        }
        ShellInput::Eof => control(ClientControl::Eof),
        ShellInput::Resize(TtySize { rows, columns }) => control(ClientControl::Resize { rows, columns }),
    }
}

fn read(message: Message) -> Result<Option<ShellOutput>, ClientError> {
    match message {
        Message::Binary(bytes) => match bytes.first() {
            Some(&STDOUT) => Ok(Some(ShellOutput::Stdout(slice(&bytes)))),
            Some(&STDERR) => Ok(Some(ShellOutput::Stderr(slice(&bytes)))),
            _ => Err(ClientError::Malformed("a frame of an unknown channel".to_owned())),
        },
        Message::Text(text) => match serde_json::from_str(&text) {
            Ok(ServerControl::Exit { code }) => Ok(Some(ShellOutput::Exit(code))),
            Ok(ServerControl::Error(body)) => {
                Err(ClientError::Refused { status: StatusCode::SWITCHING_PROTOCOLS, body })
            }
            Err(error) => Err(ClientError::Malformed(error.to_string())),
        },
        Message::Close(_) => Err(ClientError::Malformed("the shell closed without an exit code".to_owned())),
        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(None),
    }
}

fn slice(bytes: &Bytes) -> Bytes {
    bytes.slice(1..)
}
