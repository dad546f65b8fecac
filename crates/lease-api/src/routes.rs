//! Paths to handlers, and what holds for all of them: the limit by address, time limits, errors in words.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post, put};
use http::StatusCode;

use crate::guard::{Shared, timed_out};
use crate::peer::Peer;
use crate::{ApiError, handlers, openapi};

/// All of `/v1`.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let in_time = Router::new()
        .route("/v1/openapi.json", get(async || openapi::document()))
        .route("/v1/provider", get(handlers::provider))
        .route("/v1/orders/{order}/bid", get(handlers::bid))
        .route("/v1/leases/{lease}/manifest", put(handlers::put_manifest).get(handlers::get_manifest))
        .route("/v1/leases/{lease}/status", get(handlers::status))
        .route("/v1/leases/{lease}/logs", get(handlers::logs))
        .route("/v1/leases/{lease}/events", get(handlers::events))
        .route("/v1/leases/{lease}/shell", get(handlers::shell))
        .route("/v1/leases/{lease}/quote", post(handlers::quote))
        .layer(from_fn_with_state(Arc::clone(&shared), limit_time));
    let as_long_as_it_takes = Router::new()
        .route("/v1/leases/{lease}/restart", post(handlers::restart))
        .route("/v1/leases/{lease}/files", put(handlers::copy_in).get(handlers::copy_out));
    in_time
        .merge(as_long_as_it_takes)
        .fallback(async || ApiError::not_found("there is no such path", "see /v1/openapi.json"))
        .method_not_allowed_fallback(async || {
            let message = "this path does not take that method";
            ApiError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                message,
                "see /v1/openapi.json",
            )
        })
        .layer(from_fn_with_state(Arc::clone(&shared), limit_rate))
        .with_state(shared)
}

async fn limit_time(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(shared.limits.request_timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => timed_out().into_response(),
    }
}

async fn limit_rate(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let address = request.extensions().get::<Peer>().map(|peer| peer.address().ip());
    match address.map_or(Ok(()), |address| shared.meters.request_by_address(address)) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}
