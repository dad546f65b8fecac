//! One function per route. Each asks the gate first, then the provider.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, Path, RawQuery, Request, State, WebSocketUpgrade};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderMap, StatusCode, header};
use iono_manifest::MAX_MANIFEST_BYTES;
use iono_primitives::{LeaseId, OrderId};
use serde::de::DeserializeOwned;

use crate::guard::{OpenStream, Shared};
use crate::peer::Peer;
use crate::types::*;
use crate::{Action, ApiError, ByteStream, ErrorBody, ndjson, query, shell_socket};

type Gate = State<Arc<Shared>>;
type Reply<T> = Result<T, ApiError>;

/// Largest JSON body of a request in bytes.
const MAX_JSON: usize = 16 * 1024;
/// The media type of files.
const TAR: &str = "application/x-tar";

/// What the provider offers. Public.
#[utoipa::path(get, path = "/v1/provider", tag = "public", responses((status = 200, body = ProviderInfo)))]
pub(crate) async fn provider(State(shared): Gate) -> Reply<Json<ProviderInfo>> {
    shared.service.provider_info().await.map(Json)
}

/// What the provider decided about an order, and why. Public.
#[utoipa::path(get, path = "/v1/orders/{order}/bid", tag = "public", params(("order" = u64, Path)),
    responses((status = 200, body = BidAnswer)))]
pub(crate) async fn bid(State(shared): Gate, order: Id<OrderId>) -> Reply<Json<BidAnswer>> {
    shared.service.why_no_bid(order.0).await.map(Json)
}

/// Sends the manifest: its canonical bytes as the body, its salt in the header `ionosphere-salt`.
#[utoipa::path(put, path = "/v1/leases/{lease}/manifest", tag = "lease",
    params(("lease" = u64, Path), ("ionosphere-salt" = String, Header, description = "0x and 64 hex digits")),
    request_body(content = String, content_type = "application/json"),
    responses((status = 200, body = ManifestReceipt), (status = "default", body = ErrorBody)))]
pub(crate) async fn put_manifest(
    State(shared): Gate,
    Extension(peer): Extension<Peer>,
    lease: Id<LeaseId>,
    headers: HeaderMap,
    body: Body,
) -> Reply<Json<ManifestReceipt>> {
    shared.admit(&peer, lease.0, Action::PutManifest).await?;
    let salt = headers
        .get(manifest_salt())
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .ok_or_else(|| ApiError::bad_request("the header `ionosphere-salt` is not 0x and 64 hex digits"))?;
    let bytes = read(body, MAX_MANIFEST_BYTES).await?;
    let manifest = SaltedManifest::decode(salt, bytes).map_err(|error| {
        ApiError::unprocessable(
            "bad_manifest",
            error.to_string(),
            "`iono manifest check` names line and reason",
        )
    })?;
    shared.service.put_manifest(lease.0, manifest).await.map(Json)
}

/// Returns the manifest as it was sent.
#[utoipa::path(get, path = "/v1/leases/{lease}/manifest", tag = "lease", params(("lease" = u64, Path)),
    responses((status = 200, body = String, content_type = "application/json",
        headers(("ionosphere-salt" = String))), (status = "default", body = ErrorBody)))]
pub(crate) async fn get_manifest(
    State(shared): Gate,
    Extension(peer): Extension<Peer>,
    lease: Id<LeaseId>,
) -> Reply<Response> {
    shared.admit(&peer, lease.0, Action::GetManifest).await?;
    let manifest = shared.service.get_manifest(lease.0).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (manifest_salt(), manifest.salt().to_string()),
    ];
    Ok((headers, manifest.canonical().clone()).into_response())
}

/// State, services, addresses, money left.
#[utoipa::path(get, path = "/v1/leases/{lease}/status", tag = "lease", params(("lease" = u64, Path)),
    responses((status = 200, body = LeaseStatus), (status = "default", body = ErrorBody)))]
pub(crate) async fn status(
    State(shared): Gate,
    Extension(peer): Extension<Peer>,
    lease: Id<LeaseId>,
) -> Reply<Json<LeaseStatus>> {
    shared.admit(&peer, lease.0, Action::Status).await?;
    shared.service.status(lease.0).await.map(Json)
}

/// Log lines, one JSON object a line; empty lines are heartbeats, `{"error": …}` is a last line.
#[utoipa::path(get, path = "/v1/leases/{lease}/logs", tag = "lease", params(("lease" = u64, Path), LogQuery),
    responses((status = 200, body = LogLine, content_type = "application/x-ndjson"),
        (status = "default", body = ErrorBody)))]
pub(crate) async fn logs(
    State(shared): Gate,
    Extension(peer): Extension<Peer>,
    lease: Id<LeaseId>,
    RawQuery(text): RawQuery,
) -> Reply<Response> {
    let open = shared.open(&peer, lease.0, Action::Logs).await?;
    let lines = shared.service.logs(lease.0, query::logs(text.as_deref())?).await?;
    Ok(ndjson::respond(lines, open))
}

/// Events, one JSON object a line; empty lines are heartbeats, `{"error": …}` is a last line.
#[utoipa::path(get, path = "/v1/leases/{lease}/events", tag = "lease", params(("lease" = u64, Path), EventQuery),
    responses((status = 200, body = LeaseEvent, content_type = "application/x-ndjson"),
        (status = "default", body = ErrorBody)))]
pub(crate) async fn events(
    State(shared): Gate,
    Extension(peer): Extension<Peer>,
    lease: Id<LeaseId>,
    RawQuery(text): RawQuery,
) -> Reply<Response> {
    let open = shared.open(&peer, lease.0, Action::Events).await?;
    let events = shared.service.events(lease.0, query::events(text.as_deref())?).await?;
    Ok(ndjson::respond(events, open))
}

/// Runs a command over a WebSocket (docs/lease-api.md has the frames).
#[utoipa::path(get, path = "/v1/leases/{lease}/shell", tag = "lease",
    params(("lease" = u64, Path), ("service" = String, Query), ("replica" = Option<u32>, Query),
        ("cmd" = Vec<String>, Query, description = "once per word"), ("tty" = Option<bool>, Query),
        ("rows" = Option<u16>, Query), ("columns" = Option<u16>, Query)),
    responses((status = 101, description = "WebSocket"), (status = "default", body = ErrorBody)))]
pub(crate) async fn shell(
    State(shared): Gate,
    Extension(peer): Extension<Peer>,
    lease: Id<LeaseId>,
    RawQuery(text): RawQuery,
    request: Request,
) -> Reply<Response> {
    let open = shared.open(&peer, lease.0, Action::Shell).await?;
    let command = query::shell(text.as_deref())?;
    let upgrade = upgrade(request).await?;
    let session = shared.service.shell(lease.0, command).await?;
    Ok(shell_socket::respond(upgrade, session, open, &shared))
}

/// The provider's signed price for new terms.
#[utoipa::path(post, path = "/v1/leases/{lease}/quote", tag = "lease", params(("lease" = u64, Path)),
    request_body = QuoteRequest,
    responses((status = 200, body = SignedQuote), (status = "default", body = ErrorBody)))]
pub(crate) async fn quote(
    State(shared): Gate,
    Extension(peer): Extension<Peer>,
    lease: Id<LeaseId>,
    body: Body,
) -> Reply<Json<SignedQuote>> {
    shared.admit(&peer, lease.0, Action::Quote).await?;
    shared.service.quote(lease.0, json(body).await?).await.map(Json)
}

/// Restarts replicas one after the other.
#[utoipa::path(post, path = "/v1/leases/{lease}/restart", tag = "lease", params(("lease" = u64, Path)),
    request_body = RestartRequest, responses((status = 204), (status = "default", body = ErrorBody)))]
pub(crate) async fn restart(
    State(shared): Gate,
    Extension(peer): Extension<Peer>,
    lease: Id<LeaseId>,
    body: Body,
) -> Reply<StatusCode> {
    shared.admit(&peer, lease.0, Action::Restart).await?;
    shared.service.restart(lease.0, json(body).await?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Unpacks a tar archive below `path`.
#[utoipa::path(put, path = "/v1/leases/{lease}/files", tag = "lease", params(("lease" = u64, Path), FilePath),
    request_body(content = Vec<u8>, content_type = "application/x-tar"),
    responses((status = 204), (status = "default", body = ErrorBody)))]
pub(crate) async fn copy_in(
    State(shared): Gate,
    Extension(peer): Extension<Peer>,
    lease: Id<LeaseId>,
    RawQuery(text): RawQuery,
    body: Body,
) -> Reply<StatusCode> {
    let mut open = shared.open(&peer, lease.0, Action::CopyIn).await?;
    let target = query::file(text.as_deref())?;
    let archive = bounded(body, shared.limits.upload_bytes);
    tokio::select! {
        done = shared.service.copy_in(lease.0, target, archive) => done?,
        error = open.ended() => return Err(error),
    }
    Ok(StatusCode::NO_CONTENT)
}

/// A file or directory as a tar archive.
#[utoipa::path(get, path = "/v1/leases/{lease}/files", tag = "lease", params(("lease" = u64, Path), FilePath),
    responses((status = 200, body = Vec<u8>, content_type = "application/x-tar"),
        (status = "default", body = ErrorBody)))]
pub(crate) async fn copy_out(
    State(shared): Gate,
    Extension(peer): Extension<Peer>,
    lease: Id<LeaseId>,
    RawQuery(text): RawQuery,
) -> Reply<Response> {
    let open = shared.open(&peer, lease.0, Action::CopyOut).await?;
    let archive = shared.service.copy_out(lease.0, query::file(text.as_deref())?).await?;
    Ok(([(header::CONTENT_TYPE, TAR)], Body::from_stream(while_allowed(archive, open))).into_response())
}

/// A number in the path; anything else is an error in words.
pub(crate) struct Id<T>(T);

impl<T: std::str::FromStr, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut http::request::Parts, state: &S) -> Result<Self, ApiError> {
        let bad = || ApiError::bad_request("the id in the path is no number");
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| bad())?;
        text.parse().map(Self).map_err(|_| bad())
    }
}

fn manifest_salt() -> http::HeaderName {
    http::HeaderName::from_static(crate::types::SALT_HEADER)
}

async fn upgrade(request: Request) -> Reply<WebSocketUpgrade> {
    let refused = |error: axum::extract::ws::rejection::WebSocketUpgradeRejection| {
        let hint = "connect with a WebSocket client (wss://)";
        ApiError::new(error.status(), "websocket_expected", error.body_text(), hint)
    };
    let (mut parts, _) = request.into_parts();
    WebSocketUpgrade::from_request_parts(&mut parts, &()).await.map_err(refused)
}

async fn read(body: Body, limit: usize) -> Reply<Bytes> {
    to_bytes(body, limit).await.map_err(|_| {
        let message = format!("the body is larger than {limit} bytes or broke off");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message, "send less")
    })
}

async fn json<T: DeserializeOwned>(body: Body) -> Reply<T> {
    let bytes = read(body, MAX_JSON).await?;
    serde_json::from_slice(&bytes).map_err(|error| ApiError::bad_request(format!("the body: {error}")))
}

/// The body's pieces, up to `limit` bytes in all.
fn bounded(body: Body, limit: u64) -> ByteStream {
    let mut left = limit;
    let pieces = body.into_data_stream().map(move |piece| {
        let piece = piece.map_err(|error| ApiError::bad_request(format!("the upload broke off: {error}")))?;
        left = left.checked_sub(piece.len() as u64).ok_or_else(|| {
            let message = format!("the archive is larger than {limit} bytes");
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message, "send it in parts")
        })?;
        Ok(piece)
    });
    pieces.boxed()
}

/// Breaks the download off when the right to it ends; the missing end of the archive shows it.
fn while_allowed(archive: ByteStream, open: OpenStream) -> ByteStream {
    let pieces = futures::stream::unfold(Some((archive, open)), |state| async move {
        let (mut archive, mut open) = state?;
        tokio::select! {
            biased;
            error = open.ended() => Some((Err(error), None)),
            piece = archive.next() => match piece? {
                Ok(piece) => Some((Ok(piece), Some((archive, open)))),
                Err(error) => Some((Err(error), None)),
            },
        }
    });
    pieces.boxed()
}
