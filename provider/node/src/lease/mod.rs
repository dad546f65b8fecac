//! Leases from the match to the end: what to do next, names and ports, manifests.

pub mod manifests;
pub mod next;
pub mod routes;
