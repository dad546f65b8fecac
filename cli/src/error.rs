//! What can go wrong, as a person and a script see it: one sentence, a hint, a stable exit code.

use std::fmt;

use serde::Serialize;

/// Result of everything in this binary.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// The class of a failure: its number is the process's exit code and never changes meaning (docs/cli.md lists them).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Anything without a class of its own.
    Failed = 1,
    /// Wrong use of the command line; clap exits with it as well.
    Usage = 2,
    /// Configuration, address book or key missing or unreadable.
    Setup = 3,
    /// The chain's RPC does not answer.
    Rpc = 4,
    /// A contract refused the transaction.
    Refused = 5,
    /// Not enough tokens or ether.
    Funds = 6,
    /// No such order, lease, wallet or provider.
    NotFound = 7,
    /// The provider's lease API does not answer or refuses.
    Provider = 8,
    /// Something did not happen in time; what was sent stays valid.
    Timeout = 9,
    /// The manifest is not acceptable.
    Manifest = 10,
    /// Nobody bid, or the order or lease ended before the workload ran.
    NoMatch = 11,
}

impl Kind {
    /// All classes, for `iono explain`.
    pub(crate) const ALL: [Kind; 11] = [
        Kind::Failed,
        Kind::Usage,
        Kind::Setup,
        Kind::Rpc,
        Kind::Refused,
        Kind::Funds,
        Kind::NotFound,
        Kind::Provider,
        Kind::Timeout,
        Kind::Manifest,
        Kind::NoMatch,
    ];

    /// What the class means, for people.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Kind::Failed => "something failed that has no class of its own",
            Kind::Usage => "wrong use of the command line",
            Kind::Setup => "configuration, address book or key missing or unreadable",
            Kind::Rpc => "the chain's RPC does not answer",
            Kind::Refused => "a contract refused the transaction",
            Kind::Funds => "not enough tokens or ether",
            Kind::NotFound => "no such order, lease, wallet or provider",
            Kind::Provider => "the provider's lease API does not answer or refuses",
            Kind::Timeout => "something did not happen in time; what was sent stays valid",
            Kind::Manifest => "the manifest is not acceptable",
            Kind::NoMatch => "nobody bid, or the order or lease ended before the workload ran",
        }
    }
}

/// A failure with what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    #[serde(rename = "code")]
    pub(crate) kind: Kind,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl fmt::Display) -> Self {
        Self { kind, message: message.to_string(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// An error with all its causes on one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

/// Turns any error into a [`Failure`] that says what was being done.
pub(crate) trait Context<T> {
    fn or_fail(self, kind: Kind, doing: impl fmt::Display) -> Result<T>;
    fn or_hint(self, kind: Kind, doing: impl fmt::Display, hint: impl fmt::Display) -> Result<T>;
}

impl<T, E: std::error::Error + 'static> Context<T> for std::result::Result<T, E> {
    fn or_fail(self, kind: Kind, doing: impl fmt::Display) -> Result<T> {
        self.map_err(|error| Failure::new(kind, format!("{doing}: {}", chain(&error))))
    }

    fn or_hint(self, kind: Kind, doing: impl fmt::Display, hint: impl fmt::Display) -> Result<T> {
        self.or_fail(kind, doing).map_err(|failure| failure.hint(hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_never_change() {
        let codes: Vec<(u8, String)> = Kind::ALL
            .iter()
            .map(|kind| (*kind as u8, serde_json::to_value(kind).unwrap().as_str().unwrap().to_owned()))
            .collect();
        let names: Vec<&str> = codes.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(codes.iter().map(|(code, _)| *code).collect::<Vec<_>>(), (1..=11).collect::<Vec<u8>>());
        assert_eq!(
            names,
            [
                "failed",
                "usage",
                "setup",
                "rpc",
                "refused",
                "funds",
                "not_found",
                "provider",
                "timeout",
                "manifest",
                "no_match"
            ]
        );
    }

    #[test]
    fn causes_are_told_once() {
        let io = std::io::Error::other("disk on fire");
        let failure = Err::<(), _>(io).or_hint(Kind::Failed, "cannot save", "buy a disk").unwrap_err();
        assert_eq!(failure.message, "cannot save: disk on fire");
        assert_eq!(failure.hint.as_deref(), Some("buy a disk"));
    }
}
