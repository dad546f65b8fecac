//! What an operator answers to others: takes shares, and shows the state of every task. Anyone may ask; what is taken is
//! bounded in size, number and rate, and a share is believed for its signature alone.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use axum_server::Handle;
use governor::{DefaultKeyedRateLimiter, Quota};
use hyper_util::rt::TokioTimer;
use iono_quorum::SignedShare;
use iono_telemetry::Shutdown;
use serde_json::json;
use tokio::sync::{mpsc, oneshot, watch};
use tower_http::timeout::TimeoutLayer;

use crate::operator::{Delivery, Reply};
use crate::task::TaskStatus;

/// A share with the results of two thousand orders.
const BODY_BYTES: usize = 512 * 1024;
const PER_SECOND: NonZeroU32 = NonZeroU32::new(50).expect("not zero");
const BURST: NonZeroU32 = NonZeroU32::new(500).expect("not zero");
/// For headers, and for the daemon to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the meter forgets who was quiet.
const HOUSEKEEPING: Duration = Duration::from_secs(60);

#[derive(Clone)]
struct Shared {
    inbox: mpsc::Sender<Delivery>,
    board: watch::Receiver<Arc<Vec<TaskStatus>>>,
}

type Meter = Arc<DefaultKeyedRateLimiter<IpAddr>>;

/// Serves until the daemon drains.
pub(crate) async fn serve(
    listen: SocketAddr,
    inbox: mpsc::Sender<Delivery>,
    board: watch::Receiver<Arc<Vec<TaskStatus>>>,
    shutdown: &Shutdown,
) -> Result<()> {
    let listener = std::net::TcpListener::bind(listen)
        .with_context(|| format!("cannot listen at {listen} for other operators' shares"))?;
    listener.set_nonblocking(true)?;
    let meter: Meter =
        Arc::new(DefaultKeyedRateLimiter::keyed(Quota::per_second(PER_SECOND).allow_burst(BURST)));
    let routes = Router::new()
        .route("/v1/shares", post(take))
        .route("/v1/tasks", get(tasks))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, 2 * PATIENCE))
        // First of all: who asks too often is not read.
        .layer(from_fn_with_state(meter.clone(), slow_down))
        .with_state(Shared { inbox, board });

    let handle = Handle::new();
    let mut server = axum_server::from_tcp(listener)?.handle(handle.clone());
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    let token = shutdown.token();
    shutdown.spawn("shares", async move {
        let serving = server.serve(routes.into_make_service_with_connect_info::<SocketAddr>());
        let housekeeping = async {
            loop {
                tokio::time::sleep(HOUSEKEEPING).await;
                meter.retain_recent();
            }
        };
        tokio::select! {
            served = serving => {
                if let Err(error) = served {
                    tracing::error!(%error, "shares are no longer taken");
                }
            }
            () = housekeeping => {}
            () = token.cancelled() => handle.shutdown(),
        }
    });
    Ok(())
}

async fn slow_down(
    State(meter): State<Meter>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    if meter.check_key(&peer.ip()).is_err() {
        return refuse(StatusCode::TOO_MANY_REQUESTS, "too_many", "slower, please");
    }
    next.run(request).await
}

async fn take(State(shared): State<Shared>, Json(share): Json<SignedShare>) -> Response {
    let (answer, reply) = oneshot::channel();
    if shared.inbox.try_send((share, answer)).is_err() {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "busy", "too many shares are waiting: try again");
    }
    match tokio::time::timeout(PATIENCE, reply).await {
        Ok(Ok(reply)) => answer_to(reply),
        _ => refuse(StatusCode::SERVICE_UNAVAILABLE, "busy", "no answer in time: try again"),
    }
}

fn answer_to(reply: Reply) -> Response {
    let (status, error, message) = match reply {
        Reply::Taken => return (StatusCode::ACCEPTED, Json(json!({ "state": "taken" }))).into_response(),
        Reply::Known => return Json(json!({ "state": "known" })).into_response(),
        Reply::NotMember => {
            (StatusCode::FORBIDDEN, "not_member", "this operator is not in the set, or was ejected".into())
        }
        Reply::UnknownTask => {
            (StatusCode::NOT_FOUND, "unknown_task", "no order waits for this block and set here".into())
        }
        Reply::OtherRoot => {
            (StatusCode::CONFLICT, "other_root", "the results here are others; show yours".into())
        }
        Reply::BadShare(why) => (StatusCode::BAD_REQUEST, "bad_share", why),
    };
    refuse(status, error, &message)
}

fn refuse(status: StatusCode, error: &str, message: &str) -> Response {
    (status, Json(json!({ "error": error, "message": message }))).into_response()
}

async fn tasks(State(shared): State<Shared>) -> Response {
    let tasks = shared.board.borrow().clone();
    Json(tasks.as_slice()).into_response()
}
