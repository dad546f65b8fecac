//! Leases on Kubernetes (SP-26): what a lease's workload is made of there, and what a cluster's lists say of leases.
//!
//! A lease has a namespace of its own with a quota, bounds for each container and network policies that shut it off from
//! everything but the internet; in it each service is a Deployment, a StatefulSet where storage persists, or a Job where
//! its process may end. Nothing here talks to a cluster.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod config;
mod names;
pub mod objects;
mod observe;
mod replica;

pub use config::KubernetesConfig;
pub use names::Names;
pub use observe::Listed;
