//! What a container engine must be able to do for a provider: run the workloads of its leases and tell about them.
//!
//! One trait, [`Runtime`], and one conformance suite (feature `conformance`) for every backend (Docker, Kubernetes).
//! The backend is a cache of nothing: what it runs is labelled with its [`Owner`], so a provider that lost its own
//! disk finds its leases, their replicas and their sealed manifests again by [`Runtime::observe`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod api;
#[cfg(feature = "conformance")]
pub mod conformance;
mod convert;
pub mod error;
mod happenings;
pub mod isolation;
mod kept;
mod machine;
pub mod observed;
pub mod stream;
mod turns;
pub mod vault;
pub mod workload;

pub use api::{Runtime, Switchboard};
pub use error::RuntimeError;
pub use happenings::{Happenings, now};
pub use iono_manifest::{Credentials, PullPolicy, Secret, SecretFile, VolumeKind};
pub use kept::{KEPT_LINES, KeptLogs, failed};
pub use machine::{Agent, Known, Machine, Network, Room};
pub use observed::{
    Capabilities, Enforcement, Exit, ExitReason, Limit, Observed, ObservedService, Replica, ReplicaState,
    Right,
};
pub use stream::{
    ByteStream, Event, EventKind, EventStream, ExecInput, ExecOutput, ExecRequest, ExecSession, LeaseStream,
    LogLine, LogOptions, LogStream, OutputKind, TtySize,
};
pub use turns::{Removal, Turns};
pub use vault::{Vault, VaultError};
pub use workload::{Owner, Port, Protocol, RestartPolicy, Service, ServiceLimits, Volume, Workload};
