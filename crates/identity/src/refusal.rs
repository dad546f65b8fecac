//! Why a caller was refused: a stable code, what was checked, and how to mend it (market promise 13).

use alloy::primitives::Address;
use iono_primitives::{LeaseId, WalletId};

/// A refused connection or request. The text says which check failed; [`Refusal::hint`] what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No client certificate was shown.
    #[error("no client certificate was shown")]
    NoCertificate,
    /// The certificate cannot be read.
    #[error("the client certificate cannot be read: {0}")]
    BadCertificate(&'static str),
    /// The certificate carries no authorisation.
    #[error("the client certificate carries no wallet's authorisation")]
    NoAuthorisation,
    /// The authorisation cannot be read.
    #[error("the certificate's authorisation cannot be read: {0}")]
    BadAuthorisation(&'static str),
    /// For another chain.
    #[error("the authorisation is for chain {theirs}, this provider serves chain {ours}")]
    WrongChain {
        /// Chain id in the authorisation.
        theirs: u64,
        /// Chain id served here.
        ours: u64,
    },
    /// For another deployment on this chain.
    #[error("the authorisation names the registry {theirs}, this provider goes by {ours}")]
    WrongRegistry {
        /// LeaseAccess in the authorisation.
        theirs: Address,
        /// LeaseAccess here.
        ours: Address,
    },
    /// The authorisation was made for another TLS key.
    #[error("the authorisation is for another TLS key than the certificate's")]
    WrongKey,
    /// Its time has not come.
    #[error("the authorisation is valid from unix time {not_before}, it is {now} here")]
    NotYetValid {
        /// First second of validity.
        not_before: u64,
        /// The provider's clock.
        now: u64,
    },
    /// Its time is over.
    #[error("the authorisation expired at unix time {expiry}, it is {now} here")]
    Expired {
        /// Last second of validity.
        expiry: u64,
        /// The provider's clock.
        now: u64,
    },
    /// Made for longer than this provider accepts.
    #[error("the authorisation lasts {lifetime} s, at most {limit} s are accepted")]
    TooLong {
        /// Its lifetime in seconds.
        lifetime: u64,
        /// Limit in seconds.
        limit: u64,
    },
    /// The account did not sign it.
    #[error("the authorisation is not signed by {account}")]
    BadSignature {
        /// The account that should have signed.
        account: Address,
    },
    /// The wallet's owner revoked it.
    #[error("the authorisation was revoked: it carries nonce {theirs}, wallet {wallet} is at nonce {ours}")]
    Revoked {
        /// The wallet.
        wallet: WalletId,
        /// Nonce in the authorisation.
        theirs: u64,
        /// Nonce on chain.
        ours: u64,
    },
    /// Neither owner nor delegate.
    #[error("{account} is neither the owner of wallet {wallet} nor a delegate of it")]
    NotAllowed {
        /// The account that signed.
        account: Address,
        /// The wallet.
        wallet: WalletId,
    },
    /// Reading only.
    #[error("{account} may only read")]
    ReadOnly {
        /// The account that signed.
        account: Address,
    },
    /// The authorisation is limited to another lease.
    #[error("the authorisation is for lease {theirs} alone, not for lease {asked}")]
    WrongLease {
        /// Lease in the authorisation.
        theirs: LeaseId,
        /// Lease in the request.
        asked: LeaseId,
    },
    /// The lease belongs to another wallet.
    #[error("lease {lease} does not belong to wallet {wallet}")]
    ForeignLease {
        /// The lease.
        lease: LeaseId,
        /// The caller's wallet.
        wallet: WalletId,
    },
    /// No such lease at this provider.
    #[error("this provider has no lease {0}")]
    UnknownLease(LeaseId),
    /// The lease is over.
    #[error("lease {0} is closed")]
    LeaseClosed(LeaseId),
    /// The chain cannot be asked now.
    #[error("the chain cannot be asked at the moment: {0}")]
    Unreachable(String),
    /// A contract wallet did not answer in time.
    #[error("the contract wallet {account} did not answer in time whether it signed")]
    SlowWallet {
        /// The contract.
        account: Address,
    },
}

impl Refusal {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoCertificate => "no_certificate",
            Self::BadCertificate(_) => "bad_certificate",
            Self::NoAuthorisation => "no_authorisation",
            Self::BadAuthorisation(_) => "bad_authorisation",
            Self::WrongChain { .. } => "wrong_chain",
            Self::WrongRegistry { .. } => "wrong_registry",
            Self::WrongKey => "wrong_key",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::Expired { .. } => "expired",
            Self::TooLong { .. } => "too_long",
            Self::BadSignature { .. } => "bad_signature",
            Self::Revoked { .. } => "revoked",
            Self::NotAllowed { .. } => "not_allowed",
            Self::ReadOnly { .. } => "read_only",
            Self::WrongLease { .. } => "wrong_lease",
            Self::ForeignLease { .. } => "foreign_lease",
            Self::UnknownLease(_) => "unknown_lease",
            Self::LeaseClosed(_) => "lease_closed",
            Self::Unreachable(_) => "chain_unreachable",
            Self::SlowWallet { .. } => "wallet_timeout",
        }
    }

    /// How to mend it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoCertificate => {
                "show a client certificate that a wallet authorised; `iono` makes one and keeps it as a PEM file"
            }
            Self::BadCertificate(_) | Self::NoAuthorisation | Self::BadAuthorisation(_) => {
                "make a new client certificate with this version of `iono`"
            }
            Self::WrongChain { .. } | Self::WrongRegistry { .. } => {
                "use the address book and RPC of the chain that the lease is on"
            }
            Self::WrongKey => {
                "make a new client certificate; an authorisation cannot be moved to another key"
            }
            Self::NotYetValid { .. } => "set the clocks right: they may differ by two minutes",
            Self::Expired { .. } => "make a new client certificate; if it is new, set the clock right",
            Self::TooLong { .. } => "make a client certificate with a shorter lifetime",
            Self::BadSignature { .. } => "sign with the wallet's owner or a delegate, for this chain",
            Self::Revoked { .. } => "make a new client certificate; it takes the wallet's present nonce",
            Self::NotAllowed { .. } => {
                "sign with the wallet's present owner, or have the owner make this account a delegate"
            }
            Self::ReadOnly { .. } => {
                "ask the wallet's owner for a delegation with write access, and make a certificate with it"
            }
            Self::WrongLease { .. } => "make a client certificate for this lease or for all leases",
            Self::ForeignLease { .. } => "use the wallet that pays for this lease",
            Self::UnknownLease(_) => "check the lease's number and its provider's endpoint with `iono ps`",
            Self::LeaseClosed(_) => "logs and status can still be read; deploy again for a new lease",
            Self::Unreachable(_) | Self::SlowWallet { .. } => "try again in a few seconds",
        }
    }

    /// The HTTP status that carries it: 401 unknown caller, 403 not allowed, 404, 410, or 503 to try again.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::NotAllowed { .. }
            | Self::ReadOnly { .. }
            | Self::WrongLease { .. }
            | Self::ForeignLease { .. } => 403,
            Self::UnknownLease(_) => 404,
            Self::LeaseClosed(_) => 410,
            Self::Unreachable(_) | Self::SlowWallet { .. } => 503,
            _ => 401,
        }
    }

    /// `true` when nothing was decided: asking again may succeed, and an open session is kept.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.status() == 503
    }
}
