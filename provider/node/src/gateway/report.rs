//! What the owner sees of the gateway.

use iono_host::subnet::Offer;
use iono_primitives::FizzId;
use serde::{Deserialize, Serialize};

use super::Gateway;

/// A light node as `provider gateway` shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LightNode {
    /// Which.
    pub fizz: FizzId,
    /// Name and version of its software.
    pub software: String,
    /// From where it is connected.
    pub address: Option<String>,
    /// Unix time since when it is out of reach, if it is.
    pub lost_since: Option<u64>,
    /// What it has for new leases.
    pub offer: Offer,
    /// Leases that have ways through this gateway.
    pub leases: usize,
    /// Leases that it began since this gateway started.
    pub begun: u32,
    /// Times that it dropped off while it served, since then.
    pub dropped: u32,
    /// Bytes of streams that it sent and received, since it or the gateway started.
    pub sent: u64,
    /// See [`LightNode::sent`].
    pub received: u64,
}

impl Gateway {
    /// All light nodes that have come since the start, by number.
    #[must_use]
    pub fn report(&self) -> Vec<LightNode> {
        let members = self.members();
        let mut all: Vec<LightNode> = members
            .iter()
            .map(|(fizz, member)| {
                let session = self.tunnel.session(member.pin);
                let traffic = session.as_ref().map(|session| session.traffic());
                LightNode {
                    fizz: *fizz,
                    software: member.software.clone(),
                    address: session.and_then(|session| session.address()).map(|at| at.to_string()),
                    lost_since: member.lost,
                    offer: member.offer.clone(),
                    leases: member.leases.len(),
                    begun: member.record.begun,
                    dropped: member.record.dropped,
                    sent: traffic.as_ref().map_or(0, |traffic| traffic.received()),
                    received: traffic.as_ref().map_or(0, |traffic| traffic.sent()),
                }
            })
            .collect();
        all.sort_by_key(|node| node.fizz);
        all
    }
}
