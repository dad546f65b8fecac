//! The market seen from outside: real binaries on a real chain and a real container engine, driven by command line,
//! HTTP and chain calls alone. The demo and the end-to-end tests are both made of these parts.

pub mod actor;
pub mod bill;
pub mod cast;
pub mod cli;
pub mod engine;
pub mod examples;
pub mod hammer;
pub mod hello;
pub mod http;
pub mod light;
pub mod market;
pub mod network;
pub mod operators;
pub mod quorum;
pub mod timeline;

pub use cli::Iono;
pub use market::Market;
pub use network::{Matchmaker, Network, Node, NodePlan};
