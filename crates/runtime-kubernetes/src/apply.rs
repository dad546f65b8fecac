//! Brings a lease's objects to what its workload says, and waits until that serves.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use iono_primitives::LeaseId;
use iono_runtime::{EventKind, PullPolicy, RuntimeError, Switchboard, Workload};
use iono_telemetry::fail_point;
use k8s_openapi::api::core::v1::{Namespace, Secret, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Resource;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;

use crate::cluster::{MANAGER, ask, or_gone};
use crate::images;
use crate::inner::Inner;
use crate::names::{annotation, key, label};
use crate::objects::{self, Carried, Object};
use crate::observe::{Listed, Set};

/// How long something may take to go.
const GONE: Duration = Duration::from_secs(60);
/// Kinds that keep replicas running.
const SETS: [&str; 3] = ["Deployment", "StatefulSet", "Job"];

impl Inner {
    /// See [`iono_runtime::Runtime::apply`].
    pub(crate) async fn apply(
        &self,
        workload: &Workload,
        switch: &dyn Switchboard,
    ) -> Result<(), RuntimeError> {
        workload.check()?;
        let _turn = self.turns.take(workload.lease).await;
        let result = self.converge(workload, switch).await;
        if let Err(error) = &result {
            self.happenings.emit(workload.lease, None, EventKind::Failed, error.to_string());
        }
        result
    }

    async fn converge(&self, workload: &Workload, switch: &dyn Switchboard) -> Result<(), RuntimeError> {
        let lease = workload.lease;
        self.in_sight().await?;
        let before = self.live.listed(Some(lease));
        let mut carried = Carried { own_blocks: self.own_blocks().await?, ..carried(workload, &before) };
        let new = workload.services.iter().filter(|service| !carried.images.contains_key(&service.name));
        let pinned = images::pin(new.collect(), &self.config.private_registries).await?;
        carried.images.extend(pinned);
        let objects = objects::of(&self.config, &self.names, workload, &carried)?;
        let text: Vec<&serde_json::Value> = objects.iter().map(|object| &object.value).collect();
        let text = serde_json::to_vec(&text).map_err(|error| RuntimeError::Refused(error.to_string()))?;
        let fingerprint = self.config.vault.fingerprint(&text);
        let known = self.applied().get(&lease) == Some(&fingerprint);
        if !(known && stands(&objects, &before)) {
            self.make_room_for(lease, &before).await?;
            self.make_way(workload, &objects, &before, switch).await?;
            self.send(lease, &objects).await?;
            self.prune(lease, &objects, &before).await?;
            self.sign(workload).await?;
            self.applied().insert(lease, fingerprint);
        }
        let settled = self.settle(workload, &objects, switch).await;
        if let Err(RuntimeError::ImageUnavailable { .. }) = &settled
            && before.namespaces.is_empty()
        {
            // Nothing ever ran: nothing is left of it.
            self.take_away(lease).await?;
        }
        settled
    }

    /// A namespace on its way out takes nothing new.
    async fn make_room_for(&self, lease: LeaseId, before: &Listed) -> Result<(), RuntimeError> {
        let ending =
            |listed: &Listed| listed.namespaces.iter().any(|n| n.metadata.deletion_timestamp.is_some());
        if !ending(before) {
            return Ok(());
        }
        self.wait(lease, "the lease's old namespace goes", GONE, || !ending(&self.live.listed(Some(lease))))
            .await
    }

    /// What cannot be changed in place goes first, and so do replicas that must not meet their successors.
    async fn make_way(
        &self,
        workload: &Workload,
        objects: &[Object],
        before: &Listed,
        switch: &dyn Switchboard,
    ) -> Result<(), RuntimeError> {
        for set in before.sets() {
            let name = set.service();
            let Some(service) = workload.services.iter().find(|service| service.name == name) else {
                switch.route(workload.lease, name, &[], Duration::from_secs(10)).await;
                continue;
            };
            let next = objects.iter().find(|object| SETS.contains(&object.kind) && object.name == name);
            let same_kind = next.is_some_and(|next| next.kind == set.kind);
            // The API server empties a probe that goes instead of removing it, and refuses what is left.
            let loses_probe = set.has_probe() && next.is_some_and(|next| !next.has_probe());
            let same_pods = next.is_some_and(|next| next.template() == set.template());
            if !same_kind || loses_probe || (set.kind == "Job" && !same_pods) {
                switch.route(workload.lease, name, &[], service.drain).await;
                self.keep_logs_of(workload.lease, name).await;
                self.remove_set(workload.lease, &set).await?;
            } else if set.kind == "StatefulSet" && !same_pods {
                // Requests wait in the router until the new ones are there.
                switch.route(workload.lease, name, &[], service.drain).await;
            } else if set.replicas > service.replicas && set.kind == "Deployment" {
                self.shrink(workload.lease, service, switch).await?;
            }
        }
        Ok(())
    }

    /// Removes a set and waits until its pods have ended.
    pub(crate) async fn remove_set(&self, lease: LeaseId, set: &Set<'_>) -> Result<(), RuntimeError> {
        let object = set.object(&self.names.namespace(lease), serde_json::Value::Null);
        let api = self.cluster.api_of(&object).await?;
        or_gone(ask(api.delete(&object.name, &DeleteParams::foreground())).await)?;
        let is_there = || {
            let listed = self.live.listed(Some(lease));
            let pods = listed.pods.iter().any(|pod| label(&pod.metadata, "service") == Some(&object.name));
            pods || listed.has(set.kind, &object.name)
        };
        self.wait(lease, &format!("service `{}` ends", object.name), GONE, || !is_there()).await
    }

    /// Sends everything: the namespace first, what pods need next, what makes pods last.
    async fn send(&self, lease: LeaseId, objects: &[Object]) -> Result<(), RuntimeError> {
        let (spaces, rest): (Vec<&Object>, Vec<&Object>) =
            objects.iter().partition(|object| object.namespace.is_none());
        let (sets, needs): (Vec<&Object>, Vec<&Object>) =
            rest.into_iter().partition(|object| SETS.contains(&object.kind));
        let parts = [
            (spaces, "kubernetes.after_space"),
            (needs, "kubernetes.mid_send"),
            (sets, "kubernetes.before_sign"),
        ];
        for (part, end) in parts {
            try_join_all(part.iter().map(|object| self.cluster.apply(object))).await?;
            fail_point(end);
        }
        // What was just said is known here before anything is made of it.
        let told = || {
            let now = self.live.listed(Some(lease));
            !now.namespaces.is_empty() && stands(objects, &now)
        };
        self.wait(lease, "the cluster takes the lease's objects", GONE, told).await
    }

    /// Removes what the workload no longer names.
    async fn prune(&self, lease: LeaseId, objects: &[Object], before: &Listed) -> Result<(), RuntimeError> {
        let listed = self.live.listed(Some(lease));
        let unnamed = |set: &Set<'_>| !objects.iter().any(|o| o.kind == set.kind && o.name == set.service());
        let sets: Vec<Set<'_>> = listed.sets().into_iter().filter(unnamed).collect();
        for set in &sets {
            self.keep_logs_of(lease, set.service()).await;
        }
        join_all(sets.iter().map(|set| self.remove_set(lease, set)))
            .await
            .into_iter()
            .collect::<Result<(), _>>()?;
        tokio::try_join!(
            self.prune_secrets(lease, objects, before),
            self.prune_kind::<Service>(lease, objects),
            self.prune_kind::<NetworkPolicy>(lease, objects)
        )?;
        Ok(())
    }

    /// By the names that pods were given: who may list secrets may read them, and nothing here needs that.
    async fn prune_secrets(
        &self,
        lease: LeaseId,
        objects: &[Object],
        before: &Listed,
    ) -> Result<(), RuntimeError> {
        let api: Api<Secret> = Api::namespaced(self.cluster.client().await?, &self.names.namespace(lease));
        let named = |name: &str| objects.iter().any(|object| object.kind == "Secret" && object.name == name);
        for name in before.sets().iter().flat_map(Set::secrets).filter(|name| !named(name)) {
            or_gone(ask(api.delete(name, &DeleteParams::default())).await)?;
        }
        Ok(())
    }

    async fn prune_kind<K>(&self, lease: LeaseId, objects: &[Object]) -> Result<(), RuntimeError>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + k8s_openapi::Resource
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.cluster.client().await?, &self.names.namespace(lease));
        let there = ask(api.list_metadata(&ListParams::default().labels(&self.names.selector()))).await?;
        let named: BTreeSet<&str> = objects
            .iter()
            .filter(|object| object.kind == <K as k8s_openapi::Resource>::KIND)
            .map(|object| object.name.as_str())
            .collect();
        for metadata in there.items.into_iter().map(|item| item.metadata) {
            let name = metadata.name.unwrap_or_default();
            if !named.contains(name.as_str()) {
                or_gone(ask(api.delete(&name, &DeleteParams::default())).await)?;
            }
        }
        Ok(())
    }

    /// Says on the namespace which manifest was sent whole: a run that is cut off before this is done again.
    async fn sign(&self, workload: &Workload) -> Result<(), RuntimeError> {
        let lease = workload.lease;
        let hash = workload.manifest_hash.as_str();
        let is_signed = || {
            let listed = self.live.listed(Some(lease));
            listed.namespaces.iter().any(|space| annotation(&space.metadata, "manifest") == Some(hash))
        };
        if is_signed() {
            return Ok(());
        }
        let api: Api<Namespace> = Api::all(self.cluster.client().await?);
        let patch = json!({"metadata": {"annotations": {key("manifest"): hash}}});
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        ask(api.patch(&self.names.namespace(lease), &params, &Patch::Merge(patch))).await?;
        self.wait(lease, "the cluster takes the manifest's hash", GONE, is_signed).await
    }
}

/// What the sets that are there say of restarts and images.
fn carried(workload: &Workload, before: &Listed) -> Carried {
    let mut carried = Carried::default();
    for set in before.sets() {
        if let Some(stamp) = set.restarted() {
            carried.restarted.insert(set.service().to_owned(), stamp.to_owned());
        }
        let Some(service) = workload.services.iter().find(|service| service.name == set.service()) else {
            continue;
        };
        // A new manifest may ask for what its tag means by now.
        let asks_anew = service.pull == PullPolicy::Always
            && annotation(set.metadata, "manifest") != Some(&workload.manifest_hash);
        let is_same = annotation(set.metadata, "image") == Some(&service.image);
        if let (true, Some(image)) = (is_same && !asks_anew, set.image()) {
            carried.images.insert(service.name.clone(), image.to_owned());
        }
    }
    carried
}

/// Whether everything that makes pods is there as it was sent.
fn stands(objects: &[Object], listed: &Listed) -> bool {
    let there = listed.sets();
    let makes_pods = objects.iter().filter(|object| SETS.contains(&object.kind));
    makes_pods.into_iter().all(|object| {
        there.iter().any(|set| {
            let replicas =
                object.value.pointer("/spec/replicas").or(object.value.pointer("/spec/completions"));
            set.kind == object.kind
                && set.service() == object.name
                && set.template() == object.template()
                && annotation(set.metadata, "manifest") == object.annotation("manifest")
                && replicas.and_then(serde_json::Value::as_u64) == Some(u64::from(set.replicas))
        })
    })
}
