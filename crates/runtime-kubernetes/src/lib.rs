//! Leases on Kubernetes (SP-26): what a lease's workload is made of there, and what a cluster's lists say of leases.
//!
//! A lease has a namespace of its own with a quota, bounds for each container and network policies that shut it off from
//! everything but the internet; in it each service is a Deployment, a StatefulSet where storage persists, or a Job where
//! its process may end.
//!
//! - [`objects`], [`Listed`]: from a workload to objects, and back from what a cluster lists; nothing of it talks.
//! - `cluster`, `sight`: the API server, and whether it answers for the cluster that we know.
//! - `live`, `watches`, `ends`: what the cluster has at each moment, and what it has forgotten.
//! - `apply` (with `images`, `own_blocks`), `settle` (with `hurry`), `restart`, `remove`: changes of a lease.
//! - `inventory`: what the nodes have and who has taken it.
//! - `logs`, `exec` (over `spdy`), `copy`, `tell`, `manifests`, `check`: the rest of [`iono_runtime::Runtime`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod agents;
mod apply;
mod check;
mod cluster;
mod config;
mod copy;
mod ends;
mod exec;
mod hurry;
mod images;
mod index;
mod inner;
mod inventory;
mod live;
mod logs;
mod manifests;
mod names;
pub mod objects;
mod observe;
mod own_blocks;
mod policies;
mod remove;
mod replica;
mod restart;
mod rights;
mod runtime;
mod settle;
mod sight;
mod spdy;
mod streams;
mod tell;
mod watches;

pub use config::{ClusterConfig, KubernetesConfig};
pub use names::Names;
pub use observe::Listed;
pub use runtime::KubernetesRuntime;

/// Where a test may kill the process (`iono_telemetry::fail_point`).
pub const FAIL_POINTS: &[&str] = &[
    "kubernetes.after_space",
    "kubernetes.mid_send",
    "kubernetes.before_sign",
    "kubernetes.mid_update",
    "kubernetes.mid_restart",
    "kubernetes.mid_remove",
    "kubernetes.after_pods",
    "kubernetes.after_manifest",
];
