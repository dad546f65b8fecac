//! From the order to the confirmed lease. A matchmaker decides the order as a rule; when none does, this tool sends
//! `resolve` itself, for anyone may. So it does with `expire` when the provider misses its confirmation.

use std::time::Duration;

use alloy::primitives::U256;
use iono_bindings::{ILeaseBook, IOrderBook, LeaseWords, OrderWords};
use iono_primitives::{LeaseState, OrderState};

use super::{Run, id_topic};
use crate::agreed;
use crate::chain::Call;
use crate::error::{Failure, Kind, Result};
use crate::holdings::{lease_words, order_words};
use crate::operators;
use crate::tx::Step;

/// How often the chain is looked at.
const POLL: Duration = Duration::from_millis(200);
/// Blocks that matchmakers have to decide an order before it is done here.
const PATIENCE: u64 = 4;
/// As many where a set of operators may match it: keepers leave it to them for eight.
const QUORUM_PATIENCE: u64 = 12;
/// Seconds after the confirmation's deadline before the lease is expired here.
const GRACE: u64 = 5;

impl Run<'_> {
    /// Waits until the lease is confirmed and returns its words.
    pub(super) async fn follow(&mut self, order: u64) -> Result<LeaseWords> {
        let provider = self.matched(order).await?;
        self.seconds.lease = self.clock();
        self.progress.done(&format!("lease {order} goes to provider {provider}"));
        let words = self.confirmed(order, provider).await?;
        self.seconds.confirm = self.clock();
        self.progress.done(&format!("provider {provider} confirmed: billing starts now"));
        Ok(words)
    }

    async fn matched(&mut self, order: u64) -> Result<u32> {
        let mut tried = 0;
        let patience = self.patience(order).await?;
        loop {
            let words = order_words(self.chain, order).await?;
            match words.order_state() {
                Some(OrderState::Matched) => return Ok(lease_words(self.chain, order).await?.provider),
                Some(OrderState::Open) => {}
                Some(OrderState::Void) => return Err(void(order, &words)),
                Some(OrderState::Cancelled) => {
                    return Err(Failure::new(Kind::NoMatch, format!("order {order} was cancelled")));
                }
                Some(OrderState::None) | None => return Err(agreed::unknown("order", order)),
            }
            let head = self.chain.block_number().await?;
            let bids = words.occupancy.count_ones();
            self.progress.wait(&if head <= words.close_block {
                format!("{bids} bids, bidding until block {} (now {head})", words.close_block)
            } else {
                format!(
                    "{bids} bids, waiting for the match from block {} on (now {head})",
                    words.ready_block()
                )
            });
            if head >= words.ready_block() + patience + tried {
                tried += patience;
                self.resolve(order).await?;
                continue;
            }
            self.in_time("the match")?;
            tokio::time::sleep(POLL).await;
        }
    }

    async fn patience(&self, order: u64) -> Result<u64> {
        let era = order_words(self.chain, order).await?.set_era;
        let set = operators::registry(self.chain).setAt(U256::from(era)).call().await;
        let is_for_quorum = !set.or_call("cannot read the operators")?.size.is_zero();
        Ok(if is_for_quorum { QUORUM_PATIENCE } else { PATIENCE })
    }

    async fn resolve(&mut self, order: u64) -> Result<()> {
        self.progress.wait("no matchmaker decided: resolving the order");
        let call = IOrderBook::resolveCall { order: U256::from(order) };
        let step = Step::new("resolve", format!("resolve order {order}"), self.chain.book.order_book, &call);
        match self.sender.send(step).await {
            Ok(sent) => self.sent.extend(sent),
            // A matchmaker came first, or the seed is not there yet: the next look tells.
            Err(failure) if failure.kind == Kind::Refused => {}
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    async fn confirmed(&mut self, lease: u64, provider: u32) -> Result<LeaseWords> {
        loop {
            let words = lease_words(self.chain, lease).await?;
            match words.lease_state() {
                Some(LeaseState::Active | LeaseState::Paused) => return Ok(words),
                Some(LeaseState::Closed) => return Err(self.closed(lease, &words).await),
                Some(LeaseState::Pending) => {}
                Some(LeaseState::None) | None => return Err(agreed::unknown("lease", lease)),
            }
            let (_, now) = self.chain.head().await?;
            let left = words.end.saturating_sub(now);
            self.progress.wait(&format!("waiting for provider {provider} to confirm ({left} s left)"));
            if now > words.end + GRACE {
                self.expire(lease).await?;
                continue;
            }
            self.in_time("the provider's confirmation")?;
            tokio::time::sleep(POLL).await;
        }
    }

    async fn expire(&mut self, lease: u64) -> Result<()> {
        let call = ILeaseBook::expireCall { lease: U256::from(lease) };
        let step = Step::new("expire", format!("end lease {lease}"), self.chain.book.lease_book, &call);
        match self.sender.send(step).await {
            Ok(sent) => self.sent.extend(sent),
            Err(failure) if failure.kind == Kind::Refused => {}
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    /// Why a lease is over before its workload ran.
    pub(super) async fn closed(&self, lease: u64, words: &LeaseWords) -> Failure {
        let reason = words.close_reason().map_or("unknown", iono_primitives::CloseReason::words);
        let refund = self
            .chain
            .all_events::<ILeaseBook::LeaseClosed>(self.chain.book.lease_book, [id_topic(lease), None, None])
            .await
            .ok()
            .and_then(|events| events.into_iter().next_back())
            .map_or(U256::ZERO, |(event, _)| event.refund);
        let back = if refund.is_zero() {
            String::new()
        } else {
            "; what was not used is back in the wallet".to_owned()
        };
        Failure::new(Kind::NoMatch, format!("lease {lease} is closed: {reason}{back}"))
            .hint(format!("order again; --deny {} keeps this provider out", words.provider))
    }
}

fn void(order: u64, words: &OrderWords) -> Failure {
    if words.occupancy == 0 {
        Failure::new(
            Kind::NoMatch,
            format!("nobody bid for order {order}; what it reserved is back in the wallet"),
        )
        .hint(format!("`iono bids {order}` asks the providers why"))
    } else {
        Failure::new(
            Kind::NoMatch,
            format!("order {order} is void: it was not decided while its seed could be read; the wallet was refunded"),
        )
        .hint("no matchmaker seems to run: order again and let `iono deploy` wait, it resolves by itself")
    }
}
