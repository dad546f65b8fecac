//! The record of every access to a lease (SP-54): who, what, when, with which outcome. No content and no secrets, not
//! even the words of a command.

use std::net::SocketAddr;

use alloy::primitives::Address;
use async_trait::async_trait;
use iono_identity::{Need, Pin};
use iono_primitives::{LeaseId, WalletId};
use serde::{Deserialize, Serialize};

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// PUT manifest.
    PutManifest,
    /// GET manifest.
    GetManifest,
    /// GET status.
    Status,
    /// GET logs.
    Logs,
    /// GET events.
    Events,
    /// The shell.
    Shell,
    /// POST quote.
    Quote,
    /// POST restart.
    Restart,
    /// PUT files.
    CopyIn,
    /// GET files.
    CopyOut,
}

impl Action {
    /// The right that it takes. A manifest and files hold secrets, so reading them takes write access.
    #[must_use]
    pub fn need(self) -> Need {
        match self {
            Self::Status | Self::Logs | Self::Events => Need::Read,
            _ => Need::Write,
        }
    }

    /// Its name in the record.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PutManifest => "put_manifest",
            Self::GetManifest => "get_manifest",
            Self::Status => "status",
            Self::Logs => "logs",
            Self::Events => "events",
            Self::Shell => "shell",
            Self::Quote => "quote",
            Self::Restart => "restart",
            Self::CopyIn => "copy_in",
            Self::CopyOut => "copy_out",
        }
    }
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The right was there.
    Allowed,
    /// Refused, with the error's code.
    Refused(String),
    /// An open shell or stream was ended because its right ended, with the error's code.
    CutOff(String),
}

/// One access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRecord {
    /// Unix time in seconds.
    pub at: u64,
    /// The network address of the caller.
    pub peer: SocketAddr,
    /// The lease that was asked for.
    pub lease: LeaseId,
    /// What was asked for.
    pub action: Action,
    /// How it went.
    pub outcome: Outcome,
    /// The proven wallet; `None` when the caller was not identified.
    pub wallet: Option<WalletId>,
    /// The proven account, owner or delegate.
    pub account: Option<Address>,
    /// Pin of the client's TLS key, 0x-hex.
    pub key: Option<String>,
}

impl AccessRecord {
    pub(crate) fn key_text(pin: Option<Pin>) -> Option<String> {
        pin.map(|pin| pin.0.to_string())
    }
}

/// Where the records go.
#[async_trait]
pub trait Audit: Send + Sync + 'static {
    /// Keeps a record. Called before the action is done; slow writers hold up the request.
    async fn record(&self, record: AccessRecord);
}

/// Records go to the log, target `audit`.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogAudit;

#[async_trait]
impl Audit for LogAudit {
    async fn record(&self, record: AccessRecord) {
        tracing::info!(
            target: "audit",
            at = record.at,
            peer = %record.peer,
            lease = record.lease.0,
            action = record.action.name(),
            outcome = ?record.outcome,
            wallet = record.wallet.map(|wallet| wallet.0),
            account = record.account.map(tracing::field::display),
            key = record.key,
            "access"
        );
    }
}
