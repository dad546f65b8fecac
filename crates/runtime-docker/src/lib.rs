//! Runs leases on Docker (API 1.41 and later, engine 20.10 and later): one bridge network per lease, one container per
//! replica, everything labelled with its owner, so that a provider without memory of its own finds it again.
//!
//! | concern | file |
//! |---|---|
//! | connection, errors | `engine` |
//! | names and labels, what one container carries | `labels`, `spec` |
//! | addresses, network | `subnets`, `network` |
//! | egress guard, who reaches whom in a lease | `guard`, `services`, `iptables` |
//! | volumes of bounded size, secrets in memory | `volumes`, `secrets` |
//! | images and digests | `images` |
//! | towards the desired state, rolling updates | `apply`, `rollout`, `probe` |
//! | what is there, away with it | `observe`, `remove` |
//! | events, exits and their reasons, disk quotas | `hub`, `fates`, `oom`, `quota` |
//! | logs, commands, files, manifests | `logs`, `exec`, `copy`, `manifests` |

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod apply;
mod check;
pub mod config;
mod copy;
mod engine;
mod exec;
mod fates;
mod guard;
mod hub;
mod images;
mod inner;
mod iptables;
mod labels;
mod logs;
mod manifests;
mod network;
mod observe;
mod oom;
mod probe;
mod quota;
mod remove;
mod rollout;
mod runtime;
mod secrets;
mod services;
mod spec;
mod subnets;
mod volumes;

pub use check::gpu_support_of;
pub use config::{DockerConfig, Egress};
pub use runtime::DockerRuntime;
pub use subnets::Pool;

/// Where a test may kill the process (`iono_telemetry::fail_point`).
pub const FAIL_POINTS: &[&str] = &[
    "docker.after_network",
    "docker.after_volume",
    "docker.after_create",
    "docker.after_start",
    "docker.mid_update",
    "docker.mid_remove",
    "docker.after_manifest",
];
