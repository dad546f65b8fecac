//! Leases on Kubernetes (SP-26): what a lease's workload is made of there, and what a cluster's lists say of leases.
//!
//! A lease has a namespace of its own with a quota, bounds for each container and network policies that shut it off from
//! everything but the internet; in it each service is a Deployment, a StatefulSet where storage persists, or a Job where
//! its process may end.
//!
//! - [`objects`], [`Listed`]: from a workload to objects, and back from what a cluster lists; nothing of it talks.
//! - `cluster`, `live`: the API server and what is known of it at each moment.
//! - `apply` (with `images`, `machines`), `settle`, `restart`, `remove`: changes of a lease.
//! - `logs`, `exec` (over `spdy`), `copy`, `tell`, `manifests`, `check`: the rest of [`iono_runtime::Runtime`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod apply;
mod check;
mod cluster;
mod config;
mod copy;
mod exec;
mod images;
mod inner;
mod live;
mod logs;
mod machines;
mod manifests;
mod names;
pub mod objects;
mod observe;
mod policies;
mod remove;
mod replica;
mod restart;
mod runtime;
mod settle;
mod spdy;
mod streams;
mod tell;

pub use config::KubernetesConfig;
pub use names::Names;
pub use observe::Listed;
pub use runtime::KubernetesRuntime;
