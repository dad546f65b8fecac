//! What the lease API must know of the chain, as a trait: the provider answers it from `LeaseAccess` and its own view
//! of the leases. Tests answer it from memory.

use alloy::primitives::{Address, B256};
use async_trait::async_trait;
use iono_primitives::{LeaseId, WalletId};
use tokio::sync::watch;

/// What an account may do with a wallet's leases now (`ILeaseAccess.access`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rights {
    /// Status, logs, events.
    pub read: bool,
    /// Manifest, shell, restart, copy.
    pub write: bool,
    /// The wallet's revocation nonce; authorisations with another one are void.
    pub nonce: u64,
}

/// Whose a lease is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseParty {
    /// The escrow wallet that pays for it.
    pub wallet: WalletId,
    /// `false` once the lease closed or its end passed: reading stays allowed, everything else ends.
    pub open: bool,
}

/// The chain could not be asked. Never to be read as "no".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(pub String);

/// The chain as the lease API needs it.
#[async_trait]
pub trait Access: Send + Sync + 'static {
    /// What `account` may do with `wallet`'s leases: all as its present owner, something as a delegate, else nothing.
    async fn rights(&self, wallet: WalletId, account: Address) -> Result<Rights, Unreachable>;

    /// The lease, or `None` when this provider has no such lease.
    async fn lease(&self, lease: LeaseId) -> Result<Option<LeaseParty>, Unreachable>;

    /// ERC-1271 for contract wallets: `false` when `account` has no code or refuses. Called only for accounts that
    /// have rights, and under a timeout.
    async fn is_valid_signature(
        &self,
        account: Address,
        hash: B256,
        signature: &[u8],
    ) -> Result<bool, Unreachable>;

    /// Moves whenever an owner, delegate, nonce or lease may have changed, so that open sessions look again.
    fn changes(&self) -> watch::Receiver<u64>;
}
