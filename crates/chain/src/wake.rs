//! When to look at the chain again: at every poll interval, or sooner when a WebSocket announces a block. The socket
//! only wakes; nothing of what it says is used, so that losing it costs time and never a log.

use std::sync::Arc;
use std::time::Duration;

use alloy::providers::{Provider, ProviderBuilder, WsConnect};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use url::Url;

/// How long to wait before the socket is opened again.
const REOPEN: Duration = Duration::from_secs(3);

pub(crate) struct Wake {
    poll: Duration,
    announced: Arc<Notify>,
    socket: Option<JoinHandle<()>>,
}

impl Wake {
    pub(crate) fn new(poll: Duration, ws: Option<Url>) -> Self {
        let announced = Arc::new(Notify::new());
        let socket = ws.map(|url| tokio::spawn(listen(url, announced.clone())));
        Self { poll, announced, socket }
    }

    pub(crate) async fn wait(&self) {
        let _ = tokio::time::timeout(self.poll, self.announced.notified()).await;
    }
}

impl Drop for Wake {
    fn drop(&mut self) {
        if let Some(socket) = &self.socket {
            socket.abort();
        }
    }
}

async fn listen(url: Url, announced: Arc<Notify>) {
    loop {
        // alloy's own reconnection gives up in the end; this loop does not.
        let connected = ProviderBuilder::new()
            .disable_recommended_fillers()
            .connect_ws(WsConnect::new(url.as_str()).with_max_retries(0))
            .await;
        match connected {
            Ok(provider) => match provider.subscribe_blocks().await {
                Ok(mut blocks) => {
                    while blocks.recv().await.is_ok() {
                        announced.notify_one();
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "the WebSocket does not announce blocks; polling goes on")
                }
            },
            Err(error) => tracing::debug!(%error, "the WebSocket does not open; polling goes on"),
        }
        tokio::time::sleep(REOPEN).await;
    }
}
