//! `provider run`: puts the parts together, and takes them apart again without touching the workloads.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::keccak256;
use alloy::signers::local::PrivateKeySigner;
use anyhow::{Context as _, Result};
use iono_bindings::AddressBook;
use iono_chain::{Follower, Rpc, Sender};
use iono_identity::authorisation::Domain;
use iono_identity::{Authenticator, Passphrase, PassphraseSource, ServerIdentity, keystore};
use iono_lease_api::{LeaseApi, LightNodes, Limits, LogAudit, Server};
use iono_primitives::ProviderId;
use iono_router::{PortLeases, Router, RouterConfig};
use iono_runtime::{Owner, Vault};
use iono_store::{Change, SharedStore};
use iono_telemetry::{Check, Health, Shutdown, check_fail_points};

use crate::acts::ChainActs;
use crate::bidding::engine::Engine;
use crate::control::{self, Control};
use crate::gateway::{Carrier, Gateway};
use crate::{backend, gas, pins, treasury};
use iono_host::api::access::ChainAccess;
use iono_host::api::service::Service;
use iono_host::config::Config;
use iono_host::lease::manifests::Manifests;
use iono_host::lease::reconcile::Reconciler;
use iono_host::market::book::Book;
use iono_host::market::party::Party;
use iono_host::market::reader::Reader;
use iono_host::node::{Node, Parts};
use iono_host::start::{self, SELF};
use iono_host::{certificates, follow, machine, reload, vitals};

/// Time for requests and transactions under way when the daemon ends.
const DRAIN: Duration = Duration::from_secs(15);
/// Wait between attempts while the registry cannot be asked or does not know this provider.
const AGAIN: Duration = Duration::from_secs(2);

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// When a part cannot start: the message says which and what to do.
pub async fn run(config: Config, source: reload::Source) -> Result<()> {
    check_fail_points(&backend::all_fail_points())?;
    iono_telemetry::init(&config.telemetry)?;
    let (health, shutdown) = (Health::default(), Shutdown::on_signals()?);
    // All of them from the start: not ready before each has said so.
    let checks = Checks::new(&health);

    start::make_private(&config.data_dir)?;
    let book = config.chain.address_book()?;
    let hot_key = open_hot_key(&config).await?;
    let store = iono_store::connect(&config.store_url()).await?;
    let rpc = Rpc::connect(&config.chain, book.chain_id, checks.rpc.clone())?;
    let sender =
        Sender::start(&rpc, store.clone(), hot_key.clone(), &config.chain.sender, &health, &shutdown).await?;
    // The key's lock first: who holds it holds the addresses as well.
    iono_telemetry::serve(&config.telemetry, &health, &shutdown).await?;
    let reader = Reader::new(rpc.provider().clone(), book.clone(), config.chain.max_range);
    let Some(me) = who_am_i(&store, &reader, &hot_key, &checks.registration, &shutdown).await? else {
        return Ok(());
    };
    let Some(identity) = tls_key(&config, &sender, &reader, me, &shutdown).await? else { return Ok(()) };

    let mut followed = start::followed(&book);
    // Light nodes are a gateway's business.
    followed.extend(book.fizz_registry.filter(|_| config.subnet.is_some()));
    let follower = Follower::new(&rpc, store.clone(), &config.chain, book.start_block, followed).await?;
    let node = Arc::new(Node::new(parts(config, me, hot_key, reader, sender.clone(), store).await?));
    let gateway = match node.config().subnet.clone() {
        Some(subnet) => {
            Some(Gateway::start(Arc::clone(&node), subnet, identity.clone(), shutdown.token()).await?)
        }
        None => None,
    };
    start(&node, (&sender, gateway), follower, &source, &identity, (&health, checks), &shutdown)?;
    tracing::info!(provider = %me, "provider running");

    shutdown.drain(DRAIN).await;
    node.save().await?;
    // Requests to tenants' services that are under way may finish.
    if let Ok(node) = Arc::try_unwrap(node) {
        node.router.shutdown(DRAIN / 3).await;
    }
    tracing::info!("ended; workloads run on");
    Ok(())
}

/// What `/readyz` shows, beside the sender's own checks.
struct Checks {
    rpc: Check,
    registration: Check,
    chain: Check,
    engine: Check,
    disk: Check,
    clock: Check,
    config: Check,
    certificates: Check,
    control: Check,
}

impl Checks {
    fn new(health: &Health) -> Self {
        Self {
            rpc: health.check("rpc"),
            registration: health.check("registration"),
            chain: health.check("chain"),
            engine: health.check("engine"),
            disk: health.check("disk"),
            clock: health.check("clock"),
            config: health.check("config"),
            certificates: health.check("certificates"),
            control: health.check("control"),
        }
    }
}

async fn parts(
    config: Config,
    me: ProviderId,
    hot_key: PrivateKeySigner,
    reader: Reader,
    sender: Sender,
    store: SharedStore,
) -> Result<Parts> {
    let [orders, leases] = Book::namespaces();
    let party = Party::provider(me);
    let book = Book::restore(party, &store.documents(orders).await?, &store.documents(leases).await?)?;
    let vault = vault(&hot_key, reader.book(), me);
    let runtime = backend::open(&config, vault.clone()).await?;
    let ports = config.listen.ports;
    Ok(Parts {
        me: party,
        acts: Arc::new(ChainActs { sender, hot_key, book: reader.book().clone() }),
        machine: machine::of_this(&config)?,
        reader,
        records_since: start::records_since(&store).await?,
        store,
        manifests: Manifests::new(Arc::clone(&runtime), vault),
        runtime,
        router: router(&config).await?,
        ports: PortLeases::open(config.data_dir.join("ports.json"), ports.first..=ports.last)?,
        book,
        config,
    })
}

/// Starts everything that works in the background.
fn start(
    node: &Arc<Node>,
    (sender, gateway): (&Sender, Option<Arc<Gateway>>),
    follower: Follower,
    source: &reload::Source,
    identity: &ServerIdentity,
    (health, checks): (&Health, Checks),
    shutdown: &Shutdown,
) -> Result<()> {
    let token = || shutdown.token();
    let reconciler = Reconciler::new(Arc::clone(node), checks.engine, token());
    let server = Arc::new(lease_api(node, &reconciler, gateway.as_ref(), identity)?);
    let control = Control {
        node: Arc::clone(node),
        sender: sender.clone(),
        gateway: gateway.clone(),
        health: health.clone(),
        server: Arc::clone(&server),
    };

    shutdown.spawn("follow", follow::run(Arc::clone(node), follower, checks.chain, token()));
    shutdown.spawn("bidding", Engine::new(Arc::clone(node), sender.clone(), gateway.clone(), token()).run());
    if let Some(gateway) = gateway {
        shutdown.spawn("gateway", gateway.run());
    }
    shutdown.spawn("leases", reconciler.run());
    shutdown.spawn("treasury", treasury::run(Arc::clone(node), sender.clone(), token()));
    shutdown.spawn("gas", gas::run(Arc::clone(node), sender.address(), token()));
    shutdown.spawn("vitals", vitals::run(Arc::clone(node), checks.disk, checks.clock, token()));
    let reloaded = reload::Checks { config: checks.config, certificates: checks.certificates };
    shutdown.spawn("reload", reload::run(Arc::clone(node), source.clone(), reloaded, token()));
    let (check, ended) = (checks.control, token());
    check.ok();
    shutdown.spawn("control", async move {
        if let Err(error) = control::serve(control, ended).await {
            check.fail(format!("commands cannot reach the daemon: {error}"));
        }
    });
    let ended = token();
    shutdown.spawn("lease-api", async move {
        ended.cancelled().await;
        // The control socket holds the other handle and goes with the same token.
        while Arc::strong_count(&server) > 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if let Ok(server) = Arc::try_unwrap(server) {
            server.drain(DRAIN / 2).await;
        }
    });
    Ok(())
}

fn lease_api(
    node: &Arc<Node>,
    reconciler: &Arc<Reconciler>,
    gateway: Option<&Arc<Gateway>>,
    identity: &ServerIdentity,
) -> Result<Server> {
    let book = node.reader.book();
    let domain = Domain { chain_id: book.chain_id, lease_access: book.lease_access };
    let api = LeaseApi {
        service: Arc::new(Service::new(Arc::clone(node), Arc::clone(reconciler))),
        authenticator: Authenticator::new(domain, Arc::new(ChainAccess::new(Arc::clone(node)))),
        audit: Arc::new(LogAudit),
        limits: Limits::default(),
        light_nodes: gateway.map(|gateway| Arc::new(Carrier(Arc::clone(gateway))) as Arc<dyn LightNodes>),
    };
    let address = node.config().listen.lease_api;
    let listener = std::net::TcpListener::bind(address)
        .with_context(|| format!("cannot listen on {address} for the lease API; see listen.lease_api"))?;
    Ok(Server::start(listener, identity, api)?)
}

/// The router with the certificates that can be read by now; `reload` says what is wrong with the others.
async fn router(config: &Config) -> Result<Router> {
    let https = certificates::any(config).then_some(config.listen.https);
    let http = Some(config.listen.http);
    let router = Router::start(RouterConfig { http, https, ..RouterConfig::default() }).await?;
    certificates::load(config, router.certificates());
    Ok(router)
}

/// Seals manifests with a key that the hot key gives again after this machine's disk is lost.
#[must_use]
pub fn vault(hot_key: &PrivateKeySigner, book: &AddressBook, me: ProviderId) -> Vault {
    let secret =
        keccak256([b"ionosphere/provider/manifests".as_slice(), hot_key.to_bytes().as_slice()].concat());
    Vault::new(&secret.0, Owner { chain_id: book.chain_id, registry: book.provider_registry, provider: me })
}

/// Opens the hot key.
///
/// # Errors
/// When the keystore or its passphrase cannot be read or do not fit.
pub async fn open_hot_key(config: &Config) -> Result<PrivateKeySigner> {
    let keys = config.keys()?;
    let passphrase = passphrase(keys.passphrase_file.as_deref(), "hot-key-passphrase")?;
    Ok(keystore::open(&keys.hot_key, &passphrase).await?)
}

/// A passphrase from a file, or from a systemd credential.
///
/// # Errors
/// When neither can be read.
pub fn passphrase(file: Option<&Path>, credential: &str) -> Result<Passphrase> {
    let source = match file {
        Some(file) => PassphraseSource::File(file.to_owned()),
        None => PassphraseSource::Credential(credential.to_owned()),
    };
    Ok(source.read()?)
}

/// This provider's id: as it was before, or as the registry says. Waits while the registry cannot be asked or does not
/// know the hot key; `None` when the daemon is asked to end meanwhile.
async fn who_am_i(
    store: &SharedStore,
    reader: &Reader,
    hot_key: &PrivateKeySigner,
    check: &Check,
    shutdown: &Shutdown,
) -> Result<Option<ProviderId>> {
    let token = shutdown.token();
    if let Some(stored) = store.document(SELF, "provider").await? {
        check.ok();
        return Ok(Some(stored.parse()?));
    }
    loop {
        match reader.profile_of(hot_key.address()).await {
            Ok(profile) if profile.id != 0 => {
                let me = ProviderId(profile.id);
                store.change(&[Change::put(SELF, "provider", &me)?]).await?;
                check.ok();
                return Ok(Some(me));
            }
            Ok(_) => check.fail(format!(
                "the registry knows no provider with the hot key {}; run `provider register`, or wait for its approval",
                hot_key.address()
            )),
            Err(error) => check.fail(error.to_string()),
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = token.cancelled() => return Ok(None),
        }
    }
}

/// The key to serve with; during an outage the one that is here, since it was announced before.
async fn tls_key(
    config: &Config,
    sender: &Sender,
    reader: &Reader,
    me: ProviderId,
    shutdown: &Shutdown,
) -> Result<Option<ServerIdentity>> {
    let token = shutdown.token();
    loop {
        match pins::ready(&config.data_dir, sender, reader, me).await {
            Ok(identity) => return Ok(Some(identity)),
            Err(pins::PinError::Read(error)) if pins::key_path(&config.data_dir).exists() => {
                tracing::warn!(%error, "the registered pin cannot be read; serving with the key that is here");
                return Ok(Some(ServerIdentity::load_or_create(&pins::key_path(&config.data_dir))?));
            }
            Err(pins::PinError::Read(error)) => tracing::warn!(%error, "waiting for the chain"),
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = token.cancelled() => return Ok(None),
        }
    }
}
