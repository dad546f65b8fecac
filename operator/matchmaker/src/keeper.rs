//! One attempt to end an order or a lease. Attempts are idempotent: the chain refuses the second, and a refusal because
//! it is done already is a success.

use std::time::Duration;

use alloy::primitives::{Address, Bytes, U256};
use alloy::providers::DynProvider;
use alloy::sol_types::SolCall as _;
use anyhow::Result;
use iono_bindings::{AddressBook, ILeaseBook, IOrderBook, LeaseWords};
use iono_chain::{SendError, Sender};
use iono_primitives::{LeaseId, LeaseState, OrderId};
use iono_telemetry::fail_point;
use std::hash::{BuildHasher, RandomState};

/// Sends with the daemon's key; cheap to clone.
#[derive(Clone)]
pub(crate) struct Keeper {
    pub(crate) sender: Sender,
    pub(crate) provider: DynProvider,
    pub(crate) book: AddressBook,
    pub(crate) jitter: Duration,
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// We did it, or it was done already; its log says so in due course.
    Done,
    /// Not yet; try again later.
    Later,
    /// The lease ends at another time, in unix seconds.
    Due(u64),
}

/// The contracts' words for "someone was faster" and "the order is no longer open".
const DONE: [&str; 3] = ["OrderBook_NotOpen", "LeaseBook_WrongState", "Drand_SeedKnown"];

impl Keeper {
    /// Resolves an order: the match, or the refund when nobody bid or its seed is gone.
    pub(crate) async fn resolve(&self, order: OrderId) -> Outcome {
        self.wait_a_little().await;
        fail_point("matchmaker.before_resolve");
        let call = IOrderBook::resolveCall { order: order.into() }.abi_encode();
        let outcome = self.send(&format!("resolve:{order}"), self.book.order_book, call.into()).await;
        fail_point("matchmaker.after_resolve");
        outcome
    }

    /// Ends a lease if the chain agrees that its time has come by `now`.
    pub(crate) async fn expire(&self, lease: LeaseId, now: u64) -> Outcome {
        match self.lease_end(lease).await {
            Ok(Some(end)) if end >= now => return Outcome::Due(end),
            Ok(Some(_)) => {}
            Ok(None) => return Outcome::Done,
            Err(error) => {
                tracing::debug!(%lease, %error, "cannot read the lease; trying again");
                return Outcome::Later;
            }
        }
        self.wait_a_little().await;
        fail_point("matchmaker.before_expire");
        let call = ILeaseBook::expireCall { lease: lease.into() }.abi_encode();
        let outcome = self.send(&format!("expire:{lease}"), self.book.lease_book, call.into()).await;
        fail_point("matchmaker.after_expire");
        outcome
    }

    /// `None` when the lease is closed.
    async fn lease_end(&self, lease: LeaseId) -> Result<Option<u64>> {
        let leases = ILeaseBook::new(self.book.lease_book, &self.provider);
        let words = leases.leaseWords(U256::from(lease.0)).call().await?;
        let words = LeaseWords::read([words.word0, words.word1]);
        let open = !matches!(words.lease_state(), Some(LeaseState::Closed | LeaseState::None));
        Ok(open.then_some(words.end))
    }

    /// Sends a call unless it is on its way, or anew when it failed.
    pub(crate) async fn send(&self, key: &str, to: Address, call: Bytes) -> Outcome {
        // What failed or became final before a re-org undid it may be tried anew; what is in flight goes on.
        let sent = match self.sender.forget(key).await {
            Ok(()) => self.sender.submit(key, to, call).await,
            Err(error) => Err(error),
        };
        match sent {
            Ok(mined) => {
                metrics::counter!("iono_matchmaker_done_total").increment(1);
                tracing::info!(key, block = mined.block, gas = mined.gas_used, "done");
                Outcome::Done
            }
            Err(error) if error.revert_code().is_some_and(|code| DONE.contains(&code)) => {
                metrics::counter!("iono_matchmaker_late_total").increment(1);
                tracing::info!(key, %error, "someone was faster");
                Outcome::Done
            }
            Err(SendError::Ending) => Outcome::Later,
            Err(error) => {
                metrics::counter!("iono_matchmaker_failed_total").increment(1);
                tracing::warn!(key, %error, "not possible now; trying again");
                Outcome::Later
            }
        }
    }

    /// So that one of several comes first and the others see it.
    pub(crate) async fn wait_a_little(&self) {
        let millis = u64::try_from(self.jitter.as_millis()).unwrap_or(u64::MAX);
        let random = RandomState::new().hash_one(self.sender.address());
        tokio::time::sleep(Duration::from_millis(random % millis.saturating_add(1))).await;
    }
}
