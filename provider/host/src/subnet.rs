//! What a light node and its gateway say to each other over the tunnel's control connection (SP-33, SP-34). Each message is
//! JSON of at most 16 KiB. A connection may break at any time, so either side says again
//! what holds when it stands anew, and every request may be repeated.

use iono_lease_api::{PriceList, SignedQuote};
use iono_primitives::{FizzId, LeaseId, OrderId, ProviderId, Rate};
use iono_router::{HttpOptions, Protocol};
use serde::{Deserialize, Serialize};

use crate::acts::Act;
use crate::api::quote;
use crate::capacity::Free;
use crate::outside::{Address, Name};
use crate::verdict::reason::Reason;

/// What is spoken; the gateway speaks to light nodes of this version.
pub const VERSION: u16 = 1;
/// Service of the tunnel: the light node's lease API. Its TLS ends at the light node.
pub const LEASE_API: &str = "lease-api";
/// Service of the tunnel: the light node's HTTP router.
pub const HTTP: &str = "http";

/// A light node's words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum FromNode {
    /// First on each connection.
    Hello {
        /// [`VERSION`].
        version: u16,
        /// Which node it claims to be; its key must be that node's.
        fizz: FizzId,
        /// Name and version of the software.
        software: String,
    },
    /// What it has for new leases; whenever it changes.
    Offer(Offer),
    /// To [`FromGateway::Ask`].
    Answer {
        /// The order.
        order: OrderId,
        /// Capacity is reserved at this rate, or why not.
        answer: Answer,
    },
    /// A way into a lease, the `at`th of `of` in this revision of all its ways.
    Route {
        /// The lease.
        lease: LeaseId,
        /// Counts up with each change.
        revision: u64,
        /// Number of ways.
        of: u16,
        /// Which of them, from 0.
        at: u16,
        /// The way; `None` where there is none at all.
        way: Option<Way>,
    },
    /// Change the lease on chain.
    Act {
        /// Names the request.
        call: u64,
        /// The lease.
        lease: LeaseId,
        /// How.
        change: Act,
    },
    /// Sign a quote.
    Sign {
        /// Names the request.
        call: u64,
        /// The quote.
        offer: quote::Offer,
    },
}

/// What a light node has for new leases.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Offer {
    /// Millicores free.
    pub cpu: u64,
    /// MiB free.
    pub memory: u64,
    /// MiB free.
    pub storage: u64,
    /// GPUs free.
    pub gpus: u32,
    /// Its price table in dollars an hour; `None` where a script or an expression makes the prices.
    pub prices: Option<PriceList>,
    /// Why it takes no leases at present, if so.
    pub away: Option<String>,
}

impl Offer {
    /// What is free.
    #[must_use]
    pub fn of(free: &Free, prices: Option<PriceList>, away: Option<String>) -> Self {
        let gpus = u32::try_from(free.gpus.len()).unwrap_or(u32::MAX);
        Self { cpu: free.cpu, memory: free.memory, storage: free.storage, gpus, prices, away }
    }
}

/// What a light node says to an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is reserved for, at this rate.
    Rate(#[serde(with = "crate::market::stored::rate")] Rate),
    /// It is not taken.
    No(Reason),
}

/// A way into a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Requests for a host.
    Host {
        /// The service.
        service: String,
        /// DNS name.
        host: String,
        /// How they are handled.
        options: HttpOptions,
    },
    /// Connections or datagrams to a port.
    Port {
        /// The service.
        service: String,
        /// The container's port.
        port: u16,
        /// Transport.
        protocol: Protocol,
    },
}

impl Way {
    /// What both ends call it.
    #[must_use]
    pub fn name(&self) -> Name {
        match self {
            Self::Host { host, .. } => Name::Host(host.clone()),
            Self::Port { service, port, protocol } => Name::Port(service.clone(), *port, *protocol),
        }
    }
}

/// The tunnel's service for a port of a lease.
#[must_use]
pub fn port_service(lease: LeaseId, service: &str, port: u16, protocol: Protocol) -> String {
    let protocol = match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    format!("{protocol}/{lease}/{port}/{service}")
}

/// What [`port_service`] was made of; `None` for anything else.
#[must_use]
pub fn read_port_service(name: &str) -> Option<(LeaseId, &str, u16, Protocol)> {
    let mut parts = name.splitn(4, '/');
    let protocol = match parts.next()? {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        _ => return None,
    };
    let (lease, port) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some((lease, parts.next()?, port, protocol))
}

/// A gateway's words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum FromGateway {
    /// It is known.
    Welcome {
        /// The gateway's provider.
        provider: ProviderId,
        /// `host:port` under which tenants reach lease APIs and ports.
        endpoint: String,
        /// Services get `<service>-<lease>.<domain>`.
        domain: String,
    },
    /// It is not served, and why.
    Refused {
        /// For its owner.
        why: String,
    },
    /// Would it take this order? Reserve for it, if so.
    Ask {
        /// The order.
        order: OrderId,
    },
    /// Another node was chosen; let the reservation go.
    Release {
        /// The order.
        order: OrderId,
    },
    /// A way is open, or cannot be.
    Opened {
        /// The lease.
        lease: LeaseId,
        /// The way's revision.
        revision: u64,
        /// Which one.
        at: u16,
        /// Where, or why nowhere: another lease has the name, no port is free.
        address: Result<Address, String>,
    },
    /// A request was carried out, or why not.
    Done {
        /// Which.
        call: u64,
        /// What went wrong.
        error: Option<String>,
        /// The quote that was asked for.
        quote: Option<SignedQuote>,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_ports_service_is_read_back() {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let name = port_service(LeaseId(7), "web/x", 53, protocol);
            assert_eq!(read_port_service(&name), Some((LeaseId(7), "web/x", 53, protocol)));
        }
        for other in ["lease-api", "http", "tcp/7/99999/web", "tcp/x/1/web", "tcp/7/1", "sctp/7/1/web", ""] {
            assert_eq!(read_port_service(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_said_is_understood() {
        let said = FromNode::Answer { order: OrderId(3), answer: Answer::Rate(Rate(1 << 79)) };
        let text = serde_json::to_string(&said).unwrap();
        assert_eq!(text, r#"{"say":"answer","order":3,"answer":{"rate":"604462909807314587353088"}}"#);
        assert_eq!(serde_json::from_str::<FromNode>(&text).unwrap(), said);
        let act = FromNode::Act { call: 1, lease: LeaseId(2), change: Act::Pause { since: 9 } };
        let text = serde_json::to_string(&act).unwrap();
        assert_eq!(serde_json::from_str::<FromNode>(&text).unwrap(), act);
    }

    proptest! {
        #[test]
        fn hostile_words_never_panic(text in ".{0,200}", at in 0usize..60) {
            let _ = serde_json::from_str::<FromNode>(&text);
            let mut good = serde_json::to_string(&FromNode::Offer(Offer::default())).unwrap();
            if good.is_char_boundary(at) {
                good.insert_str(at.min(good.len()), &text);
                let _ = serde_json::from_str::<FromNode>(&good);
            }
        }
    }
}
