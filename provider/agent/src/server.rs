//! What the agent answers: `/v1/report`, and bytes to measure the network with.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use iono_telemetry::Shutdown;
use tokio::net::TcpListener;

use crate::facts::Facts;
use crate::traffic::{self, Turn};

/// # Errors
/// When the address cannot be had.
pub(crate) async fn serve(
    address: SocketAddr,
    facts: Arc<Facts>,
    shutdown: &Shutdown,
) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "reports are served");
    let network = Router::new()
        .route("/v1/source", get(traffic::source))
        .route("/v1/sink", post(traffic::sink))
        .with_state(Turn::new());
    let app = Router::new().route("/v1/report", get(report)).with_state(facts).merge(network);
    let token = shutdown.token();
    shutdown.spawn("reports", async move {
        let served = axum::serve(listener, app).with_graceful_shutdown(token.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(%error, "reports are no longer served");
        }
    });
    Ok(())
}

async fn report(State(facts): State<Arc<Facts>>) -> Response {
    match facts.report() {
        Some(report) => Json(report).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "the machine is being measured\n").into_response(),
    }
}
