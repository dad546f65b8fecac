//! One small server for what machines ask a daemon: `/metrics`, `/healthz` (the process lives) and `/readyz` (every
//! check is well; 503 with the reasons otherwise, so that a supervisor sees an outage without killing for it).

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::logs::{TelemetryConfig, TelemetryError, metrics};
use crate::{Health, Shutdown};

/// Serves until the process drains; gives the bound address, or `None` when the configuration has none.
///
/// # Errors
/// [`TelemetryError::Listen`] when the address cannot be bound.
pub async fn serve(
    config: &TelemetryConfig,
    health: &Health,
    shutdown: &Shutdown,
) -> Result<Option<SocketAddr>, TelemetryError> {
    let Some(address) = config.listen else { return Ok(None) };
    let listen = |source| TelemetryError::Listen { address, source };
    let listener = tokio::net::TcpListener::bind(address).await.map_err(listen)?;
    let bound = listener.local_addr().map_err(listen)?;
    let app = Router::new()
        .route("/healthz", get(|| async { Json(json!({ "ok": true })) }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render))
        .with_state((health.clone(), shutdown.clone()));

    let token = shutdown.token();
    shutdown.spawn("telemetry", async move {
        // The recorder wants its histograms drained now and then, scraped or not.
        let upkeep = async {
            let mut ticks = tokio::time::interval(Duration::from_secs(5));
            loop {
                ticks.tick().await;
                if let Some(handle) = metrics() {
                    handle.run_upkeep();
                }
            }
        };
        tokio::select! {
            served = axum::serve(listener, app) => {
                if let Err(error) = served {
                    tracing::error!(%error, "metrics and health are no longer served");
                }
            }
            () = upkeep => {}
            () = token.cancelled() => {}
        }
    });
    Ok(Some(bound))
}

async fn readyz(State((health, shutdown)): State<(Health, Shutdown)>) -> impl IntoResponse {
    let draining = shutdown.is_draining();
    let ok = health.is_ok() && !draining;
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ok": ok, "draining": draining, "checks": health.report() })))
}

async fn render() -> String {
    metrics().map(metrics_exporter_prometheus::PrometheusHandle::render).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn readiness_follows_the_checks_and_liveness_does_not() {
        let config = TelemetryConfig { listen: "127.0.0.1:0".parse().ok(), ..TelemetryConfig::default() };
        let (health, shutdown) = (Health::default(), Shutdown::new());
        crate::init(&config).unwrap();
        let rpc = health.check("rpc");
        let address = serve(&config, &health, &shutdown).await.unwrap().unwrap();
        let get = |path: &str| reqwest::get(format!("http://{address}{path}"));

        assert_eq!(get("/healthz").await.unwrap().status(), 200);
        let answer = get("/readyz").await.unwrap();
        assert_eq!(answer.status(), 503);
        assert!(answer.text().await.unwrap().contains("starting"));
        rpc.ok();
        assert_eq!(get("/readyz").await.unwrap().status(), 200);

        metrics::counter!("iono_test_total").increment(3);
        assert!(get("/metrics").await.unwrap().text().await.unwrap().contains("iono_test_total 3"));

        shutdown.begin();
        assert!(shutdown.drain(Duration::from_secs(5)).await);
        assert!(get("/healthz").await.is_err());
    }
}
