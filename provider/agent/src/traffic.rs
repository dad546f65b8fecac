//! Bytes for whoever measures the way to this node: out of nothing, and into nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use tokio::sync::Semaphore;

const BLOCK: usize = 64 << 10;
/// Most that is sent or taken at a time, in MiB.
pub(crate) const MOST: u32 = 64;
/// A measurement that takes longer is broken off: nobody keeps others from theirs.
const TIME: Duration = Duration::from_secs(30);

/// One measurement at a time: two would measure each other.
#[derive(Debug, Clone)]
pub(crate) struct Turn(Arc<Semaphore>);

impl Turn {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Amount {
    mebibytes: u32,
}

fn busy() -> Response {
    (StatusCode::TOO_MANY_REQUESTS, "a measurement is under way; try again in a moment\n").into_response()
}

/// `GET /v1/source?mebibytes=N`: N MiB.
pub(crate) async fn source(State(turn): State<Turn>, Query(amount): Query<Amount>) -> Response {
    if !(1..=MOST).contains(&amount.mebibytes) {
        let problem = format!("{} MiB are not sent; ask for 1 to {MOST}\n", amount.mebibytes);
        return (StatusCode::BAD_REQUEST, problem).into_response();
    }
    let Ok(permit) = turn.0.try_acquire_owned() else { return busy() };
    let block = Bytes::from(vec![0x5a_u8; BLOCK]);
    let blocks = (amount.mebibytes as usize * (1 << 20)) / BLOCK;
    let body = stream::repeat_with(move || {
        // It is held until the last block is sent, or nobody takes it any more.
        let _held = &permit;
        Ok::<_, std::convert::Infallible>(block.clone())
    });
    Body::from_stream(body.take(blocks).take_until(tokio::time::sleep(TIME))).into_response()
}

/// `POST /v1/sink`: takes up to [`MOST`] MiB and says how many bytes came.
pub(crate) async fn sink(State(turn): State<Turn>, body: Body) -> Response {
    let Ok(_permit) = turn.0.try_acquire_owned() else { return busy() };
    let most = MOST as usize * (1 << 20);
    let taken = body.into_data_stream().try_fold(0_usize, |taken, chunk| async move {
        let taken = taken + chunk.len();
        if taken > most { Err(axum::Error::new("too much")) } else { Ok(taken) }
    });
    match tokio::time::timeout(TIME, taken).await {
        Ok(Ok(taken)) => taken.to_string().into_response(),
        Ok(Err(_)) => {
            let problem = format!("broken off, or more than {MOST} MiB\n");
            (StatusCode::PAYLOAD_TOO_LARGE, problem).into_response()
        }
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "too slow\n").into_response(),
    }
}
