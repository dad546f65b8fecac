//! When an update has arrived: the provider has the manifest, every service has its replicas, and those of changed
//! services were started after it. (A provider's `ready` counts the old replicas until they are replaced.)

use std::collections::BTreeMap;

use alloy::primitives::B256;
use iono_lease_api::{LeaseStatus, SaltedManifest, ServiceStatus};
use iono_manifest::{LeaseManifest, Service};

/// What an update is to become.
#[derive(Debug, Clone)]
pub(crate) struct Rollout {
    hash: B256,
    /// Services that must be started anew, with the last start before the update in the provider's milliseconds.
    renewed: BTreeMap<String, u64>,
}

impl Rollout {
    /// From the manifest and the status before the update to the new manifest. Without the old manifest only counts are
    /// looked at.
    pub(crate) fn new(
        old: Option<&LeaseManifest>,
        before: Option<&LeaseStatus>,
        new: &SaltedManifest,
    ) -> Self {
        let last_start = |name: &str| {
            let service =
                before.into_iter().flat_map(|status| &status.services).find(|service| service.name == name);
            service.and_then(last_start).unwrap_or(0)
        };
        let changed = new.manifest().services.iter().filter(|service| {
            let former = old.and_then(|old| old.service(&service.name));
            old.is_some() && former.is_none_or(|former| !same_but_for_count(former, service))
        });
        let renewed = changed.map(|service| (service.name.clone(), last_start(&service.name))).collect();
        Self { hash: new.hash(), renewed }
    }

    /// Whether everything serves as the new manifest says.
    pub(crate) fn is_done(&self, status: &LeaseStatus) -> bool {
        status.manifest_hash == Some(self.hash)
            && !status.services.is_empty()
            && status.services.iter().all(|service| self.serves(service))
    }

    fn serves(&self, service: &ServiceStatus) -> bool {
        let replaced = self.renewed.get(&service.name).is_none_or(|before| {
            service.replicas.iter().all(|replica| replica.started_at_ms.is_some_and(|at| at > *before))
        });
        // More containers than asked for: the old ones are still there.
        let settled = service.replicas.len() <= usize::try_from(service.desired).unwrap_or(usize::MAX);
        service.ready >= service.desired && replaced && settled
    }
}

fn last_start(service: &ServiceStatus) -> Option<u64> {
    service.replicas.iter().filter_map(|replica| replica.started_at_ms).max()
}

fn same_but_for_count(a: &Service, b: &Service) -> bool {
    Service { count: b.count, ..a.clone() } == *b
}

#[cfg(test)]
mod tests {
    use iono_lease_api::{ReplicaState, ReplicaStatus};
    use iono_primitives::{LeaseId, LeaseState};

    use super::*;

    fn manifest(text: &str) -> SaltedManifest {
        let deployment = iono_manifest::parse(text).unwrap();
        let manifest =
            iono_manifest::resolve(&deployment, |_| Err(std::io::Error::other("no secrets here"))).unwrap();
        SaltedManifest::new(B256::ZERO, manifest)
    }

    /// One service with replicas that started at these times.
    fn status(hash: B256, desired: u32, ready: u32, starts: &[u64]) -> LeaseStatus {
        let replicas = starts.iter().zip(0..).map(|(at, index)| ReplicaStatus {
            index,
            state: ReplicaState::Ready,
            restarts: 0,
            started_at_ms: Some(*at),
            image_digest: String::new(),
            last_exit: None,
        });
        let service = ServiceStatus {
            name: "hello".into(),
            desired,
            ready,
            restarts: 0,
            last_exit: None,
            urls: Vec::new(),
            ports: Vec::new(),
            ips: Vec::new(),
            replicas: replicas.collect(),
        };
        LeaseStatus {
            lease: LeaseId(1),
            state: LeaseState::Active,
            close_reason: None,
            paused_reason: None,
            started_at: None,
            ends_at: None,
            seconds_left: 0,
            manifest_hash: Some(hash),
            services: vec![service],
            warnings: Vec::new(),
        }
    }

    const HELLO: &str = include_str!("../../examples/hello.yaml");

    #[test]
    fn a_changed_service_must_be_started_anew() {
        let (old, new) = (manifest(HELLO), manifest(&HELLO.replace("NONCE=hello-ionosphere", "NONCE=other")));
        let rollout = Rollout::new(Some(old.manifest()), Some(&status(old.hash(), 1, 1, &[5])), &new);
        assert!(!rollout.is_done(&status(old.hash(), 1, 1, &[5])), "the provider has not seen it");
        assert!(!rollout.is_done(&status(new.hash(), 1, 1, &[5])), "the old replica serves");
        assert!(!rollout.is_done(&status(new.hash(), 1, 2, &[5, 9])), "both serve");
        assert!(!rollout.is_done(&status(new.hash(), 1, 0, &[9])), "the new one does not serve yet");
        assert!(rollout.is_done(&status(new.hash(), 1, 1, &[9])));
    }

    #[test]
    fn more_replicas_leave_the_first_alone() {
        let (old, new) = (manifest(HELLO), manifest(&HELLO.replace("count: 1", "count: 2")));
        let rollout = Rollout::new(Some(old.manifest()), Some(&status(old.hash(), 1, 1, &[5])), &new);
        assert!(!rollout.is_done(&status(new.hash(), 2, 1, &[5])));
        assert!(rollout.is_done(&status(new.hash(), 2, 2, &[5, 9])));
    }

    #[test]
    fn without_the_old_manifest_counts_decide() {
        let new = manifest(HELLO);
        assert!(Rollout::new(None, None, &new).is_done(&status(new.hash(), 1, 1, &[5])));
    }
}
