//! The suite that every runtime has to pass, on a real cluster.

#![allow(clippy::unwrap_used)]

mod common;

iono_runtime::conformance_tests!(common::Cluster::new());
