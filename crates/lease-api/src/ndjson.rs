//! Streams as lines of JSON (application/x-ndjson): one object a line, an empty line every 15 seconds of silence, and
//! `{"error": …}` as the last line when a stream breaks off.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use http::header;
use serde::{Deserialize, Serialize};

use crate::guard::OpenStream;
use crate::{ApiError, ErrorBody};

/// The media type.
pub(crate) const MEDIA_TYPE: &str = "application/x-ndjson";
/// An empty line shows that the connection lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Longest line that a client reads, in bytes.
pub(crate) const MAX_LINE: usize = 1 << 20;

/// The last line of a stream that broke off.
#[derive(Serialize, Deserialize)]
pub(crate) struct ErrorLine {
    pub(crate) error: ErrorBody,
}

struct State<T> {
    items: BoxStream<'static, Result<T, ApiError>>,
    open: OpenStream,
}

/// Streams `items` until they end, fail, or the right to them ends.
pub(crate) fn respond<T: Serialize + Send + 'static>(
    items: BoxStream<'static, Result<T, ApiError>>,
    open: OpenStream,
) -> Response {
    let lines = futures::stream::unfold(Some(State { items, open }), |state| async move {
        let mut state = state?;
        let item = tokio::select! {
            biased;
            error = state.open.ended() => Some(Err(error)),
            item = state.items.next() => item,
            () = tokio::time::sleep(HEARTBEAT) => return Some((Bytes::from_static(b"\n"), Some(state))),
        };
        match item {
            None => None,
            Some(Ok(item)) => Some((line(&item), Some(state))),
            Some(Err(error)) => Some((line(&ErrorLine { error: error.body }), None)),
        }
    });
    let body = Body::from_stream(lines.map(Ok::<_, std::convert::Infallible>));
    ([(header::CONTENT_TYPE, MEDIA_TYPE), (header::CACHE_CONTROL, "no-store")], body).into_response()
}

fn line<T: Serialize>(item: &T) -> Bytes {
    let mut text = serde_json::to_vec(item).expect("plain data always becomes JSON");
    text.push(b'\n');
    text.into()
}
