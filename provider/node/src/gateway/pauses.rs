//! Leases of light nodes beside what these do themselves (SP-36): who drops off is not billed from when it was lost, whose
//! time is over is told to the chain, and what is over is closed.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use iono_host::acts::Act;
use iono_host::market::lease::{Facts, Lease};
use iono_identity::unix_now;
use iono_primitives::{FizzId, LeaseState};

use super::Gateway;

/// How often leases are looked at.
const TICK: Duration = Duration::from_millis(500);
/// Leases that are looked after at the same time.
const AT_ONCE: usize = 32;
/// Seconds after a lease's end in which its light node says so itself.
const ITS_TURN: u64 = 10;

/// What the gateway has to do for a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Duty {
    Nothing,
    /// No visitors, and no bill if it stays away.
    TurnAway {
        pause: Option<u64>,
    },
    Expire,
    Close,
}

/// Decides by the chain's state and since when the light node is out of reach, both in unix seconds.
fn duty(facts: &Facts, lost: Option<u64>, after: u64, host_now: u64, chain_now: u64) -> Duty {
    let words = &facts.words;
    match words.lease_state() {
        Some(LeaseState::Closed) => Duty::Close,
        Some(LeaseState::Pending) if chain_now > words.end + ITS_TURN => Duty::Expire,
        Some(LeaseState::Active | LeaseState::Paused) if chain_now >= words.end + ITS_TURN => Duty::Expire,
        Some(state @ (LeaseState::Active | LeaseState::Paused)) => match lost {
            None => Duty::Nothing,
            Some(since) => {
                let ago = host_now.saturating_sub(since);
                let stays = ago >= after;
                // By the chain's clock, which may show another time; from the last settlement on at the earliest.
                let since = chain_now.saturating_sub(ago).max(words.settled_to);
                Duty::TurnAway { pause: (stays && state == LeaseState::Active).then_some(since) }
            }
        },
        _ => Duty::Nothing,
    }
}

impl Gateway {
    /// Looks after all light nodes' leases until the daemon ends.
    pub(super) async fn follow_leases(self: Arc<Self>) {
        // Who has not come since then is out of reach, whatever it was before.
        let start = unix_now();
        loop {
            tokio::select! {
                () = tokio::time::sleep(TICK) => {}
                () = self.token.cancelled() => return,
            }
            if !self.node.view().caught_up {
                continue;
            }
            let leases: Vec<Lease> = {
                let book = self.node.book();
                let theirs = |lease: &&Lease| !self.node.serves(lease) && !lease.removed && !lease.stale;
                book.leases().values().filter(theirs).cloned().collect()
            };
            // Each pause is a transaction, and many leases may be lost with one light node.
            let all = futures::stream::iter(&leases);
            all.for_each_concurrent(AT_ONCE, |lease| self.look_after(lease, start)).await;
        }
    }

    async fn look_after(&self, lease: &Lease, start: u64) {
        let Some(facts) = &lease.facts else { return };
        let fizz = FizzId(facts.words.fizz);
        let lost = match self.members().get(&fizz) {
            Some(member) => member.lost,
            None => Some(start),
        };
        let after = self.settings.pause_after.0.as_secs();
        let act = match duty(facts, lost, after, unix_now(), self.node.view().head.timestamp) {
            Duty::Nothing => {
                self.switch(lease.id, true).await;
                return;
            }
            Duty::TurnAway { pause } => {
                self.switch(lease.id, false).await;
                let Some(since) = pause else { return };
                Act::Pause { since }
            }
            Duty::Expire => Act::Expire,
            Duty::Close => {
                self.close(fizz, lease.id).await;
                self.node.book().change_lease(lease.id, |lease| lease.removed = true);
                return;
            }
        };
        match self.acts.act(lease.id, facts, act).await {
            Ok(()) if matches!(act, Act::Pause { .. }) => {
                self.change(fizz, |member| member.record.dropped += 1);
            }
            Ok(()) => {}
            Err(error) => tracing::warn!(lease = %lease.id, ?act, %error, "not sent yet"),
        }
        self.node.book().change_lease(lease.id, |lease| lease.stale = true);
        self.node.leases_changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::B256;
    use iono_bindings::LeaseWords;
    use iono_host::market::order::LeaseSpec;
    use iono_primitives::Resources;

    use super::*;

    fn facts(state: LeaseState) -> Facts {
        let words = LeaseWords {
            state: state as u8,
            settled_to: 1_000,
            end: 9_000,
            fizz: 3,
            ..LeaseWords::default()
        };
        let spec = LeaseSpec {
            resources: Resources::default(),
            groups: Vec::new(),
            manifest_hash: B256::ZERO,
            providers: Vec::new(),
        };
        Facts { words, spec, manifest_hash: B256::ZERO, read_to: 0 }
    }

    #[test]
    fn who_drops_off_is_paused_from_when_it_was_lost() {
        let active = |lost, now| duty(&facts(LeaseState::Active), lost, 10, now, now);
        assert_eq!(active(None, 2_000), Duty::Nothing);
        assert_eq!(active(Some(1_995), 2_000), Duty::TurnAway { pause: None });
        assert_eq!(active(Some(1_990), 2_000), Duty::TurnAway { pause: Some(1_990) });
        // What is settled is settled.
        assert_eq!(active(Some(900), 2_000), Duty::TurnAway { pause: Some(1_000) });
        // The chain's clock shows another time.
        assert_eq!(
            duty(&facts(LeaseState::Active), Some(1_990), 10, 2_000, 5_000),
            Duty::TurnAway { pause: Some(4_990) }
        );
        let paused = duty(&facts(LeaseState::Paused), Some(1_000), 10, 2_000, 2_000);
        assert_eq!(paused, Duty::TurnAway { pause: None });
    }

    #[test]
    fn what_is_over_is_closed_and_a_silent_node_has_its_turn_first() {
        let at = |state, now| duty(&facts(state), None, 10, now, now);
        assert_eq!(at(LeaseState::Active, 9_009), Duty::Nothing);
        assert_eq!(at(LeaseState::Active, 9_010), Duty::Expire);
        assert_eq!(at(LeaseState::Paused, 9_010), Duty::Expire);
        assert_eq!(at(LeaseState::Pending, 9_010), Duty::Nothing);
        assert_eq!(at(LeaseState::Pending, 9_011), Duty::Expire);
        assert_eq!(at(LeaseState::Closed, 2_000), Duty::Close);
    }
}
