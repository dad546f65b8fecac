//! A lease's REST and WebSocket interface, `/v1` (SP-28): types, server and client. Providers and light nodes serve the
//! same one; `docs/lease-api.md` describes it for other clients and `openapi.json` for machines.
//!
//! A provider implements [`LeaseService`] (what is done), `iono_identity::Access` (who may) and [`Audit`] (the record of
//! it), and starts a [`Server`]. A tenant uses [`Client`].

pub mod audit;
pub mod client;
pub mod error;
mod guard;
mod handlers;
pub mod light;
pub mod limits;
mod ndjson;
pub mod openapi;
mod peer;
mod query;
mod routes;
pub mod server;
pub mod service;
pub mod shell;
mod shell_socket;
pub mod types;

pub use audit::{AccessRecord, Action, Audit, LogAudit, Outcome};
pub use client::{Client, ClientError};
pub use error::{ApiError, ErrorBody};
pub use light::{LightNodes, light_node_name};
pub use limits::Limits;
pub use server::{LeaseApi, Server};
pub use service::{ByteStream, EventStream, LeaseService, LogStream};
pub use shell::{ShellInput, ShellOutput, ShellRequest, ShellSession, TtySize};
pub use types::*;
