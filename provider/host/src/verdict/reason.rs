//! Why there was no bid, or why one lost: a dimension for programs and a sentence for people.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// What was short or did not fit: `cpu`, `memory`, `gpu`, `price`, `region`, …
    pub dimension: String,
    /// In words, with numbers.
    pub message: String,
}

impl Reason {
    /// A reason.
    #[must_use]
    pub fn new(dimension: impl Into<String>, message: impl Into<String>) -> Self {
        Self { dimension: dimension.into(), message: message.into() }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.dimension, self.message)
    }
}
