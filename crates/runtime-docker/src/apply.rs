//! Brings a lease to its desired state: plans, makes what is missing all at once, then rolls each service over.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use iono_primitives::LeaseId;
use iono_runtime::{EventKind, RuntimeError, Service, Switchboard, Workload};

use crate::images::Image;
use crate::inner::Inner;
use crate::labels::Container;
use crate::network::Plan;
use crate::rollout::Rollout;
use crate::services::{Member, members};
use crate::spec;

/// Tries when another provider on the same engine takes the addresses that were chosen, or the engine is still at work
/// on a network that an earlier, killed run of ours asked for.
const ATTEMPTS: usize = 20;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);

impl Inner {
    /// See [`iono_runtime::Runtime::apply`].
    pub(crate) async fn apply(
        &self,
        workload: &Workload,
        switch: &dyn Switchboard,
    ) -> Result<(), RuntimeError> {
        check(workload)?;
        let _lock = self.turns.take(workload.lease).await;
        let result = self.converge(workload, switch).await;
        if let Err(error) = &result {
            self.hub.happenings.emit(workload.lease, None, EventKind::Failed, error.to_string());
        }
        result
    }

    async fn converge(&self, workload: &Workload, switch: &dyn Switchboard) -> Result<(), RuntimeError> {
        let lease = workload.lease;
        let existing = self.containers(Some(lease), false).await?;
        let images = self.images(workload, &existing).await?;
        for _ in 0..ATTEMPTS {
            let rollouts = self.plan(workload, &existing, &images)?;
            // Twice the replicas: while an update is under way both generations are there.
            let most: u32 = workload.services.iter().map(|service| service.replicas.saturating_mul(2)).sum();
            let plan = self.plan_network(lease, most).await?;
            if let Some(created) = self.make(lease, plan, &rollouts, &existing).await? {
                let existing = [existing, created].concat();
                return self.roll(workload, plan, &images, &existing, switch).await;
            }
            self.forget_network(lease);
            tokio::time::sleep(PAUSE).await;
        }
        Err(RuntimeError::Engine(
            "other networks keep taking the addresses of this one; try again".to_owned(),
        ))
    }

    /// The image of every service, asked for all at once.
    async fn images(&self, workload: &Workload, existing: &[Container]) -> Result<Vec<Image>, RuntimeError> {
        let known = self.applied(workload.lease);
        try_join_all(workload.services.iter().map(|service| {
            let same = |c: &&Container| c.service == service.name && c.image == service.image;
            let pinned = existing.iter().filter(same).max_by_key(|c| c.created);
            let before = known.as_ref().map(|known| known.manifest_hash.as_str());
            let before = before.or(pinned.map(|c| c.manifest_hash.as_str()));
            let anew = before != Some(workload.manifest_hash.as_str());
            self.image(workload.lease, service, pinned.map(|c| c.image_id.as_str()), anew)
        }))
        .await
    }

    /// What has to happen to each service.
    fn plan<'a>(
        &self,
        workload: &'a Workload,
        existing: &[Container],
        images: &[Image],
    ) -> Result<Vec<Rollout<'a>>, RuntimeError> {
        let each = workload.services.iter().zip(images);
        each.map(|(service, image)| self.plan_service(workload, service, image, existing)).collect()
    }

    fn plan_service<'a>(
        &self,
        workload: &'a Workload,
        service: &'a Service,
        image: &Image,
        existing: &[Container],
    ) -> Result<Rollout<'a>, RuntimeError> {
        let mut old: Vec<Container> =
            existing.iter().filter(|c| c.service == service.name).cloned().collect();
        let mut replicas = Vec::new();
        for replica in 0..service.replicas {
            let spec = self.spec_hash(&spec::of_replica(service, replica), &image.id)?;
            let current = old.iter().position(|c| c.replica == replica && c.spec == spec);
            replicas.push((replica, spec, current.map(|at| old.swap_remove(at))));
        }
        Ok(Rollout { workload, service, image: image.clone(), replicas, old })
    }

    /// Makes network, guard, volumes and the first containers side by side, and returns these. `None` when the network
    /// could not be made at these addresses; the containers that were meant for it are gone again then.
    async fn make(
        &self,
        lease: LeaseId,
        plan: Plan,
        rollouts: &[Rollout<'_>],
        existing: &[Container],
    ) -> Result<Option<Vec<Container>>, RuntimeError> {
        self.guard.set_up().await?;
        let bridge = self.names.bridge(lease);
        let mut members = members(existing);
        if plan.exists {
            self.guard.admit(&bridge, members, false).await?;
            return Ok(Some(Vec::new()));
        }
        let mut addresses = Addresses::new(plan, existing);
        let mut first = Vec::new();
        for rollout in rollouts.iter().filter(|rollout| rollout.is_first()) {
            for (replica, spec, _) in &rollout.replicas {
                let address = addresses.next()?;
                members.insert(address, Member::of(rollout.service));
                first.push(self.create(rollout, *replica, spec, address));
            }
        }
        let (network, guard, created) = tokio::join!(
            self.make_network(lease, plan.subnet),
            self.guard.admit(&bridge, members, true),
            join_all(first)
        );
        guard?;
        let made = network?;
        let created: Vec<Container> = created.into_iter().collect::<Result<_, _>>()?;
        if made {
            return Ok(Some(created));
        }
        try_join_all(created.iter().map(|container| self.discard(container))).await?;
        Ok(None)
    }

    async fn roll(
        &self,
        workload: &Workload,
        plan: Plan,
        images: &[Image],
        existing: &[Container],
        switch: &dyn Switchboard,
    ) -> Result<(), RuntimeError> {
        let rollouts = self.plan(workload, existing, images)?;
        let addresses = tokio::sync::Mutex::new(Addresses::new(plan, existing));
        // All services go on even if one fails: they may need each other to become ready.
        let results =
            join_all(rollouts.iter().map(|rollout| self.roll_out(rollout, &addresses, switch))).await;
        results.into_iter().collect::<Result<Vec<()>, _>>()?;
        self.retire_services(workload, existing, switch).await?;
        self.remove_unnamed(workload).await?;
        let specs = rollouts.iter().flat_map(|rollout| &rollout.replicas).map(|(_, spec, _)| spec.as_str());
        self.prune_secrets(workload.lease, &specs.collect::<Vec<_>>())?;
        self.set_applied(Arc::new(workload.clone()));
        Ok(())
    }

    /// Stops the services that the workload no longer has.
    async fn retire_services(
        &self,
        workload: &Workload,
        existing: &[Container],
        switch: &dyn Switchboard,
    ) -> Result<(), RuntimeError> {
        let gone = |c: &&Container| !workload.services.iter().any(|service| service.name == c.service);
        let names: HashSet<&str> = existing.iter().filter(gone).map(|c| c.service.as_str()).collect();
        for name in names {
            switch.route(workload.lease, name, &[], Service::new("", "").drain).await;
        }
        try_join_all(existing.iter().filter(gone).map(|c| self.replace(c, false))).await.map(drop)
    }
}

/// Free addresses of a lease's network.
pub(crate) struct Addresses {
    plan: Plan,
    used: HashSet<std::net::Ipv4Addr>,
}

impl Addresses {
    fn new(plan: Plan, existing: &[Container]) -> Self {
        Self { plan, used: existing.iter().map(|c| c.address).collect() }
    }

    /// The lowest free one.
    pub(crate) fn next(&mut self) -> Result<std::net::Ipv4Addr, RuntimeError> {
        let free = self.plan.subnet.hosts().find(|address| !self.used.contains(address));
        let free = free.ok_or_else(|| {
            let text = "the lease's network has no address left for so many replicas; close the lease and deploy anew";
            RuntimeError::Refused(text.to_owned())
        })?;
        self.used.insert(free);
        Ok(free)
    }

    /// Gives one back.
    pub(crate) fn release(&mut self, address: std::net::Ipv4Addr) {
        self.used.remove(&address);
    }
}

/// Refuses a workload that cannot run, before anything is changed.
fn check(workload: &Workload) -> Result<(), RuntimeError> {
    workload.check()?;
    workload.services.iter().try_for_each(spec::check)
}
