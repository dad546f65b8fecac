//! Leases changed on chain with the hot key: for this provider's own machines and, on their word, for its light nodes.

use alloy::primitives::{Address, Bytes, U256};
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolCall;
use async_trait::async_trait;
use iono_bindings::{AddressBook, ILeaseBook};
use iono_chain::{Mined, SendError, Sender};
use iono_host::acts::{Act, ActError, Acts};
use iono_host::api::quote;
use iono_host::market::lease::Facts;
use iono_lease_api::SignedQuote;
use iono_primitives::LeaseId;
use iono_telemetry::fail_point;

/// The hot key at work.
pub struct ChainActs {
    /// Sends with it.
    pub sender: Sender,
    /// Itself.
    pub hot_key: PrivateKeySigner,
    /// The contracts.
    pub book: AddressBook,
}

impl ChainActs {
    async fn send(&self, key: &str, call: impl SolCall) -> Result<Mined, SendError> {
        send(&self.sender, key, self.book.lease_book, call).await
    }
}

/// Sends a call of a contract, once for `key`.
///
/// # Errors
/// What the contract or the sender says.
pub async fn send(sender: &Sender, key: &str, to: Address, call: impl SolCall) -> Result<Mined, SendError> {
    sender.submit(key, to, Bytes::from(call.abi_encode())).await
}

#[async_trait]
impl Acts for ChainActs {
    async fn act(&self, lease: LeaseId, facts: &Facts, act: Act) -> Result<(), ActError> {
        let (id, words) = (U256::from(lease.0), &facts.words);
        match act {
            Act::Confirm => {
                // While a lease is pending its end is the last second to confirm: another one after a re-org is another
                // lease.
                let key = format!("confirm:{lease}:{}", words.end);
                fail_point("provider.confirm.before_send");
                let mined = self.send(&key, ILeaseBook::confirmCall { lease: id }).await?;
                fail_point("provider.confirm.after_send");
                metrics::counter!("iono_provider_confirmations_total").increment(1);
                tracing::info!(%lease, block = mined.block, gas = mined.gas_used, "lease confirmed");
            }
            Act::Pause { since } => {
                let call = ILeaseBook::pauseCall { lease: id, since: U256::from(since) };
                fail_point("provider.pause.before_send");
                self.send(&format!("pause:{lease}:{since}"), call).await?;
                fail_point("provider.pause.after_send");
                tracing::warn!(%lease, since, "the workload is out of reach or lost; not billed until it is back");
            }
            Act::Resume => {
                let key = format!("resume:{lease}:{}", words.stopped_at);
                fail_point("provider.resume.before_send");
                self.send(&key, ILeaseBook::resumeCall { lease: id }).await?;
                tracing::info!(%lease, "the workload is back; billed again");
            }
            Act::Close { reason } => {
                let call = ILeaseBook::closeByProviderCall { lease: id, reason: reason.code() };
                fail_point("provider.close.before_send");
                self.send(&format!("close:{lease}"), call).await?;
                fail_point("provider.close.after_send");
                tracing::warn!(%lease, %reason, "lease given up");
            }
            Act::Expire => {
                let key = format!("expire:{lease}:{}", words.end);
                fail_point("provider.expire.before_send");
                self.send(&key, ILeaseBook::expireCall { lease: id }).await?;
                tracing::info!(%lease, "lease expired");
            }
        }
        Ok(())
    }

    async fn sign(&self, offer: quote::Offer) -> Result<SignedQuote, ActError> {
        let domain = quote::domain(self.book.chain_id, self.book.lease_book);
        Ok(quote::sign(offer, &self.hot_key, &domain)?)
    }
}
