//! A Unix socket in the data directory by which `provider`'s commands reach the running daemon, since one daemon alone
//! may send with the hot key. Who may open the socket may use that key anyway.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use alloy::primitives::Address;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use iono_bindings::IProviderRegistry;
use iono_chain::Sender;
use iono_identity::unix_now;
use iono_primitives::TokenId;
use iono_telemetry::Health;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use crate::acts::send;
use crate::gateway::Gateway;
use crate::{pins, treasury};
use iono_host::api::offer;
use iono_host::config::values::Dollars;
use iono_host::node::Node;

/// What a command asks the daemon to send.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Stop or allow new leases.
    Drain(bool),
    /// Settle everything and cash out.
    CashOut(Option<u16>),
    /// Make and announce a new TLS key.
    RotatePin,
    /// Let this owner alone name the hot key as its provider's.
    Admit(Address),
}

type Answer = Result<Json<Value>, (StatusCode, String)>;

/// Where the socket is.
#[must_use]
pub fn socket_path(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// What the socket serves.
#[derive(Clone)]
pub struct Control {
    /// The node.
    pub node: Arc<Node>,
    /// Sends with the hot key.
    pub sender: Sender,
    /// Of light nodes, if there is one.
    pub gateway: Option<Arc<Gateway>>,
    /// Its checks.
    pub health: Health,
    /// The lease API's server, for its key.
    pub server: Arc<iono_lease_api::Server>,
}

/// Serves until the token is cancelled.
///
/// # Errors
/// When the socket cannot be made.
pub async fn serve(control: Control, token: CancellationToken) -> std::io::Result<()> {
    let path = socket_path(&control.node.config().data_dir);
    // One daemon per key is certain by now, so a socket that is there is a dead one's.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let app = Router::new().route("/status", get(status)).route("/do", post(act)).with_state(control);
    let served =
        axum::serve(listener, app).with_graceful_shutdown(async move { token.cancelled().await }).await;
    let _ = std::fs::remove_file(&path);
    served
}

async fn status(State(control): State<Control>) -> Json<Value> {
    let (node, view) = (&control.node, control.node.view());
    let (leases, orders) = {
        let book = node.book();
        let open = book.orders().values().filter(|tracked| tracked.holds_capacity(node.me)).count();
        (book.leases().values().filter(|lease| !lease.is_done()).count(), open)
    };
    Json(json!({
        "provider": node.me.provider,
        "hot_key": control.sender.address(),
        "ok": control.health.is_ok(),
        "checks": control.health.report(),
        "bidding": node.obstacle(unix_now()).map_or_else(|| "yes".to_owned(), |why| format!("no: {why}")),
        "head": view.head.number,
        "caught_up": view.caught_up,
        "leases": leases,
        "reserved_orders": orders,
        "pending_transactions": control.sender.open(),
        "offer": offer::provider_info(node),
        "light_nodes": control.gateway.as_ref().map(|gateway| gateway.report()),
        "lease_api": control.server.address(),
        "http": node.router.http_address(),
        "https": node.router.https_address(),
    }))
}

async fn act(State(control): State<Control>, Json(request): Json<Request>) -> Answer {
    let node = &control.node;
    let failed = |error: &dyn std::fmt::Display| (StatusCode::BAD_GATEWAY, error.to_string());
    match request {
        Request::Drain(draining) => {
            let call = IProviderRegistry::setDrainingCall { provider: node.me.provider.into(), draining };
            let key = format!("drain:{draining}:{}", unix_now());
            let sent = send(&control.sender, &key, node.reader.book().provider_registry, call).await;
            sent.map(|mined| Json(json!({ "draining": draining, "transaction": mined.transaction })))
                .map_err(|error| failed(&error))
        }
        Request::CashOut(token) => {
            let round = unix_now();
            let leases: Vec<_> =
                node.book().leases().values().filter(|l| !l.is_done()).map(|l| l.id).collect();
            let settled = treasury::settle(&control.sender, &node.reader, &leases, round).await;
            settled.map_err(|error| failed(&error))?;
            let tokens = token.map_or_else(|| node.config().public.tokens.clone(), |token| vec![token]);
            let tokens: Vec<TokenId> = tokens.into_iter().map(TokenId).collect();
            let done = treasury::cash_out(
                &control.sender,
                &node.reader,
                node.me.provider,
                &tokens,
                Dollars::default(),
                round,
            )
            .await;
            done.map(|done| Json(json!(done))).map_err(|error| failed(&error))
        }
        Request::RotatePin => {
            let data_dir = node.config().data_dir.clone();
            let pin = pins::rotate(&data_dir, &control.sender, &node.reader, node.me.provider).await;
            let pin = pin.map_err(|error| failed(&error))?;
            let identity = iono_identity::ServerIdentity::load_or_create(&pins::key_path(&data_dir));
            let identity = identity.map_err(|error| failed(&error))?;
            control.server.use_identity(&identity).map_err(|error| failed(&error))?;
            Ok(Json(json!({ "pin": pin.to_string() })))
        }
        Request::Admit(owner) => {
            let key = format!("admit:{owner}:{}", unix_now());
            let call = IProviderRegistry::admitCall { owner };
            let sent = send(&control.sender, &key, node.reader.book().provider_registry, call).await;
            sent.map(|mined| Json(json!({ "admitted": owner, "transaction": mined.transaction })))
                .map_err(|error| failed(&error))
        }
    }
}

/// Why the daemon did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No daemon runs.
    #[error("no provider daemon answers on {0}; start it with `provider run`")]
    NotRunning(PathBuf),
    /// It refused.
    #[error("the daemon could not do it: {0}")]
    Refused(String),
}

/// Asks the running daemon for its status.
///
/// # Errors
/// [`ControlError`].
pub async fn ask_status(data_dir: &Path) -> Result<Value, ControlError> {
    exchange(data_dir, |client| client.get("http://provider/status")).await
}

/// Asks the running daemon to send something.
///
/// # Errors
/// [`ControlError`].
pub async fn ask(data_dir: &Path, request: &Request) -> Result<Value, ControlError> {
    exchange(data_dir, |client| client.post("http://provider/do").json(request)).await
}

async fn exchange<T: DeserializeOwned>(
    data_dir: &Path,
    request: impl FnOnce(&reqwest::Client) -> reqwest::RequestBuilder,
) -> Result<T, ControlError> {
    let path = socket_path(data_dir);
    let refused = |error: reqwest::Error| ControlError::Refused(error.to_string());
    let client = reqwest::Client::builder().unix_socket(path.clone()).build().map_err(refused)?;
    let answer = request(&client).send().await.map_err(|error| {
        if error.is_connect() { ControlError::NotRunning(path.clone()) } else { refused(error) }
    })?;
    if !answer.status().is_success() {
        return Err(ControlError::Refused(answer.text().await.unwrap_or_default()));
    }
    answer.json().await.map_err(refused)
}
