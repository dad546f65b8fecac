//! Brings requests to the replicas of services: HTTP and HTTPS by host name, TCP and UDP by port. The provider and the
//! gateway use it. Routes and replicas are swapped while traffic flows; a request is never lost to a swap.
//!
//! - [`Router`] owns the listeners and the table; [`Router::switch`] exchanges replicas and waits for the old ones to
//!   finish.
//! - [`PortLeases`] gives each exposed port a number from a range and remembers it across restarts.
//! - [`Certificates`] holds the certificate of each host.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod backend;
mod body;
pub mod config;
mod headers;
mod listener;
pub mod ports;
mod proxy;
mod router;
mod table;
mod tcp;
pub mod tls;
mod tunnel;
mod udp;

pub use config::{HttpOptions, Limits, RetryCase, RouterConfig};
pub use ports::{PortKey, PortLease, PortLeases, PortsError};
pub use router::{Router, RouterError};
pub use table::{Protocol, Route};
pub use tls::{Certificate, CertificateError, Certificates};
