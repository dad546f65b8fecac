//! Puts together what is known of a lease: the chain's facts, the manifest, and what the engine shows.

use std::collections::HashMap;

use iono_lease_api::SaltedManifest;
use iono_primitives::{LeaseId, LeaseState};
use iono_runtime::{Observed, ReplicaState, RuntimeError};

use super::next::{Failure, Manifest, Situation, Workload};
use crate::market::lease::{Facts, Lease, TroubleKind};

/// Number of the arbiter in a lease's `paused_by`.
pub const ARBITER: u8 = 2;

/// Everything that the engine has of this provider, by lease.
pub type ObservedLeases = HashMap<LeaseId, Observed>;

/// The times that a situation depends on, unix seconds.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    /// Of the newest block.
    pub chain: u64,
    /// Of this machine.
    pub host: u64,
    /// When this provider's records begin.
    pub records_since: u64,
}

/// The situation of a lease whose facts are known. `observed` is `None` when the engine does not answer.
#[must_use]
pub fn situation(
    lease: &Lease,
    facts: &Facts,
    manifest: Result<Option<&SaltedManifest>, &RuntimeError>,
    observed: Option<&ObservedLeases>,
    clocks: Clocks,
    crash_limit: u32,
) -> Situation {
    let seen = observed.map(|observed| observed.get(&lease.id));
    let manifest = match manifest {
        Ok(Some(manifest)) if manifest.hash() == facts.manifest_hash => Manifest::Current,
        Ok(Some(_)) => Manifest::Outdated,
        Ok(None) => Manifest::Missing,
        Err(_) => Manifest::Unknown,
    };
    let crashing = seen.flatten().is_some_and(|observed| is_crashing(observed, crash_limit));
    let failing = match &lease.trouble {
        _ if crashing => Some((clocks.host, Failure::Crashing)),
        Some(trouble) if trouble.kind == TroubleKind::Image => Some((trouble.since, Failure::Image)),
        Some(trouble) if trouble.kind == TroubleKind::Refused => Some((trouble.since, Failure::Refused)),
        _ => None,
    };
    Situation {
        state: facts.words.lease_state().unwrap_or(LeaseState::None),
        end: facts.words.end,
        start: facts.start(),
        settled_to: facts.words.settled_to,
        chain_now: clocks.chain,
        host_now: clocks.host,
        manifest,
        paused_by_arbiter: facts.words.paused_by == ARBITER,
        records_since: clocks.records_since,
        last_running: lease.last_running,
        workload: seen.map(|seen| workload(seen, &format!("{:#x}", facts.manifest_hash))),
        failing,
    }
}

fn workload(seen: Option<&Observed>, hash: &str) -> Workload {
    match seen {
        None => Workload::Nothing,
        Some(observed) if observed.services.is_empty() && !observed.has_manifest => Workload::Nothing,
        Some(observed) if observed.manifest_hash != hash || observed.services.is_empty() => {
            Workload::Different
        }
        // An update that was cut off leaves replicas of the old manifest beside the new ones.
        Some(observed) if has_leftovers(observed, hash) => Workload::Different,
        Some(observed) if observed.is_ready() => Workload::Ready,
        Some(_) => Workload::Unready,
    }
}

fn has_leftovers(observed: &Observed, hash: &str) -> bool {
    observed.services.iter().any(|service| {
        let surplus = service.replicas.len() > service.desired as usize;
        surplus || service.replicas.iter().any(|replica| replica.manifest_hash != hash)
    })
}

/// Whether replicas of what was applied last end again and again.
fn is_crashing(observed: &Observed, limit: u32) -> bool {
    let replicas = observed.services.iter().flat_map(|service| &service.replicas);
    replicas
        .filter(|replica| replica.manifest_hash == observed.manifest_hash)
        .any(|replica| replica.restarts >= limit && replica.state != ReplicaState::Ready)
}

/// Whether anything of a lease serves.
#[must_use]
pub fn is_running(observed: &Observed) -> bool {
    observed.services.iter().any(|service| service.ready > 0)
}

#[cfg(test)]
mod tests {
    use iono_runtime::{ObservedService, Replica};

    use super::*;

    fn replica(index: u32, hash: &str, state: ReplicaState, restarts: u32) -> Replica {
        Replica {
            id: index.to_string(),
            index,
            state,
            address: None,
            restarts,
            started_at: None,
            last_exit: None,
            image_digest: String::new(),
            manifest_hash: hash.to_owned(),
        }
    }

    fn observed(hash: &str, desired: u32, ready: u32, replicas: Vec<Replica>) -> Observed {
        let service = ObservedService { name: "web".to_owned(), desired, ready, replicas };
        Observed {
            lease: LeaseId(1),
            manifest_hash: hash.to_owned(),
            services: vec![service],
            has_manifest: true,
        }
    }

    #[test]
    fn ready_means_all_of_the_manifest_and_nothing_else() {
        let ready = || replica(0, "new", ReplicaState::Ready, 0);
        assert_eq!(workload(None, "new"), Workload::Nothing);
        assert_eq!(workload(Some(&observed("new", 1, 1, vec![ready()])), "new"), Workload::Ready);
        assert_eq!(workload(Some(&observed("new", 2, 1, vec![ready()])), "new"), Workload::Unready);
        assert_eq!(workload(Some(&observed("old", 1, 1, vec![ready()])), "new"), Workload::Different);
        let left = replica(0, "old", ReplicaState::Ready, 0);
        assert_eq!(workload(Some(&observed("new", 1, 2, vec![ready(), left])), "new"), Workload::Different);
        let stored = Observed { services: Vec::new(), ..observed("", 0, 0, Vec::new()) };
        assert_eq!(workload(Some(&stored), "new"), Workload::Different);
        assert_eq!(workload(Some(&Observed { has_manifest: false, ..stored }), "new"), Workload::Nothing);
    }

    #[test]
    fn only_replicas_that_never_get_ready_are_crashing() {
        let restarted = |state| observed("new", 1, 0, vec![replica(0, "new", state, 10)]);
        assert!(is_crashing(&restarted(ReplicaState::Restarting), 10));
        assert!(!is_crashing(&restarted(ReplicaState::Restarting), 11));
        assert!(!is_crashing(&restarted(ReplicaState::Ready), 10));
        let old = observed("new", 1, 0, vec![replica(0, "old", ReplicaState::Exited, 99)]);
        assert!(!is_crashing(&old, 10));
    }
}
