//! Leases from the match to the end: what to do next, names and ports, manifests.

pub mod actions;
pub mod ending;
pub mod manifests;
pub mod next;
pub mod reconcile;
pub mod routes;
pub mod situation;
