//! `fizz run`: puts the parts together, and takes them apart again without touching the workloads.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::keccak256;
use anyhow::{Context as _, Result};
use iono_chain::{Follower, Rpc};
use iono_host::api::access::ChainAccess;
use iono_host::api::service::Service;
use iono_host::config::{Config, Gateway, Public};
use iono_host::lease::manifests::Manifests;
use iono_host::lease::reconcile::Reconciler;
use iono_host::market::book::Book;
use iono_host::market::party::Party;
use iono_host::market::reader::Reader;
use iono_host::node::{Node, Parts};
use iono_host::start::{self, SELF};
use iono_host::subnet::{FromGateway, FromNode};
use iono_host::{engine, follow, machine, reload, vitals};
use iono_identity::authorisation::Domain;
use iono_identity::{Authenticator, Pin, ServerIdentity};
use iono_lease_api::{LeaseApi, Limits, LogAudit, Server};
use iono_primitives::ProviderId;
use iono_router::{PortLeases, Router, RouterConfig};
use iono_runtime::{Owner, Vault};
use iono_runtime_docker::DockerRuntime;
use iono_store::{Change, SharedStore};
use iono_telemetry::{Health, Shutdown, check_fail_points};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::link::{Link, Terms};
use crate::offers;
use crate::rest::Rest;
use crate::ways::{Doors, Ways};

/// Time for requests under way when the daemon ends.
const DRAIN: Duration = Duration::from_secs(10);
/// Wait between attempts to read what is needed at the start.
const AGAIN: Duration = Duration::from_secs(2);
/// How often the gateway's keys are read again.
const KEYS: Duration = Duration::from_secs(30);
/// How often it is looked for what the gateway does not know yet.
const TELL: Duration = Duration::from_millis(300);

/// Every place where this program may be told to die, for tests.
#[must_use]
pub fn fail_points() -> Vec<&'static [&'static str]> {
    vec![iono_host::FAIL_POINTS, iono_chain::FAIL_POINTS, iono_runtime_docker::FAIL_POINTS]
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// When a part cannot start: the message says which and what to do.
pub async fn run(config: Config, source: reload::Source) -> Result<()> {
    check_fail_points(&fail_points())?;
    iono_telemetry::init(&config.telemetry)?;
    let (health, shutdown) = (Health::default(), Shutdown::on_signals()?);
    let gateway = config.gateway.clone().context("the settings have no [gateway]")?;
    let tunnel = health.check("gateway");
    let checks =
        ["chain", "engine", "disk", "clock", "config", "certificates"].map(|name| health.check(name));
    let [chain, engine_check, disk, clock, settings, certificates] = checks;

    start::make_private(&config.data_dir)?;
    let book = config.chain.address_book()?;
    let store = iono_store::connect(&config.store_url()).await?;
    let rpc = Rpc::connect(&config.chain, book.chain_id, health.check("rpc"))?;
    let reader = Reader::new(rpc.provider().clone(), book.clone(), config.chain.max_range);
    iono_telemetry::serve(&config.telemetry, &health, &shutdown).await?;
    let identity = ServerIdentity::load_or_create(&key_path(&config.data_dir))?;

    let Some(pins) = gateway_keys(&reader, &store, &gateway, &shutdown.token()).await? else { return Ok(()) };
    let known: Option<Terms> = match store.document(SELF, "terms").await? {
        Some(stored) => Some(stored.parse()?),
        None => None,
    };
    let (link, words) = Link::new(gateway.clone(), known);
    let doors = Arc::new(Doors::default());
    let opened = Arc::clone(&link).run(
        identity.clone(),
        Arc::clone(&doors).services(),
        pins,
        tunnel,
        shutdown.token(),
    );
    shutdown.spawn("tunnel", opened);
    let Some(terms) = first_terms(&link, &shutdown.token()).await else { return Ok(()) };

    let follower =
        Follower::new(&rpc, store.clone(), &config.chain, book.start_block, start::followed(&book)).await?;
    let parts = parts(with_terms(config, &terms), &gateway, Arc::clone(&link), reader, store).await?;
    let node = Arc::new(Node::new(parts));
    let token = || shutdown.token();
    let reconciler = Reconciler::new(Arc::clone(&node), engine_check, token());
    let server = lease_api(&node, &reconciler, &identity)?;
    doors.open(Arc::clone(&node), server.address());
    shutdown.spawn("follow", follow::run(Arc::clone(&node), follower, chain, token()));
    shutdown.spawn("leases", reconciler.run());
    shutdown.spawn("vitals", vitals::run(Arc::clone(&node), disk, clock, token()));
    let reloaded = reload::Checks { config: settings, certificates };
    shutdown.spawn("reload", reload::run(Arc::clone(&node), source, reloaded, token()));
    shutdown.spawn("subnet", talk(Arc::clone(&node), link, words, token()));
    tracing::info!(provider = %gateway.provider, fizz = %gateway.fizz, pin = %identity.pin(), "light node running");

    token().cancelled().await;
    server.drain(DRAIN / 2).await;
    shutdown.drain(DRAIN).await;
    node.save().await?;
    tracing::info!("ended; workloads run on");
    Ok(())
}

/// The key of the lease API and the tunnel.
#[must_use]
pub fn key_path(data_dir: &Path) -> PathBuf {
    data_dir.join("tls.pem")
}

/// The gateway's keys as its provider's record has them, kept up to date; those of the last time while the chain is out of
/// reach. `None` when the daemon is asked to end meanwhile.
async fn gateway_keys(
    reader: &Reader,
    store: &SharedStore,
    gateway: &Gateway,
    token: &CancellationToken,
) -> Result<Option<watch::Receiver<Vec<Pin>>>> {
    let provider = gateway.provider;
    let stored = store.document(SELF, "gateway_keys").await?;
    let known: Option<Vec<alloy::primitives::B256>> =
        stored.as_ref().map(iono_store::Document::parse).transpose()?;
    let read = move |reader: Reader| async move {
        let (current, next) = reader.pins(provider).await?;
        Ok::<_, iono_host::market::reader::ReadError>(vec![current, next])
    };
    let first = loop {
        match (read(reader.clone()).await, &known) {
            (Ok(keys), _) => break keys,
            (Err(error), Some(keys)) => {
                tracing::warn!(%error, "the gateway's keys cannot be read; using those of the last time");
                break keys.clone();
            }
            (Err(error), None) => tracing::warn!(%error, "waiting for the chain"),
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = token.cancelled() => return Ok(None),
        }
    };
    store.change(&[Change::put(SELF, "gateway_keys", &first)?]).await?;
    // The zero key is nobody's, so one that is not set admits none.
    let pins = |keys: &[alloy::primitives::B256]| keys.iter().copied().map(Pin).collect::<Vec<_>>();
    let (sender, receiver) = watch::channel(pins(&first));
    let (reader, token) = (reader.clone(), token.clone());
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(KEYS) => {}
                () = token.cancelled() => return,
            }
            if let Ok(keys) = read(reader.clone()).await {
                let keys = pins(&keys);
                sender.send_if_modified(|known| {
                    let changed = *known != keys;
                    *known = keys;
                    changed
                });
            }
        }
    });
    Ok(Some(receiver))
}

/// Waits for what the gateway says of the outside, unless it is known from the last time.
async fn first_terms(link: &Link, token: &CancellationToken) -> Option<Terms> {
    let mut terms = link.terms();
    tokio::select! {
        known = terms.wait_for(Option::is_some) => known.ok()?.clone(),
        () = token.cancelled() => None,
    }
}

fn with_terms(config: Config, terms: &Terms) -> Config {
    let public =
        Public { endpoint: terms.endpoint.clone(), domain: terms.domain.clone(), ..config.public.clone() };
    Config { public, ..config }
}

async fn parts(
    config: Config,
    gateway: &Gateway,
    link: Arc<Link>,
    reader: Reader,
    store: SharedStore,
) -> Result<Parts> {
    let me = Party { provider: gateway.provider, fizz: gateway.fizz };
    let [orders, leases] = Book::namespaces();
    let book = Book::restore(me, &store.documents(orders).await?, &store.documents(leases).await?)?;
    let registry = reader.book().fizz_registry.unwrap_or(reader.book().provider_registry);
    // Numbers of light nodes are unique, so that several of a machine keep apart.
    let provider = ProviderId(gateway.fizz.0);
    let owner = Owner { chain_id: reader.book().chain_id, registry, provider };
    let vault = Vault::new(&manifests_key(&config.data_dir)?, owner);
    let runtime = Arc::new(DockerRuntime::new(engine::docker(&config, vault.clone())?));
    // Nobody but the tunnel comes in.
    let here = Ipv4Addr::LOCALHOST;
    let router = Router::start(RouterConfig {
        http: Some(SocketAddr::from((here, 0))),
        ports_on: here.into(),
        behind: true,
        ..RouterConfig::default()
    });
    let ports = config.listen.ports;
    Ok(Parts {
        me,
        acts: link,
        machine: machine::of_this(&config)?,
        reader,
        records_since: start::records_since(&store).await?,
        store,
        manifests: Manifests::new(runtime.clone(), vault),
        runtime,
        router: router.await?,
        ports: PortLeases::open(config.data_dir.join("ports.json"), ports.first..=ports.last)?,
        book,
        config,
    })
}

/// What seals manifests: drawn once, for this user alone to read.
fn manifests_key(data_dir: &Path) -> Result<[u8; 32]> {
    let path = data_dir.join("manifests.key");
    let told = || format!("cannot use {}", path.display());
    if !path.exists() {
        let drawn: [u8; 32] = rand::random();
        let next = path.with_extension("new");
        let mut options = std::fs::OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o600).open(&next).with_context(told)?;
        file.write_all(&drawn).and_then(|()| file.sync_all()).with_context(told)?;
        std::fs::rename(&next, &path).with_context(told)?;
    }
    let secret = std::fs::read(&path).with_context(told)?;
    Ok(keccak256([b"ionosphere/fizz/manifests".as_slice(), &secret].concat()).0)
}

fn lease_api(node: &Arc<Node>, reconciler: &Arc<Reconciler>, identity: &ServerIdentity) -> Result<Server> {
    let book = node.reader.book();
    let domain = Domain { chain_id: book.chain_id, lease_access: book.lease_access };
    let api = LeaseApi {
        service: Arc::new(Service::new(Arc::clone(node), Arc::clone(reconciler))),
        authenticator: Authenticator::new(domain, Arc::new(ChainAccess::new(Arc::clone(node)))),
        audit: Arc::new(LogAudit),
        limits: Limits::default(),
        light_nodes: None,
    };
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot open a port for the lease API")?;
    Ok(Server::start(listener, identity, api)?)
}

/// Talks with the gateway: offers, questions, ways.
async fn talk(
    node: Arc<Node>,
    link: Arc<Link>,
    mut words: mpsc::Receiver<FromGateway>,
    token: CancellationToken,
) {
    let (mut ways, mut told, rest) = (Ways::default(), None, Arc::new(Rest::default()));
    let mut terms = link.terms();
    let mut tick = tokio::time::interval(TELL);
    loop {
        tokio::select! {
            Some(word) = words.recv() => match word {
                FromGateway::Ask { order } => {
                    tokio::spawn(offers::answer(Arc::clone(&node), Arc::clone(&link), Arc::clone(&rest), order));
                }
                FromGateway::Release { order } => {
                    offers::release(&node, order, "the gateway chose another light node").await;
                }
                FromGateway::Opened { lease, revision, at, address } => {
                    ways.opened(&node, lease, revision, at, address);
                }
                FromGateway::Welcome { .. } | FromGateway::Refused { .. } | FromGateway::Done { .. } => {}
            },
            changed = terms.changed() => {
                let now = terms.borrow_and_update().clone();
                if let (Ok(()), Some(now)) = (changed, now) {
                    keep_terms(&node, &now).await;
                }
            }
            _ = tick.tick() => {
                let welcome = link.welcome();
                node.change_view(|view| {
                    view.voice = (welcome == 0).then(|| "the gateway is out of reach".to_owned());
                });
                ways.tell(&node, &link);
                let offer = (welcome, offers::offer(&node, &rest));
                if welcome != 0 && told.as_ref() != Some(&offer) && link.say(&FromNode::Offer(offer.1.clone())) {
                    told = Some(offer);
                }
                offers::let_go(&node).await;
            }
            () = token.cancelled() => return,
        }
    }
}

/// Notes the gateway's terms for the next start, and routes what runs by them.
async fn keep_terms(node: &Node, terms: &Terms) {
    let config = node.config();
    if config.public.domain != terms.domain || config.public.endpoint != terms.endpoint {
        tracing::info!(
            domain = terms.domain,
            endpoint = terms.endpoint,
            "the gateway has other addresses now"
        );
        node.configure(with_terms(Config::clone(&config), terms));
    }
    let stored = async { node.store.change(&[Change::put(SELF, "terms", terms)?]).await };
    if let Err(error) = stored.await {
        tracing::warn!(%error, "the gateway's addresses cannot be written down");
    }
}
