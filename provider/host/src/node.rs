//! What all parts of a running daemon share: settings, the book, the chain, the engine, the router.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use alloy::primitives::Address;
use iono_bindings::{ProfileWord, TokenWord};
use iono_primitives::{FizzId, LeaseId, TokenId};
use iono_router::{PortLeases, Router};
use iono_runtime::{Enforcement, Machine, Runtime};
use iono_store::{SharedStore, StoreError};
use tokio::sync::{Notify, watch};

use crate::acts::Acts;
use crate::capacity::{Claim, Free, Offer, cluster};
use crate::config::{Config, Engine};
use crate::lease::manifests::Manifests;
use crate::machine;
use crate::market::book::Book;
use crate::market::lease::Lease;
use crate::market::order::LeaseSpec;
use crate::market::party::Party;
use crate::market::reader::{Head, Reader};
use crate::market::unread::Unread;
use crate::outside::Outside;

/// A chain that was silent for so long is not bid on: a bid that cannot be confirmed in time costs a penalty.
const SILENCE: Duration = Duration::from_secs(60);

/// The parts of one running provider or light node.
pub struct Node {
    /// Whose leases are hosted here.
    pub me: Party,
    /// What the machine has, all its cards included; see [`Node::offer`].
    pub machine: Offer,
    /// Reads the contracts.
    pub reader: Reader,
    /// Changes leases on chain.
    pub acts: Arc<dyn Acts>,
    /// Keeps the book.
    pub store: SharedStore,
    /// The container engine.
    pub runtime: Arc<dyn Runtime>,
    /// Manifests, kept by the engine.
    pub manifests: Manifests,
    /// Hosts and ports.
    pub router: Router,
    /// Which port belongs to whom.
    pub ports: PortLeases,
    /// What a gateway opened for it.
    pub outside: Outside,
    /// Orders have to be looked at.
    pub orders_changed: Notify,
    /// Leases have to be looked at.
    pub leases_changed: Notify,
    /// Counts changes of owners, delegates and leases.
    pub access_changed: watch::Sender<u64>,
    /// When this provider's records begin, unix seconds.
    pub records_since: u64,
    book: Mutex<Book>,
    unread_nodes: Mutex<Unread>,
    /// Held while the book is written, so that an older state never overwrites a newer one.
    saving: tokio::sync::Mutex<()>,
    config: RwLock<Arc<Config>>,
    view: RwLock<View>,
}

/// What a node is made of.
pub struct Parts {
    /// See [`Node::me`].
    pub me: Party,
    /// See [`Node::machine`].
    pub machine: Offer,
    /// See [`Node::reader`].
    pub reader: Reader,
    /// See [`Node::acts`].
    pub acts: Arc<dyn Acts>,
    /// See [`Node::store`].
    pub store: SharedStore,
    /// See [`Node::runtime`].
    pub runtime: Arc<dyn Runtime>,
    /// See [`Node::manifests`].
    pub manifests: Manifests,
    /// See [`Node::router`].
    pub router: Router,
    /// See [`Node::ports`].
    pub ports: PortLeases,
    /// See [`Node::records_since`].
    pub records_since: u64,
    /// Orders and leases as they were stored.
    pub book: Book,
    /// The settings.
    pub config: Config,
}

/// What is known of the chain beside the book.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The newest block.
    pub head: Head,
    /// When the chain was last heard of.
    pub heard: Option<Instant>,
    /// Everything up to the head was read.
    pub caught_up: bool,
    /// This provider as the registry has it.
    pub profile: ProfileWord,
    /// Payment tokens by id.
    pub tokens: Vec<TokenWord>,
    /// Their contracts.
    pub assets: Vec<Address>,
    /// Why the engine cannot take new leases, if so.
    pub engine: Option<String>,
    /// Whether the engine can assign GPUs; `None` until a machine with such was told.
    pub gpu_support: Option<Enforcement>,
    /// What a cluster's machines have and who took it; `None` until they were asked, and for an engine of this machine.
    pub machines: Option<Vec<Machine>>,
    /// Why leases would not be kept apart, if so.
    pub isolation: Option<String>,
    /// Why the disk cannot take new leases, if so.
    pub disk: Option<String>,
    /// Why nothing can be sent to the chain from here, if so: the hot key is short of gas, the gateway is away.
    pub voice: Option<String>,
}

impl Node {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let config = Arc::new(parts.config);
        Self {
            me: parts.me,
            machine: parts.machine,
            reader: parts.reader,
            acts: parts.acts,
            store: parts.store,
            runtime: parts.runtime,
            manifests: parts.manifests,
            router: parts.router,
            ports: parts.ports,
            outside: Outside::default(),
            orders_changed: Notify::new(),
            leases_changed: Notify::new(),
            access_changed: watch::Sender::new(0),
            records_since: parts.records_since,
            book: Mutex::new(parts.book),
            unread_nodes: Mutex::default(),
            saving: tokio::sync::Mutex::new(()),
            config: RwLock::new(Arc::clone(&config)),
            view: RwLock::new(View {
                engine: Some("the container engine was not asked yet".to_owned()),
                voice: Some("it is not known yet whether anything can be sent to the chain".to_owned()),
                isolation: (config.runtime.engine == Engine::Kubernetes)
                    .then(|| "it is not known yet whether the cluster keeps leases apart".to_owned()),
                ..View::default()
            }),
        }
    }

    /// The settings now.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the settings.
    pub fn configure(&self, config: Config) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        self.orders_changed.notify_one();
    }

    /// Orders and leases; never held over an await.
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of the chain beside the book.
    #[must_use]
    pub fn view(&self) -> View {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes what is known of the chain beside the book.
    pub fn change_view(&self, change: impl FnOnce(&mut View)) {
        change(&mut self.view.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Writes what changed in the book; `commit` gets the changes and writes them with whatever else belongs to them.
    ///
    /// # Errors
    /// The store's; the changes are kept for the next time.
    pub async fn save_with<E: From<StoreError>>(
        &self,
        commit: impl AsyncFnOnce(&[iono_store::Change]) -> Result<(), E>,
    ) -> Result<(), E> {
        let _saving = self.saving.lock().await;
        let changes = self.book().take_changes()?;
        let written = commit(&changes).await;
        if written.is_err() {
            self.book().keep_dirty(&changes);
        }
        written
    }

    /// Writes what changed in the book.
    ///
    /// # Errors
    /// The store's; the changes are kept for the next time.
    pub async fn save(&self) -> Result<(), StoreError> {
        self.save_with(
            async |changes| {
                if changes.is_empty() { Ok(()) } else { self.store.change(changes).await }
            },
        )
        .await
    }

    /// Notes light nodes whose records have to be read again.
    pub fn note_unread(&self, nodes: Unread) {
        self.unread_nodes.lock().unwrap_or_else(PoisonError::into_inner).add(nodes);
    }

    /// Those that were noted since this was asked last; all of them at first.
    #[must_use]
    pub fn take_unread(&self) -> Unread {
        let mut nodes = self.unread_nodes.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut nodes, Unread::NONE)
    }

    /// Whether it is a light node, which its gateway's visitors reach.
    #[must_use]
    pub fn has_gateway(&self) -> bool {
        self.me.fizz != FizzId(0)
    }

    /// Whether a lease runs here, and not on one of this provider's light nodes. One of which nothing is known yet may.
    #[must_use]
    pub fn serves(&self, lease: &Lease) -> bool {
        lease.facts.as_ref().is_none_or(|facts| FizzId(facts.words.fizz) == self.me.fizz)
    }

    /// What is offered to the market with the settings of now.
    #[must_use]
    pub fn offer(&self) -> Offer {
        let config = self.config();
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        let all = match &view.machines {
            Some(machines) => cluster::offer(machines, &config.runtime.kubernetes),
            None => machine::assignable(self.machine.clone(), view.gpu_support.as_ref()),
        };
        Offer::of(all, &config.reserve, &config.offer)
    }

    /// What of the offer is neither leased nor reserved, except by `except`.
    #[must_use]
    pub fn free(&self, book: &Book, except: Option<u64>) -> Free {
        let offer = self.offer();
        let except = except.map(LeaseId);
        let claims: Vec<Claim<'_>> =
            claims(book, self.me).filter(|claim| Some(claim.lease) != except).collect();
        offer.free(&claims, except)
    }

    /// A payment token and its contract, if it is known.
    #[must_use]
    pub fn token(&self, token: TokenId) -> Option<(TokenWord, Address)> {
        let (view, id) = (self.view.read().unwrap_or_else(PoisonError::into_inner), usize::from(token.0));
        view.tokens.get(id).copied().zip(view.assets.get(id).copied())
    }

    /// Why no bid can be made at present: whatever would keep a won lease from being confirmed and served.
    #[must_use]
    pub fn obstacle(&self, host_now: u64) -> Option<String> {
        let view = self.view();
        if !view.caught_up || view.heard.is_none_or(|heard| heard.elapsed() > SILENCE) {
            return Some("this provider does not see the chain's head at present".to_owned());
        }
        let skew = host_now.abs_diff(view.head.timestamp);
        let most = self.config().bidding.max_clock_skew.0.as_secs();
        if skew > most {
            return Some(format!(
                "clocks: this machine and the chain are {skew} s apart, {most} s at most are safe"
            ));
        }
        let unknown = !self.machine.gpus.is_empty() && view.gpu_support.is_none();
        let gpus = unknown.then(|| "the engine has not said yet whether it can assign GPUs".to_owned());
        view.engine.or(gpus).or(view.isolation).or(view.disk).or(view.voice)
    }
}

/// Everything that holds capacity here.
pub fn claims(book: &Book, me: Party) -> impl Iterator<Item = Claim<'_>> {
    let orders = book
        .orders()
        .values()
        .filter(move |tracked| {
            tracked.holds_capacity(me) && !book.leases().contains_key(&tracked.order.id.into())
        })
        .map(|tracked| Claim { lease: tracked.order.id.into(), spec: &tracked.order.spec, devices: &[] });
    let leases = book.leases().values().filter(|lease| lease.holds_capacity()).filter_map(move |lease| {
        let spec: &LeaseSpec = match &lease.facts {
            Some(facts) => (FizzId(facts.words.fizz) == me.fizz).then_some(&facts.spec)?,
            None => {
                let ordered = book.orders().get(&lease.id.into())?;
                (ordered.fizz == me.fizz).then_some(&ordered.order.spec)?
            }
        };
        Some(Claim { lease: lease.id, spec, devices: &lease.devices })
    });
    orders.chain(leases)
}
