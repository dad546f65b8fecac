//! The tunnel to the gateway and what is said over it: who this is, requests for changes on chain, and the gateway's words
//! handed to the parts that they are for. The chain says which keys the gateway has.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use iono_host::acts::{Act, ActError, Acts};
use iono_host::api::quote;
use iono_host::config::Gateway;
use iono_host::market::lease::Facts;
use iono_host::subnet::{FromGateway, FromNode, VERSION};
use iono_identity::{Pin, ServerIdentity};
use iono_lease_api::SignedQuote;
use iono_primitives::LeaseId;
use iono_telemetry::Check;
use iono_tunnel::{Client, ClientConfig, Limits, Services, State, TunnelError};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// How long a change on chain is waited for; the gateway's own sender goes on longer, and the next attempt finds it done.
const PATIENCE: Duration = Duration::from_secs(90);
/// Time for streams under way when the daemon ends.
const DRAIN: Duration = Duration::from_secs(5);

/// What the gateway says of the outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// `host:port` under which tenants reach lease APIs and ports.
    pub endpoint: String,
    /// Services get `<service>-<lease>.<domain>`.
    pub domain: String,
}

/// The way to the gateway.
pub struct Link {
    me: Gateway,
    client: Mutex<Option<Client>>,
    calls: Mutex<HashMap<u64, oneshot::Sender<Reply>>>,
    next_call: AtomicU64,
    /// Counts connections on which the gateway said welcome; 0 while there is none.
    welcome: watch::Sender<u64>,
    terms: watch::Sender<Option<Terms>>,
    /// Words that other parts handle.
    words: mpsc::Sender<FromGateway>,
}

type Reply = Result<Option<SignedQuote>, String>;

impl Link {
    /// A link that is not open yet; `terms` are those of the last time. The gateway's other words come out of the receiver.
    #[must_use]
    pub fn new(me: Gateway, terms: Option<Terms>) -> (Arc<Self>, mpsc::Receiver<FromGateway>) {
        let (words, receiver) = mpsc::channel(64);
        let link = Self {
            me,
            client: Mutex::default(),
            calls: Mutex::default(),
            next_call: AtomicU64::new(1),
            welcome: watch::Sender::new(0),
            terms: watch::Sender::new(terms),
            words,
        };
        (Arc::new(link), receiver)
    }

    fn client(&self) -> MutexGuard<'_, Option<Client>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Reply>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the gateway said last of the outside.
    #[must_use]
    pub fn terms(&self) -> watch::Receiver<Option<Terms>> {
        self.terms.subscribe()
    }

    /// The number of the present welcome, 0 while there is none: after another one everything is said again.
    #[must_use]
    pub fn welcome(&self) -> u64 {
        *self.welcome.borrow()
    }

    /// Says something; `false` when it has to be said again.
    #[must_use]
    pub fn say(&self, word: &FromNode) -> bool {
        let Ok(text) = serde_json::to_vec(word) else { return false };
        match self.client().as_ref().map(|client| client.send(text.into())) {
            Some(Ok(())) => true,
            Some(Err(TunnelError::MessageTooLong)) => {
                tracing::warn!(?word, "too long for the gateway");
                true
            }
            Some(Err(_)) | None => false,
        }
    }

    /// Keeps the tunnel open with the keys that `pins` names, until the token is cancelled.
    pub async fn run(
        self: Arc<Self>,
        identity: ServerIdentity,
        services: Services,
        mut pins: watch::Receiver<Vec<Pin>>,
        check: Check,
        token: CancellationToken,
    ) {
        let mut counted = 0;
        while !token.is_cancelled() {
            let config = ClientConfig {
                gateway: self.me.address.clone(),
                pins: pins.borrow_and_update().clone(),
                identity: identity.clone(),
                services: Arc::clone(&services),
                limits: Limits::default(),
            };
            let (client, mut messages) = match Client::start(config) {
                Ok(started) => started,
                Err(error) => return check.fail(format!("the tunnel cannot be used: {error}")),
            };
            let mut state = client.state();
            *self.client() = Some(client);
            loop {
                tokio::select! {
                    Some(bytes) = messages.recv() => self.heard(&bytes, &mut counted, &check).await,
                    changed = state.changed() => {
                        if changed.is_err() {
                            break;
                        }
                        let now = state.borrow_and_update().clone();
                        self.changed(&now, &check);
                    }
                    // Another key of the gateway: a tunnel of its own.
                    _ = pins.changed() => break,
                    () = token.cancelled() => break,
                }
            }
            let client = self.client().take();
            self.welcome.send_replace(0);
            if let Some(client) = client {
                client.leave(DRAIN).await;
            }
        }
    }

    fn changed(&self, state: &State, check: &Check) {
        match state {
            State::Away { why } => {
                self.welcome.send_replace(0);
                self.calls().clear();
                let why = why.as_deref().unwrap_or("connecting");
                check.fail(format!("the gateway {} is out of reach: {why}", self.me.address));
            }
            State::Connected { .. } => {
                let software = concat!("ionosphere-fizz/", env!("CARGO_PKG_VERSION")).to_owned();
                let hello = FromNode::Hello { version: VERSION, fizz: self.me.fizz, software };
                if !self.say(&hello) {
                    tracing::warn!("the gateway cannot be greeted");
                }
            }
        }
    }

    async fn heard(&self, bytes: &Bytes, counted: &mut u64, check: &Check) {
        let word = match serde_json::from_slice::<FromGateway>(bytes) {
            Ok(word) => word,
            Err(error) => return tracing::warn!(%error, "the gateway said what is not understood"),
        };
        match word {
            FromGateway::Welcome { provider, endpoint, domain } if provider == self.me.provider => {
                *counted += 1;
                self.terms.send_replace(Some(Terms { endpoint, domain }));
                self.welcome.send_replace(*counted);
                check.ok();
                tracing::info!(%provider, gateway = self.me.address, "the gateway is there");
            }
            FromGateway::Welcome { provider, .. } => {
                check.fail(format!(
                    "{} is the gateway of provider {provider}, see gateway.provider",
                    self.me.address
                ));
            }
            FromGateway::Refused { why } => check.fail(format!("the gateway refuses this machine: {why}")),
            FromGateway::Done { call, error, quote } => {
                if let Some(waiting) = self.calls().remove(&call) {
                    // Who gave up waiting finds out by itself.
                    let _ = waiting.send(error.map_or(Ok(quote), Err));
                }
            }
            word => {
                if self.words.send(word).await.is_err() {
                    tracing::debug!("nobody listens to the gateway any more");
                }
            }
        }
    }

    async fn call(&self, word: impl FnOnce(u64) -> FromNode) -> Result<Option<SignedQuote>, ActError> {
        let away = || ActError::Gateway("it is out of reach".to_owned());
        if self.welcome() == 0 {
            return Err(away());
        }
        let call = self.next_call.fetch_add(1, Relaxed);
        let (sender, reply) = oneshot::channel();
        self.calls().insert(call, sender);
        let said = self.say(&word(call));
        let reply =
            if said { tokio::time::timeout(PATIENCE, reply).await } else { Ok(Ok(Err("busy".to_owned()))) };
        self.calls().remove(&call);
        match reply {
            Ok(Ok(done)) => done.map_err(ActError::Gateway),
            Ok(Err(_)) => Err(away()),
            Err(_) => Err(ActError::Gateway(format!("no answer within {} s", PATIENCE.as_secs()))),
        }
    }
}

#[async_trait]
impl Acts for Link {
    async fn act(&self, lease: LeaseId, _: &Facts, change: Act) -> Result<(), ActError> {
        self.call(|call| FromNode::Act { call, lease, change }).await?;
        tracing::info!(%lease, ?change, "done by the gateway");
        Ok(())
    }

    async fn sign(&self, offer: quote::Offer) -> Result<SignedQuote, ActError> {
        let quote = self.call(|call| FromNode::Sign { call, offer }).await?;
        quote.ok_or_else(|| ActError::Gateway("it sent no quote".to_owned()))
    }
}
