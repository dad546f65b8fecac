//! From `deploy.yaml` to what the chain and the provider get: the order of a lease, and its manifest.
//!
//! ```text
//! deploy.yaml ── parse ──▶ Deployment ── order ──▶ OrderPlan       (on chain: resources, groups, price, conditions)
//!                              └─ resolve(secrets) ─▶ LeaseManifest (off chain: canonical bytes; on chain: salted hash)
//! ```
//!
//! ICL 1.0 and Akash's SDL 2.0 and 2.1 are read unchanged. `docs/manifest.md` specifies format, canonical form and hash.

mod canonical;
mod deployment;
mod diagnostic;
mod fits;
mod lease;
mod limits;
mod node;
mod parse;
mod price;
mod rules;
mod secret;

pub use canonical::{DecodeError, Salt, hash};
pub use deployment::{
    Deployment, DeploymentService, Format, Mode, OrderPlan, SecretSource, SecretTarget, resolve,
};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use fits::ExceedsOrder;
pub use lease::{
    Credentials, Expose, HttpOptions, LeaseManifest, Protocol, PullPolicy, SecretFile, Service, ServiceGpu,
    ServiceResources, Volume, VolumeKind,
};
pub use limits::{
    MAX_ARGS, MAX_DURATION, MAX_ENDPOINTS, MAX_ENV, MAX_FILE_BYTES, MAX_GPUS, MAX_HOSTS, MAX_MANIFEST_BYTES,
    MAX_PORTS, MAX_REPLICAS, MAX_SECRETS, MAX_SERVICES, MAX_TEXT_BYTES, MAX_VOLUMES,
};
pub use parse::parse;
pub use price::Price;
pub use secret::Secret;
