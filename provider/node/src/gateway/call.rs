//! What light nodes have changed on chain by this provider's hot key. Each request is checked against what the chain says:
//! a light node moves its own leases alone, and not more often than is worth the gas.

use std::sync::Arc;

use iono_host::acts::Act;
use iono_host::api::quote;
use iono_host::market::lease::Facts;
use iono_host::subnet::FromGateway;
use iono_identity::{Pin, unix_now};
use iono_lease_api::SignedQuote;
use iono_primitives::{FizzId, LeaseId, LeaseState};

use super::Gateway;

impl Gateway {
    /// Carries out a change and says how it went.
    pub(super) async fn act(self: Arc<Self>, fizz: FizzId, pin: Pin, call: u64, lease: LeaseId, act: Act) {
        let done = self.try_act(fizz, lease, act).await;
        if let Err(error) = &done {
            tracing::info!(%fizz, %lease, ?act, error, "a light node's request is not carried out");
        }
        self.say(pin, &FromGateway::Done { call, error: done.err(), quote: None });
        // A refused transaction often means that the chain has moved on.
        self.node.book().change_lease(lease, |lease| lease.stale = true);
        self.node.leases_changed.notify_one();
    }

    async fn try_act(&self, fizz: FizzId, lease: LeaseId, act: Act) -> Result<(), String> {
        let facts = self.facts_of(fizz, lease)?;
        let state = facts.words.lease_state().unwrap_or(LeaseState::None);
        let fits = match act {
            Act::Confirm => state == LeaseState::Pending,
            Act::Pause { since } => state == LeaseState::Active && since <= unix_now(),
            Act::Resume => state == LeaseState::Paused,
            Act::Close { .. } | Act::Expire => true,
        };
        if !fits {
            return Err(format!("lease {lease} is {state}"));
        }
        if !self.members().get_mut(&fizz).is_some_and(|member| member.acts.take()) {
            return Err("too many changes within an hour".to_owned());
        }
        self.acts.act(lease, &facts, act).await.map_err(|error| error.to_string())?;
        if act == Act::Confirm {
            self.change(fizz, |member| member.record.begun += 1);
        }
        Ok(())
    }

    /// Signs a quote and hands it out.
    pub(super) async fn sign(self: Arc<Self>, fizz: FizzId, pin: Pin, call: u64, offer: quote::Offer) {
        let (quote, error) = match self.try_sign(fizz, offer).await {
            Ok(quote) => (Some(quote), None),
            Err(error) => (None, Some(error)),
        };
        self.say(pin, &FromGateway::Done { call, error, quote });
    }

    async fn try_sign(&self, fizz: FizzId, offer: quote::Offer) -> Result<SignedQuote, String> {
        let facts = self.facts_of(fizz, offer.lease)?;
        if !self.members().get_mut(&fizz).is_some_and(|member| member.signatures.take()) {
            return Err("too many quotes within an hour".to_owned());
        }
        let longest = 2 * self.node.config().money.quote_expiry.0.as_secs();
        let now = self.node.view().head.timestamp.max(unix_now());
        if facts.words.manifest_version != offer.version || facts.words.rate() != offer.old_rate {
            return Err("the lease has changed meanwhile".to_owned());
        }
        if offer.expiry > now + longest {
            return Err(format!("a quote is good for {longest} s at most"));
        }
        self.acts.sign(offer).await.map_err(|error| error.to_string())
    }

    /// The facts of a lease that is this light node's.
    fn facts_of(&self, fizz: FizzId, lease: LeaseId) -> Result<Facts, String> {
        let facts = self.node.book().leases().get(&lease).and_then(|lease| lease.facts.clone());
        facts
            .filter(|facts| facts.by().fizz == fizz && self.node.me.answers_for(facts.by()))
            .ok_or_else(|| format!("lease {lease} is not this light node's, as far as the gateway has read"))
    }
}
