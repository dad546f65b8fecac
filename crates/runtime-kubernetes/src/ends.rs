//! How replicas ended that the cluster remembers no more: it removes the record of a StatefulSet's pod that was ended for
//! its disk before it makes the next one. Known as long as this process runs.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use iono_primitives::LeaseId;
use iono_runtime::Exit;
use k8s_openapi::api::core::v1::Pod;

use crate::names::{label, lease_of};
use crate::observe::has_failed;
use crate::replica;

/// Ends remembered of each service; a lease is given up after fewer.
const KEPT: usize = 64;

/// The end of a pod.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct End {
    uid: String,
    /// A StatefulSet's next pod of the same number has it again.
    pub(crate) name: String,
    /// The generation that it was of.
    template: Option<String>,
    pub(crate) exit: Option<Exit>,
}

impl End {
    pub(crate) fn of(pod: &Pod) -> Self {
        Self {
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            name: pod.metadata.name.clone().unwrap_or_default(),
            template: label(&pod.metadata, "template").map(str::to_owned),
            exit: replica::of(pod, 0).last_exit,
        }
    }
}

/// Ends by service; the oldest first.
pub(crate) type Past = HashMap<(LeaseId, String), VecDeque<End>>;

/// All ends that were seen.
#[derive(Debug, Default)]
pub(crate) struct Ends(Mutex<Past>);

impl Ends {
    fn lock(&self) -> MutexGuard<'_, Past> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a pod if it ended for good.
    pub(crate) fn note(&self, pod: &Pod) {
        let (Some(lease), Some(service)) = (lease_of(&pod.metadata), label(&pod.metadata, "service")) else {
            return;
        };
        if !has_failed(pod) {
            return;
        }
        let mut all = self.lock();
        let ends = all.entry((lease, service.to_owned())).or_default();
        let end = End::of(pod);
        // Told more than once, and more of it each time.
        ends.retain(|known| known.uid != end.uid);
        if ends.len() == KEPT {
            ends.pop_front();
        }
        ends.push_back(end);
    }

    /// Those of a lease, or all.
    pub(crate) fn of(&self, lease: Option<LeaseId>) -> Past {
        let all = self.lock();
        let asked = all.iter().filter(|((of, _), _)| lease.is_none_or(|lease| lease == *of));
        asked.map(|(service, ends)| (service.clone(), ends.clone())).collect()
    }

    pub(crate) fn forget(&self, lease: LeaseId) {
        self.lock().retain(|(of, _), _| *of != lease);
    }
}

/// The ends that are a service's past: those remembered of its present generation, and those that the cluster still tells.
pub(crate) fn past_of(
    past: &Past,
    lease: LeaseId,
    service: &str,
    template: Option<&str>,
    told: &[End],
) -> Vec<End> {
    let remembered = past.get(&(lease, service.to_owned())).into_iter().flatten();
    let only_remembered = remembered
        .filter(|end| end.template.as_deref() == template && !told.iter().any(|told| told.uid == end.uid));
    only_remembered.chain(told).cloned().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::names::key;

    fn pod(lease: u64, uid: &str, phase: &str) -> Pod {
        let labels = json!({key("lease"): lease.to_string(), key("service"): "db", key("template"): "new"});
        let message = "Pod ephemeral local storage usage exceeds the total limit of containers 16Mi.";
        serde_json::from_value(json!({
            "metadata": {"name": "db-0", "uid": uid, "labels": labels},
            "status": {"phase": phase, "reason": "Evicted", "message": message},
        }))
        .unwrap()
    }

    #[test]
    fn ends_are_remembered_once_each_and_in_bounds() {
        let (ends, one, two) = (Ends::default(), LeaseId(1), LeaseId(2));
        ends.note(&pod(1, "runs", "Running"));
        for uid in ["a", "b", "a"] {
            ends.note(&pod(1, uid, "Failed"));
        }
        ends.note(&pod(2, "c", "Failed"));
        let of = |lease, template, told: &[End]| {
            let past = past_of(&ends.of(Some(lease)), lease, "db", template, told);
            past.into_iter().map(|end| end.uid).collect::<Vec<_>>()
        };
        assert_eq!(of(one, Some("new"), &[]), ["b", "a"]);
        // What the cluster tells itself is not counted twice; what another generation did is another's.
        assert_eq!(of(one, Some("new"), &[End::of(&pod(1, "b", "Failed"))]), ["a", "b"]);
        assert_eq!(of(one, Some("newer"), &[]), Vec::<String>::new());
        for uid in 0..2 * KEPT {
            ends.note(&pod(1, &uid.to_string(), "Failed"));
        }
        let kept = of(one, Some("new"), &[]);
        assert_eq!((kept.len(), kept.last().unwrap().as_str()), (KEPT, "127"));
        ends.forget(one);
        assert_eq!((of(one, Some("new"), &[]).len(), of(two, Some("new"), &[]).len()), (0, 1));
    }
}
