//! What goes wrong around the runtime on a real cluster: the way to it, the cluster itself, its nodes, this machine's disk
//! and the process.

#![allow(clippy::unwrap_used)]

mod apart;
#[path = "../common/mod.rs"]
mod common;
mod disk;
mod fake_node;
mod kills;
mod nodes;
mod outage;
mod proxy;
mod support;
