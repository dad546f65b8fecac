//! The lease API's provider side (SP-28): what tenants may do with their leases, and who may.

pub mod quote;
pub mod stream;
