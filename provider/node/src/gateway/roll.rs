//! The registry's word on this provider's light nodes: who they are and which keys they have (SP-35). All of it is read at
//! the start and after a re-org, else whatever events name; at the block that is followed, never at the newest: what
//! a later block changes is named by its event once that block is followed.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use alloy::eips::BlockId;
use alloy::primitives::{Address, U256};
use futures::StreamExt as _;
use iono_bindings::{Fizz, IFizzRegistry, light_nodes};
use iono_host::market::reader::{ReadError, Reader};
use iono_host::market::unread::Unread;
use iono_identity::Pin;
use iono_primitives::{FizzId, ProviderId};

use super::Gateway;

/// Nodes that are read at a time.
const READERS: usize = 16;
/// How often it is looked for what events named.
const TICK: Duration = Duration::from_millis(500);
/// The same until the chain's head is reached: light nodes wait.
const STARTING: Duration = Duration::from_millis(50);
/// Wait before a chain that cannot be read is asked again.
const AGAIN: Duration = Duration::from_secs(2);
/// Numbers of the states that may connect: members, and those that left and may still serve leases.
const MAY_CONNECT: [u8; 2] = [2, 3];

/// This provider's light nodes.
pub(super) struct Roll {
    registry: Address,
    provider: ProviderId,
    /// Nothing until they were read.
    nodes: RwLock<Option<HashMap<FizzId, Listed>>>,
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

    /// Whether a key is one of its light nodes'; nothing while these are not known.
    pub(super) fn has(&self, pin: Pin) -> Option<bool> {
        let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
        // Few connections are made, and thousands of nodes are looked through in microseconds.
        Some(nodes.as_ref()?.values().any(|listed| listed.pins.contains(&pin)))
    }

    /// A light node, if this key is its own.
    pub(super) fn find(&self, fizz: FizzId, pin: Pin) -> Option<Listed> {
        let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
        nodes.as_ref()?.get(&fizz).filter(|listed| listed.pins.contains(&pin)).copied()
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
        // All are read first.
        let Some(nodes) = nodes.as_mut() else { return };
        match self.listed(fizz) {
            Some(listed) => nodes.insert(id, listed),
            None => nodes.remove(&id),
        };
    }

    /// Reads these nodes as they were at a block.
    async fn read(
        &self,
        reader: &Reader,
        at: BlockId,
        ids: impl IntoIterator<Item = FizzId>,
    ) -> Result<(), ReadError> {
        let registry = IFizzRegistry::new(self.registry, reader.provider());
        let read = futures::stream::iter(ids).map(async |id: FizzId| {
            let fizz = registry.node(U256::from(id.0)).block(at).call().await;
            (id, fizz)
        });
        let mut read = std::pin::pin!(read.buffer_unordered(READERS));
        while let Some((id, fizz)) = read.next().await {
            self.note(id, &fizz?);
        }
        Ok(())
    }

    /// Reads all light nodes that there were at a block, and forgets those that there are no more.
    async fn read_all(&self, reader: &Reader, at: BlockId) -> Result<(), ReadError> {
        let registry = IFizzRegistry::new(self.registry, reader.provider());
        let found = light_nodes(&registry, at, |id, fizz| Some((FizzId(id), self.listed(&fizz)?))).await?;
        *self.nodes.write().unwrap_or_else(PoisonError::into_inner) = Some(found.into_iter().collect());
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
            let wait = match self.read_roll().await {
                Ok(true) => TICK,
                Ok(false) => STARTING,
                Err(error) => {
                    tracing::warn!(%error, "the registry of light nodes cannot be read; trying again");
                    AGAIN
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.token.cancelled() => return,
            }
        }
    }

    /// Reads what was noted; `false` while the chain is not followed to its head: an RPC may not know what was long ago.
    async fn read_roll(&self) -> Result<bool, ReadError> {
        if !self.node.view().caught_up {
            return Ok(false);
        }
        let unread = self.node.take_unread();
        // After that: what is noted is in this block or before it.
        let at = BlockId::number(self.node.view().head.number);
        let read = match &unread {
            Unread::All => self.roll.read_all(&self.node.reader, at).await,
            Unread::These(ids) => self.roll.read(&self.node.reader, at, ids.iter().copied()).await,
        };
        match read {
            Ok(()) => self.dismiss_strangers(),
            Err(_) => self.node.note_unread(unread),
        }
        read.map(|()| true)
    }

    /// Ends the connections of light nodes whose key is theirs no more.
    fn dismiss_strangers(&self) {
        let pins: Vec<Pin> = self.members().values().map(|member| member.pin).collect();
        for pin in pins.into_iter().filter(|pin| self.roll.has(*pin) == Some(false)) {
            self.tunnel.forget(pin);
        }
    }
}
