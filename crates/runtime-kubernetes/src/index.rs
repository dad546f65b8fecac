//! Objects of one kind by the lease that they belong to: who asks for one lease does not look at all of them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use iono_primitives::LeaseId;
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};

use crate::names::lease_of;

/// Objects of a lease by namespace and name.
type Named<K> = BTreeMap<(Option<String>, String), Arc<K>>;
type ByLease<K> = HashMap<LeaseId, Named<K>>;

/// What a watch has seen, without what belongs to no lease.
pub(crate) struct Index<K> {
    now: RwLock<ByLease<K>>,
    /// What a watch that begins has told so far; it takes the place of the old when that is all.
    fresh: Mutex<ByLease<K>>,
}

impl<K> Default for Index<K> {
    fn default() -> Self {
        Self { now: RwLock::default(), fresh: Mutex::default() }
    }
}

impl<K> fmt::Debug for Index<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").finish_non_exhaustive()
    }
}

impl<K: Resource<DynamicType = ()> + Clone> Index<K> {
    /// Takes an event; the leases of which something changed.
    pub(crate) fn take(&self, event: &Event<K>) -> HashSet<LeaseId> {
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Init => fresh.clear(),
            Event::InitApply(object) => drop(put(&mut fresh, object)),
            Event::InitDone => {
                let old = std::mem::replace(&mut *now, std::mem::take(&mut *fresh));
                return old.keys().chain(now.keys()).copied().collect();
            }
            Event::Apply(object) => return put(&mut now, object).into_iter().collect(),
            Event::Delete(object) => {
                let Some(lease) = lease_of(object.meta()) else { return HashSet::new() };
                if let Some(all) = now.get_mut(&lease) {
                    all.remove(&(object.namespace(), object.name_any()));
                    if all.is_empty() {
                        now.remove(&lease);
                    }
                }
                return HashSet::from([lease]);
            }
        }
        HashSet::new()
    }

    /// Those of a lease, by namespace and name.
    pub(crate) fn of(&self, lease: LeaseId) -> Vec<Arc<K>> {
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        now.get(&lease).into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<K>> {
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        now.values().flat_map(BTreeMap::values).cloned().collect()
    }

    /// The one that is known under an object's name.
    pub(crate) fn like(&self, object: &K) -> Option<Arc<K>> {
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        now.get(&lease_of(object.meta())?)?.get(&(object.namespace(), object.name_any())).cloned()
    }
}

fn put<K: Resource<DynamicType = ()> + Clone>(all: &mut ByLease<K>, object: &K) -> Option<LeaseId> {
    let lease = lease_of(object.meta())?;
    let name = (object.namespace(), object.name_any());
    all.entry(lease).or_default().insert(name, Arc::new(object.clone()));
    Some(lease)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    use super::*;
    use crate::names::key;

    fn pod(lease: u64, name: &str) -> Pod {
        let labels = json!({key("lease"): lease.to_string()});
        serde_json::from_value(json!({"metadata": {"name": name, "namespace": "n", "labels": labels}}))
            .unwrap()
    }

    fn names(index: &Index<Pod>, lease: u64) -> Vec<String> {
        index.of(LeaseId(lease)).iter().map(|pod| pod.name_any()).collect()
    }

    #[test]
    fn each_lease_has_its_own_and_a_new_beginning_forgets_the_rest() {
        let index = Index::default();
        assert_eq!(index.take(&Event::Apply(pod(1, "a"))), HashSet::from([LeaseId(1)]));
        index.take(&Event::Apply(pod(1, "b")));
        index.take(&Event::Apply(pod(2, "a")));
        let stray: Pod = serde_json::from_value(json!({"metadata": {"name": "stray"}})).unwrap();
        assert!(index.take(&Event::Apply(stray)).is_empty());
        assert_eq!((names(&index, 1), names(&index, 2)), (vec!["a".into(), "b".into()], vec!["a".into()]));
        assert_eq!(index.take(&Event::Delete(pod(1, "a"))), HashSet::from([LeaseId(1)]));
        assert_eq!((names(&index, 1), index.all().len()), (vec!["b".to_owned()], 2));
        assert!(index.like(&pod(1, "b")).is_some() && index.like(&pod(1, "a")).is_none());
        // Until a new beginning has told all, the old stands.
        index.take(&Event::Init);
        index.take(&Event::InitApply(pod(3, "c")));
        assert_eq!((index.all().len(), names(&index, 3).len()), (2, 0));
        let changed = index.take(&Event::InitDone);
        assert_eq!(changed, HashSet::from([LeaseId(1), LeaseId(2), LeaseId(3)]));
        assert_eq!((index.all().len(), names(&index, 3)), (1, vec!["c".to_owned()]));
    }
}
