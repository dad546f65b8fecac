//! What to do next for one lease: a pure function of what the chain says, what was sent and what runs. Unknown is not
//! gone: what cannot be seen changes nothing, and only the chain's word or the lease's end removes a workload.

use std::time::Duration;

use iono_primitives::{CloseReason, LeaseState};

use crate::acts::Act;

/// What is known of a lease at one moment. Times are unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Situation {
    /// The chain's word.
    pub state: LeaseState,
    /// The lease's end; while pending, until when it must be confirmed.
    pub end: u64,
    /// From when it was billed; 0 while pending.
    pub start: u64,
    /// Paid up to here; a pause cannot begin before it.
    pub settled_to: u64,
    /// Timestamp of the newest block.
    pub chain_now: u64,
    /// This machine's clock.
    pub host_now: u64,
    /// The manifest whose hash the chain has.
    pub manifest: Manifest,
    /// An arbiter paused it, and this provider cannot resume it.
    pub paused_by_arbiter: bool,
    /// When this provider's own records begin; a lease that is older may have had a manifest that was lost.
    pub records_since: u64,
    /// When the workload was last seen to run; 0 never, as far as is known.
    pub last_running: u64,
    /// What the engine says; `None` when it does not answer.
    pub workload: Option<Workload>,
    /// Since when starting it fails for this reason, if it does.
    pub failing: Option<(u64, Failure)>,
}

/// Where the manifest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manifest {
    /// Here, and its hash is the chain's.
    Current,
    /// One of an earlier version is here; the tenant has yet to send the one that the chain names.
    Outdated,
    /// None is here.
    Missing,
    /// The engine that keeps it cannot be asked.
    Unknown,
}

/// What runs of the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// Nothing, not even a leftover.
    Nothing,
    /// Containers, volumes or a stored manifest, but not what the manifest asks for.
    Different,
    /// What the manifest asks for, all replicas ready.
    Ready,
    /// What the manifest asks for, some replicas not ready.
    Unready,
}

/// Why the workload cannot start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// An image cannot be pulled.
    Image,
    /// Replicas end again and again.
    Crashing,
    /// The manifest asks for what is not allowed here.
    Refused,
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For the tenant to send the manifest.
    pub manifest: Duration,
    /// For an image to be pulled, or a refused manifest to be mended.
    pub image: Duration,
}

/// The next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing to do.
    Rest,
    /// Change it on chain. A pause means that the workload was lost and the tenant must send the manifest again.
    Act(Act),
    /// Bring the workload to the manifest.
    Apply,
    /// Remove the workload; the lease is over.
    Remove,
    /// The lease's time is over by the chain's clock, and the chain does not say so yet: tell it.
    Expire {
        /// This machine's clock agrees: the workload ends now.
        remove: bool,
    },
}

/// The next step for a lease of this provider.
#[must_use]
pub fn next(now: &Situation, limits: Limits) -> Step {
    match now.state {
        // A re-org may have taken it away and may bring it back.
        LeaseState::None => Step::Rest,
        LeaseState::Closed => match now.workload {
            Some(Workload::Nothing) | None => Step::Rest,
            Some(_) => Step::Remove,
        },
        LeaseState::Pending if now.chain_now <= now.end => Step::Act(Act::Confirm),
        LeaseState::Pending => Step::Expire { remove: true },
        LeaseState::Active | LeaseState::Paused if now.chain_now >= now.end => {
            Step::Expire { remove: now.host_now >= now.end }
        }
        LeaseState::Active => active(now, limits),
        // Who paused it resumes it; meanwhile it runs like any other.
        LeaseState::Paused if now.paused_by_arbiter => mended(now),
        LeaseState::Paused => match (now.manifest, now.workload) {
            (Manifest::Current, Some(Workload::Ready)) => Step::Act(Act::Resume),
            (Manifest::Current, Some(_)) => Step::Apply,
            _ => Step::Rest,
        },
    }
}

/// Keeps running what the manifest asks for, and decides nothing about money.
fn mended(now: &Situation) -> Step {
    match (now.manifest, now.workload) {
        (Manifest::Current, Some(Workload::Nothing | Workload::Different | Workload::Unready)) => Step::Apply,
        _ => Step::Rest,
    }
}

fn active(now: &Situation, limits: Limits) -> Step {
    let Some(workload) = now.workload else { return Step::Rest };
    match now.manifest {
        Manifest::Unknown | Manifest::Outdated => Step::Rest,
        Manifest::Missing => missing(now, workload, limits),
        Manifest::Current => {
            if let Some((since, failure)) = now.failing
                && let Some(reason) = given_up(now, since, failure, limits)
            {
                return Step::Act(Act::Close { reason });
            }
            if workload == Workload::Ready { Step::Rest } else { Step::Apply }
        }
    }
}

/// No manifest: either it was never sent, which is the tenant's to mend, or it was lost here, which must not be billed.
fn missing(now: &Situation, workload: Workload, limits: Limits) -> Step {
    if matches!(workload, Workload::Ready | Workload::Unready) {
        // Containers run on although their manifest is gone: they serve, so the bill is right.
        return Step::Rest;
    }
    if now.last_running > 0 || now.records_since > now.start {
        // What was paid is the last proof that it ran, where nothing later is known.
        let since = now.last_running.clamp(now.settled_to, now.chain_now.max(now.settled_to));
        return Step::Act(Act::Pause { since });
    }
    if now.chain_now.saturating_sub(now.start) > limits.manifest.as_secs() {
        return Step::Act(Act::Close { reason: CloseReason::ManifestMissing });
    }
    Step::Rest
}

fn given_up(now: &Situation, since: u64, failure: Failure, limits: Limits) -> Option<CloseReason> {
    let late = now.host_now.saturating_sub(since) > limits.image.as_secs();
    match failure {
        Failure::Image if late => Some(CloseReason::ImageUnavailable),
        Failure::Refused if late => Some(CloseReason::PolicyViolation),
        Failure::Crashing => Some(CloseReason::CrashLoop),
        Failure::Image | Failure::Refused => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { manifest: Duration::from_secs(3_600), image: Duration::from_secs(1_800) };

    fn running() -> Situation {
        Situation {
            state: LeaseState::Active,
            start: 1_000,
            end: 100_000,
            settled_to: 1_500,
            paused_by_arbiter: false,
            chain_now: 2_000,
            host_now: 2_000,
            manifest: Manifest::Current,
            records_since: 10,
            last_running: 1_999,
            workload: Some(Workload::Ready),
            failing: None,
        }
    }

    #[test]
    fn a_healthy_lease_rests_and_a_broken_one_is_mended() {
        assert_eq!(next(&running(), LIMITS), Step::Rest);
        for workload in [Workload::Nothing, Workload::Different, Workload::Unready] {
            assert_eq!(next(&Situation { workload: Some(workload), ..running() }, LIMITS), Step::Apply);
        }
    }

    #[test]
    fn a_pending_lease_is_confirmed_while_there_is_time() {
        let pending =
            Situation { state: LeaseState::Pending, start: 0, end: 2_010, settled_to: 0, ..running() };
        assert_eq!(next(&pending, LIMITS), Step::Act(Act::Confirm));
        assert_eq!(next(&Situation { chain_now: 2_010, ..pending.clone() }, LIMITS), Step::Act(Act::Confirm));
        assert_eq!(next(&Situation { chain_now: 2_011, ..pending }, LIMITS), Step::Expire { remove: true });
    }

    #[test]
    fn a_workload_ends_only_when_both_clocks_have_passed_the_end() {
        let over = Situation { end: 2_000, ..running() };
        assert_eq!(next(&over, LIMITS), Step::Expire { remove: true });
        assert_eq!(
            next(&Situation { host_now: 1_999, ..over.clone() }, LIMITS),
            Step::Expire { remove: false }
        );
        assert_eq!(next(&Situation { chain_now: 1_999, ..over }, LIMITS), Step::Rest);
    }

    #[test]
    fn a_manifest_never_sent_ends_the_lease_in_time_and_a_lost_one_pauses_it() {
        let silent = Situation {
            manifest: Manifest::Missing,
            last_running: 0,
            workload: Some(Workload::Nothing),
            ..running()
        };
        assert_eq!(next(&silent, LIMITS), Step::Rest);
        let late = Situation { chain_now: 4_601, ..silent.clone() };
        assert_eq!(next(&late, LIMITS), Step::Act(Act::Close { reason: CloseReason::ManifestMissing }));
        // Its containers and manifest are gone, the records say when it last ran.
        let lost = Situation { last_running: 1_700, ..silent.clone() };
        assert_eq!(next(&lost, LIMITS), Step::Act(Act::Pause { since: 1_700 }));
        // The records are gone too: what was paid is the last proof.
        let blank = Situation { records_since: 1_950, ..silent };
        assert_eq!(next(&blank, LIMITS), Step::Act(Act::Pause { since: 1_500 }));
        // Containers that serve on without a manifest are billed.
        assert_eq!(next(&Situation { workload: Some(Workload::Ready), ..lost }, LIMITS), Step::Rest);
    }

    #[test]
    fn a_paused_lease_is_billed_again_only_when_it_serves() {
        let paused = Situation { state: LeaseState::Paused, workload: Some(Workload::Nothing), ..running() };
        assert_eq!(next(&paused, LIMITS), Step::Apply);
        assert_eq!(
            next(&Situation { workload: Some(Workload::Ready), ..paused.clone() }, LIMITS),
            Step::Act(Act::Resume)
        );
        assert_eq!(next(&Situation { manifest: Manifest::Missing, ..paused.clone() }, LIMITS), Step::Rest);
        let arbiters = Situation { paused_by_arbiter: true, workload: Some(Workload::Ready), ..paused };
        assert_eq!(next(&arbiters, LIMITS), Step::Rest);
    }

    #[test]
    fn a_workload_that_cannot_start_is_given_up_with_its_reason() {
        let failing = |since, failure| Situation {
            workload: Some(Workload::Different),
            failing: Some((since, failure)),
            host_now: 5_000,
            ..running()
        };
        assert_eq!(next(&failing(4_000, Failure::Image), LIMITS), Step::Apply);
        assert_eq!(
            next(&failing(3_000, Failure::Image), LIMITS),
            Step::Act(Act::Close { reason: CloseReason::ImageUnavailable })
        );
        assert_eq!(
            next(&failing(3_000, Failure::Refused), LIMITS),
            Step::Act(Act::Close { reason: CloseReason::PolicyViolation })
        );
        assert_eq!(
            next(&failing(5_000, Failure::Crashing), LIMITS),
            Step::Act(Act::Close { reason: CloseReason::CrashLoop })
        );
    }

    fn anything() -> impl Strategy<Value = Situation> {
        let state = prop_oneof![
            Just(LeaseState::None),
            Just(LeaseState::Pending),
            Just(LeaseState::Active),
            Just(LeaseState::Paused),
            Just(LeaseState::Closed)
        ];
        let manifest = prop_oneof![
            Just(Manifest::Current),
            Just(Manifest::Outdated),
            Just(Manifest::Missing),
            Just(Manifest::Unknown)
        ];
        let workload = prop_oneof![
            Just(None),
            Just(Some(Workload::Nothing)),
            Just(Some(Workload::Different)),
            Just(Some(Workload::Ready)),
            Just(Some(Workload::Unready))
        ];
        let failure = prop_oneof![Just(Failure::Image), Just(Failure::Crashing), Just(Failure::Refused)];
        let time = 0u64..20_000;
        (
            (state, manifest, workload, proptest::option::of((time.clone(), failure))),
            (time.clone(), time.clone(), time.clone(), time.clone(), time.clone(), time.clone(), time),
        )
            .prop_map(
                |(
                    (state, manifest, workload, failing),
                    (start, end, settled_to, chain_now, host_now, records_since, last_running),
                )| {
                    Situation {
                        state,
                        end,
                        start,
                        settled_to,
                        paused_by_arbiter: false,
                        chain_now,
                        host_now,
                        manifest,
                        records_since,
                        last_running,
                        workload,
                        failing,
                    }
                },
            )
    }

    proptest! {
        #[test]
        fn nothing_is_removed_without_the_chains_word_or_the_end(now in anything()) {
            match next(&now, LIMITS) {
                Step::Remove => prop_assert_eq!(now.state, LeaseState::Closed),
                Step::Expire { remove } => {
                    prop_assert!(now.chain_now >= now.end);
                    prop_assert!(!remove || now.state == LeaseState::Pending || now.host_now >= now.end);
                }
                _ => {}
            }
        }

        #[test]
        fn what_cannot_be_seen_is_neither_removed_nor_closed_nor_paused(now in anything()) {
            let blind = Situation { workload: None, ..now };
            let step = next(&blind, LIMITS);
            prop_assert!(!matches!(step, Step::Remove | Step::Act(Act::Close { .. }) | Step::Act(Act::Pause { .. })), "{:?}", step);
        }

        #[test]
        fn a_pause_never_begins_before_what_was_paid(now in anything()) {
            if let Step::Act(Act::Pause { since }) = next(&now, LIMITS) {
                prop_assert!(since >= now.settled_to);
            }
        }
    }
}
