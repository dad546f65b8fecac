//! The registry's word on this provider's light nodes: who they are and which keys they have (SP-35). All of it is read at
//! the start and after a re-org, else whatever events name.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use alloy::primitives::{Address, U256};
use futures::StreamExt as _;
use iono_bindings::{Fizz, IFizzRegistry};
use iono_host::market::reader::{ReadError, Reader};
use iono_host::market::unread::Unread;
use iono_identity::Pin;
use iono_primitives::{FizzId, ProviderId};

use super::Gateway;

/// Nodes that are read at a time.
const READERS: usize = 16;
/// Nodes in one answer when all are read.
const PAGE: u32 = 200;
/// How often it is looked for what events named.
const TICK: Duration = Duration::from_millis(500);
/// Wait before a chain that cannot be read is asked again.
const AGAIN: Duration = Duration::from_secs(2);
/// Numbers of the states that may connect: members, and those that left and may still serve leases.
const MAY_CONNECT: [u8; 2] = [2, 3];

/// This provider's light nodes.
pub(super) struct Roll {
    registry: Address,
    provider: ProviderId,
    nodes: RwLock<HashMap<FizzId, Listed>>,
}

/// What the registry says of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listed {
    /// Whose it is.
    pub(super) owner: Address,
    /// Its key and the next one.
    pins: [Pin; 2],
}

impl Roll {
    pub(super) fn new(registry: Address, provider: ProviderId) -> Self {
        Self { registry, provider, nodes: RwLock::default() }
    }

    /// Whether a key is one of its light nodes'.
    pub(super) fn has(&self, pin: Pin) -> bool {
        let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
        // Few connections are made, and thousands of nodes are looked through in microseconds.
        nodes.values().any(|listed| listed.pins.contains(&pin))
    }

    /// A light node, if this key is its own.
    pub(super) fn find(&self, fizz: FizzId, pin: Pin) -> Option<Listed> {
        let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
        nodes.get(&fizz).filter(|listed| listed.pins.contains(&pin)).copied()
    }

    /// What is kept of one; nothing of a node that is not this provider's.
    fn listed(&self, fizz: &Fizz) -> Option<Listed> {
        let mine = fizz.provider == self.provider.0 && MAY_CONNECT.contains(&fizz.state);
        // No next key is zero, which is nobody's.
        let next = if fizz.nextPin.is_zero() { fizz.pin } else { fizz.nextPin };
        mine.then_some(Listed { owner: fizz.owner, pins: [Pin(fizz.pin), Pin(next)] })
    }

    fn note(&self, id: FizzId, fizz: &Fizz) {
        let mut nodes = self.nodes.write().unwrap_or_else(PoisonError::into_inner);
        match self.listed(fizz) {
            Some(listed) => nodes.insert(id, listed),
            None => nodes.remove(&id),
        };
    }

    /// Reads these nodes from the chain.
    async fn read(&self, reader: &Reader, ids: impl IntoIterator<Item = FizzId>) -> Result<(), ReadError> {
        let registry = IFizzRegistry::new(self.registry, reader.provider());
        let read = futures::stream::iter(ids).map(async |id: FizzId| {
            let fizz = registry.node(U256::from(id.0)).call().await;
            (id, fizz)
        });
        let mut read = std::pin::pin!(read.buffer_unordered(READERS));
        while let Some((id, fizz)) = read.next().await {
            self.note(id, &fizz?);
        }
        Ok(())
    }

    /// Reads all light nodes that there are, and forgets those that there are no more.
    async fn read_all(&self, reader: &Reader) -> Result<(), ReadError> {
        let registry = IFizzRegistry::new(self.registry, reader.provider());
        let mut found = HashMap::new();
        for first in (1..=u32::MAX).step_by(PAGE as usize) {
            let page = registry.nodesFrom(U256::from(first), U256::from(PAGE)).call().await?;
            let named = (first..).map(FizzId).zip(&page);
            found.extend(named.filter_map(|(id, fizz)| Some((id, self.listed(fizz)?))));
            if page.len() < PAGE as usize {
                break;
            }
        }
        *self.nodes.write().unwrap_or_else(PoisonError::into_inner) = found;
        Ok(())
    }

    /// Why a bid may not name a node, if so: its delegation is too small, a vote expelled it, it left.
    pub(super) async fn why_not(&self, reader: &Reader, fizz: FizzId) -> Result<Option<String>, ReadError> {
        let registry = IFizzRegistry::new(self.registry, reader.provider());
        let why = registry.whyNot(self.provider.into(), fizz.into()).call().await?;
        Ok((!why.is_empty()).then_some(why))
    }

    /// What an owner has delegated to this provider, in SPON wei.
    pub(super) async fn delegated(&self, reader: &Reader, owner: Address) -> Result<U256, ReadError> {
        let registry = IFizzRegistry::new(self.registry, reader.provider());
        Ok(registry.delegationOf(self.provider.into(), owner).call().await?.held)
    }
}

impl Gateway {
    /// Keeps the roll as the registry has it.
    pub(super) async fn follow_roll(self: Arc<Self>) {
        loop {
            let unread = self.node.take_unread();
            let read = match &unread {
                Unread::All => self.roll.read_all(&self.node.reader).await,
                Unread::These(ids) => self.roll.read(&self.node.reader, ids.iter().copied()).await,
            };
            let wait = match read {
                Ok(()) => {
                    self.dismiss_strangers();
                    TICK
                }
                Err(error) => {
                    tracing::warn!(%error, "the registry of light nodes cannot be read; trying again");
                    self.node.note_unread(unread);
                    AGAIN
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.token.cancelled() => return,
            }
        }
    }

    /// Ends the connections of light nodes whose key is theirs no more.
    fn dismiss_strangers(&self) {
        let pins: Vec<Pin> = self.members().values().map(|member| member.pin).collect();
        for pin in pins.into_iter().filter(|pin| !self.roll.has(*pin)) {
            self.tunnel.forget(pin);
        }
    }
}
