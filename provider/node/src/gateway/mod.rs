//! The gateway of this provider's light nodes (SP-33, SP-34): knows them by the registry's keys, opens their ways to the
//! outside, asks them for orders, changes their leases on chain on their word, and pauses what drops off.

mod ask;
mod call;
mod carry;
mod choose;
mod hear;
mod member;
mod pauses;
mod report;
mod roll;
mod ways;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use iono_host::acts::Acts;
use iono_host::config::Subnet;
use iono_host::node::Node;
use iono_host::subnet::FromGateway;
use iono_identity::{Pin, ServerIdentity};
use iono_primitives::FizzId;
use iono_tunnel::{GatewayConfig, Limits};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use ask::Said;
pub use carry::Carrier;
use member::Member;
pub use report::LightNode;
use roll::Roll;

/// A running gateway.
pub struct Gateway {
    node: Arc<Node>,
    acts: Arc<dyn Acts>,
    settings: Subnet,
    tunnel: iono_tunnel::Gateway,
    roll: Arc<Roll>,
    members: Mutex<HashMap<FizzId, Member>>,
    asks: ask::Asks,
    /// Held while ways of a lease are opened or closed: two at a time would take each other's ports for somebody else's.
    opening: tokio::sync::Mutex<()>,
    tasks: TaskTracker,
    token: CancellationToken,
}

impl Gateway {
    /// Listens for light nodes. Their registered keys are read before the first one is let in.
    ///
    /// # Errors
    /// When the address is taken.
    pub async fn start(
        node: Arc<Node>,
        settings: Subnet,
        identity: ServerIdentity,
        token: CancellationToken,
    ) -> Result<Arc<Self>> {
        let listener = TcpListener::bind(settings.listen).await.with_context(|| {
            format!("cannot listen on {} for light nodes; see subnet.listen", settings.listen)
        })?;
        let registry = node.reader.book().fizz_registry;
        let registry =
            registry.context("this deployment has no registry of light nodes; leave [subnet] out")?;
        let roll = Arc::new(Roll::new(registry, node.me.provider));
        let admitted = Arc::clone(&roll);
        let (tunnel, events) = iono_tunnel::Gateway::start(GatewayConfig {
            listener,
            identity,
            admission: Arc::new(move |pin| admitted.has(pin)),
            limits: Limits::default(),
        })?;
        let gateway = Arc::new(Self {
            acts: Arc::clone(&node.acts),
            node,
            settings,
            tunnel,
            roll,
            members: Mutex::default(),
            asks: ask::Asks::default(),
            opening: tokio::sync::Mutex::default(),
            tasks: TaskTracker::new(),
            token,
        });
        tracing::info!(address = %gateway.tunnel.address(), "light nodes can connect");
        gateway.tasks.spawn(Arc::clone(&gateway).hear(events));
        Ok(gateway)
    }

    /// Works until the token is cancelled.
    pub async fn run(self: Arc<Self>) {
        self.tasks.spawn(Arc::clone(&self).follow_roll());
        self.tasks.spawn(Arc::clone(&self).follow_leases());
        self.token.cancelled().await;
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn members(&self) -> MutexGuard<'_, HashMap<FizzId, Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something to a light node; one that is away, or does not keep up, is told again by what happens next.
    fn say(&self, pin: Pin, word: &FromGateway) -> bool {
        let Ok(text) = serde_json::to_vec(word) else { return false };
        let said = self.tunnel.session(pin).is_some_and(|session| session.send(text.into()).is_ok());
        if !said {
            tracing::debug!(%pin, ?word, "a light node did not hear this");
        }
        said
    }
}
