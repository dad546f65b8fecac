//! The suite that every runtime has to pass, on the machine's own Docker.

#![allow(clippy::unwrap_used)]

mod common;

iono_runtime::conformance_tests!(common::Docker::new());
