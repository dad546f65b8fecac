//! The commented file that `provider init` writes.

/// A complete configuration; lines that begin with `#` are explanations or defaults.
pub const TEMPLATE: &str = include_str!("template.toml");
