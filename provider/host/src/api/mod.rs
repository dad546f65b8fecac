//! The lease API's provider side (SP-28): what tenants may do with their leases, and who may.

pub mod access;
pub mod offer;
pub mod quote;
pub mod service;
pub mod status;
pub mod stream;
