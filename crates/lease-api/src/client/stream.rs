//! Streams on the tenant's side: lines of JSON, and files.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use http::Method;
use iono_primitives::LeaseId;
use reqwest::Response;
use serde::de::DeserializeOwned;
use tokio_util::codec::{FramedRead, LinesCodec};
use tokio_util::io::StreamReader;

use super::{Client, ClientError};
use crate::ndjson::{ErrorLine, MAX_LINE};
use crate::{EventQuery, FilePath, LeaseEvent, LogLine, LogQuery, query};

/// The provider sends a heartbeat every 15 seconds; without three of them the connection is dead.
const SILENCE: Duration = Duration::from_secs(50);

impl Client {
    /// Log lines, as they come when they are followed.
    ///
    /// # Errors
    /// [`ClientError`], here and as the stream's last item when it breaks off.
    pub async fn logs(
        &self,
        lease: LeaseId,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine, ClientError>>, ClientError> {
        self.lines(&format!("leases/{lease}/logs?{}", query::write_logs(query))).await
    }

    /// Events, as they come when they are followed.
    ///
    /// # Errors
    /// [`ClientError`], here and as the stream's last item when it breaks off.
    pub async fn events(
        &self,
        lease: LeaseId,
        query: &EventQuery,
    ) -> Result<BoxStream<'static, Result<LeaseEvent, ClientError>>, ClientError> {
        self.lines(&format!("leases/{lease}/events?{}", query::write_events(query))).await
    }

    /// A file or directory of a replica as a tar archive.
    ///
    /// # Errors
    /// [`ClientError`], here and as the stream's last item when it breaks off.
    pub async fn copy_out(
        &self,
        lease: LeaseId,
        source: &FilePath,
    ) -> Result<BoxStream<'static, Result<Bytes, ClientError>>, ClientError> {
        let path = format!("leases/{lease}/files?{}", query::write_file(source));
        let response = self.send(self.request(Method::GET, &path)).await?;
        let client = self.clone();
        let pieces = response.bytes_stream().map_err(move |error| client.transport(&error));
        Ok(pieces.boxed())
    }

    async fn lines<T: DeserializeOwned + Send + 'static>(
        &self,
        path: &str,
    ) -> Result<BoxStream<'static, Result<T, ClientError>>, ClientError> {
        let response = self.send(self.request(Method::GET, path)).await?;
        Ok(decode(self.clone(), response))
    }
}

fn decode<T: DeserializeOwned + Send + 'static>(
    client: Client,
    response: Response,
) -> BoxStream<'static, Result<T, ClientError>> {
    let status = response.status();
    let reader = StreamReader::new(response.bytes_stream().map_err(io::Error::other));
    let lines = FramedRead::new(reader, LinesCodec::new_with_max_length(MAX_LINE)).boxed();
    let items = futures::stream::unfold(Some((client, lines)), move |state| async move {
        let (client, mut lines) = state?;
        loop {
            let unreachable =
                |why: String| ClientError::Unreachable { endpoint: client.endpoint.clone(), why };
            let line = match tokio::time::timeout(SILENCE, lines.next()).await {
                Ok(None) => return None,
                Ok(Some(Ok(line))) => line,
                Ok(Some(Err(error))) => return Some((Err(client.transport(&error)), None)),
                Err(_) => return Some((Err(unreachable("the stream fell silent".to_owned())), None)),
            };
            if line.is_empty() {
                continue; // A heartbeat.
            }
            if let Ok(item) = serde_json::from_str::<T>(&line) {
                return Some((Ok(item), Some((client, lines))));
            }
            let error = match serde_json::from_str::<ErrorLine>(&line) {
                Ok(ErrorLine { error }) => ClientError::Refused { status, body: error },
                Err(error) => ClientError::Malformed(error.to_string()),
            };
            return Some((Err(error), None));
        }
    });
    items.boxed()
}
