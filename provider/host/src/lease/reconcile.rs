//! Desired state against actual state: reads again what became stale, looks at the engine, and takes the next step of
//! every lease. Differences become actions with back-off; one action at a time for each lease.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use iono_identity::unix_now;
use iono_lease_api::SaltedManifest;
use iono_primitives::{LeaseId, LeaseState};
use iono_runtime::{Observed, RuntimeError};
use iono_telemetry::Check;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::actions::{self, StepError};
use super::ending;
use super::next::{Limits, Step, next};
use super::situation::{Clocks, ObservedLeases, is_running, situation};
use crate::acts::Act;
use crate::market::lease::{Facts, Lease};
use crate::market::party::Party;
use crate::node::Node;

/// Leases read from the chain at one time.
const READERS: usize = 8;
/// The longest wait after failures.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How exact the record of when a workload last ran is, in seconds.
const RUNNING_STEP: u64 = 10;

/// The loop with what it has under way.
pub struct Reconciler {
    node: Arc<Node>,
    engine: Check,
    tasks: TaskTracker,
    token: CancellationToken,
    leases: Mutex<HashMap<LeaseId, Progress>>,
}

/// What is under way for a lease, or was.
#[derive(Debug, Default)]
struct Progress {
    busy: bool,
    failures: u32,
    not_before: Option<Instant>,
    /// What the router was told last, by service; `None` when it has to be told anew.
    routed: Option<HashMap<String, Vec<IpAddr>>>,
    /// For what no lease is known of: the block since which the chain has none.
    unknown_since: Option<u64>,
}

impl Reconciler {
    /// A loop over `node`'s leases that stops with `token`; `engine` shows whether the engine answers.
    #[must_use]
    pub fn new(node: Arc<Node>, engine: Check, token: CancellationToken) -> Arc<Self> {
        Arc::new(Self { node, engine, tasks: TaskTracker::new(), token, leases: Mutex::default() })
    }

    /// Works until the token is cancelled; then waits for transactions and engine calls under way.
    pub async fn run(self: Arc<Self>) {
        let mut changes = self.node.runtime.changes();
        loop {
            let every = self.node.config().leases.reconcile_every.0;
            tokio::select! {
                () = self.node.leases_changed.notified() => {}
                Some(_) = changes.next() => {}
                () = tokio::time::sleep(every) => {}
                () = self.token.cancelled() => break,
            }
            if self.node.view().caught_up {
                self.look().await;
            } else {
                self.keep_running().await;
            }
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn look(self: &Arc<Self>) {
        self.refresh().await;
        ending::report(&self.open_leases(), self.node.view().head.timestamp);
        // Confirmations do not wait for the engine.
        for lease in self.open_leases() {
            if lease.state() == LeaseState::Pending {
                self.step(&lease, None, true).await;
            }
        }
        let observed = self.observe().await;
        for lease in self.open_leases() {
            if lease.state() != LeaseState::Pending {
                self.step(&lease, observed.as_ref(), true).await;
            }
        }
        if let Some(observed) = observed {
            self.orphans(&observed).await;
        }
        self.node.book().forget_done();
        if let Err(error) = self.node.save().await {
            tracing::error!(%error, "the state of leases cannot be written down yet");
        }
    }

    /// The chain is out of reach: what runs stays, and what ran is brought back, as after a reboot. Money waits, and so
    /// does what may have changed meanwhile.
    async fn keep_running(self: &Arc<Self>) {
        let Some(observed) = self.observe().await else { return };
        for lease in self.open_leases().iter().filter(|lease| lease.facts.is_some()) {
            self.step(lease, Some(&observed), false).await;
        }
    }

    fn open_leases(&self) -> Vec<Lease> {
        let mine = |lease: &&Lease| !lease.is_done() && self.node.serves(lease);
        self.node.book().leases().values().filter(mine).cloned().collect()
    }

    fn progress(&self) -> MutexGuard<'_, HashMap<LeaseId, Progress>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads leases again of which the chain said that they changed.
    async fn refresh(&self) {
        let stale: Vec<Lease> =
            self.node.book().leases().values().filter(|lease| lease.stale).cloned().collect();
        futures::stream::iter(stale).for_each_concurrent(READERS, |lease| self.refresh_one(lease)).await;
    }

    async fn refresh_one(&self, lease: Lease) {
        let known = lease.facts.as_ref().filter(|_| !lease.reread);
        match self.node.reader.facts(lease.id, lease.created, known).await {
            Ok(facts) => {
                // One that went to another provider is no lease of this one's any more.
                let facts = facts.filter(|facts| self.node.me.answers_for(facts.by()));
                self.node.book().change_lease(lease.id, |lease| {
                    lease.stale = false;
                    lease.reread = facts.is_none();
                    lease.facts = facts;
                });
                self.node.access_changed.send_modify(|count| *count += 1);
            }
            Err(error) => tracing::warn!(lease = %lease.id, %error, "the lease cannot be read; trying again"),
        }
    }

    /// What the engine has; `None` when it does not answer.
    async fn observe(&self) -> Option<ObservedLeases> {
        match self.node.runtime.observe().await {
            Ok(all) => {
                self.engine.ok();
                self.node.change_view(|view| view.engine = None);
                self.note_running(&all);
                Some(all.into_iter().map(|observed| (observed.lease, observed)).collect())
            }
            Err(error) => {
                self.engine.fail(error.to_string());
                self.node.change_view(|view| view.engine = Some(error.to_string()));
                None
            }
        }
    }

    fn note_running(&self, all: &[Observed]) {
        let now = unix_now();
        let mut book = self.node.book();
        for observed in all.iter().filter(|observed| is_running(observed)) {
            let old = book.leases().get(&observed.lease).map(|lease| lease.last_running);
            if old.is_some_and(|old| now.saturating_sub(old) >= RUNNING_STEP) {
                book.change_lease(observed.lease, |lease| lease.last_running = now);
            }
        }
        metrics::gauge!("iono_host_workloads").set(all.len() as f64);
    }

    /// Takes a lease's next step in a task of its own, unless one is under way. Without the chain in sight that can only
    /// be to mend its workload, within its time by this machine's clock.
    async fn step(self: &Arc<Self>, lease: &Lease, observed: Option<&ObservedLeases>, in_sight: bool) {
        let Some(facts) = lease.facts.clone() else {
            self.vanished(lease, observed).await;
            return;
        };
        let manifest = self.node.manifests.get(lease.id).await;
        let mut step = self.decide(lease, &facts, &manifest, observed);
        if !in_sight && (step != Step::Apply || unix_now() >= facts.words.end) {
            step = Step::Rest;
        }
        let manifest = manifest.ok().flatten();
        if step == Step::Rest {
            if let (Some(observed), Some(manifest)) = (observed, &manifest) {
                self.follow_addresses(lease.id, observed.get(&lease.id), manifest).await;
            }
            return;
        }
        if self.begin(lease.id) {
            let (this, lease) = (Arc::clone(self), lease.clone());
            self.tasks.spawn(async move { this.act(lease, facts, manifest, step).await });
        }
    }

    fn decide(
        &self,
        lease: &Lease,
        facts: &Facts,
        manifest: &Result<Option<Arc<SaltedManifest>>, RuntimeError>,
        observed: Option<&ObservedLeases>,
    ) -> Step {
        let config = self.node.config();
        let limits =
            Limits { manifest: config.leases.manifest_timeout.0, image: config.leases.image_timeout.0 };
        let clocks = Clocks {
            chain: self.node.view().head.timestamp,
            host: unix_now(),
            records_since: self.node.records_since,
        };
        let manifest = manifest.as_ref().map(Option::as_deref);
        let now = situation(lease, facts, manifest, observed, clocks, config.leases.crash_limit);
        match next(&now, limits) {
            // Hosts, ports and a stored manifest go as well, even where nothing ever ran.
            Step::Rest if now.state == LeaseState::Closed && !lease.removed && now.workload.is_some() => {
                Step::Remove
            }
            step => step,
        }
    }

    /// Marks a lease as busy; false when it is already, or has to wait after a failure.
    fn begin(&self, lease: LeaseId) -> bool {
        let mut leases = self.progress();
        let progress = leases.entry(lease).or_default();
        let waits = progress.not_before.is_some_and(|until| until > Instant::now());
        if progress.busy || waits {
            return false;
        }
        progress.busy = true;
        true
    }

    async fn act(
        self: Arc<Self>,
        lease: Lease,
        facts: Facts,
        manifest: Option<Arc<SaltedManifest>>,
        step: Step,
    ) {
        let (node, id) = (&self.node, lease.id);
        let done = match step {
            Step::Rest => Ok(()),
            Step::Act(act) => node.acts.act(id, &facts, act).await.map_err(StepError::from),
            Step::Remove => self.remove(id).await,
            Step::Expire { remove } => {
                let removed = if remove { actions::remove(node, id).await } else { Ok(()) };
                node.acts.act(id, &facts, Act::Expire).await.map_err(StepError::from).and(removed)
            }
            Step::Apply => match manifest {
                Some(manifest) => self.apply(id, &facts, &manifest).await,
                None => Ok(()),
            },
        };
        self.end(id, &step, done).await;
    }

    async fn apply(&self, lease: LeaseId, facts: &Facts, manifest: &SaltedManifest) -> Result<(), StepError> {
        let done = actions::apply(&self.node, lease, facts, manifest).await;
        let mut book = self.node.book();
        match &done {
            Ok(()) => book.change_lease(lease, |lease| {
                lease.trouble = None;
                lease.removed = false;
                lease.last_running = unix_now();
            }),
            Err(error) => book.change_lease(lease, |lease| {
                let trouble = actions::trouble(error);
                // The same trouble counts from its beginning.
                let since =
                    lease.trouble.as_ref().filter(|old| old.kind == trouble.kind).map(|old| old.since);
                lease.trouble =
                    Some(crate::market::lease::Trouble { since: since.unwrap_or(trouble.since), ..trouble });
                lease.removed = false;
            }),
        }
        done
    }

    async fn remove(&self, lease: LeaseId) -> Result<(), StepError> {
        actions::remove(&self.node, lease).await?;
        self.node.book().change_lease(lease, |lease| {
            lease.removed = true;
            lease.devices.clear();
            lease.trouble = None;
        });
        Ok(())
    }

    async fn end(&self, lease: LeaseId, step: &Step, done: Result<(), StepError>) {
        if let Err(error) = self.node.save().await {
            tracing::error!(%lease, %error, "the lease's state cannot be written down yet");
        }
        let mut leases = self.progress();
        let progress = leases.entry(lease).or_default();
        progress.busy = false;
        progress.routed = None;
        match done {
            Ok(()) => {
                progress.failures = 0;
                progress.not_before = None;
            }
            Err(error) => {
                progress.failures += 1;
                let wait = Duration::from_secs(1 << progress.failures.min(6)).min(LONGEST_WAIT);
                progress.not_before = Some(Instant::now() + wait);
                tracing::warn!(%lease, ?step, %error, again_in = wait.as_secs(), "a step failed");
            }
        }
        drop(leases);
        // A refused transaction often means that the chain has moved on.
        self.node.book().change_lease(lease, |lease| lease.stale = true);
        self.node.leases_changed.notify_one();
    }

    /// Lets a lease be tried at once, as after a new manifest.
    pub fn retry_now(&self, lease: LeaseId) {
        if let Some(progress) = self.progress().get_mut(&lease) {
            progress.not_before = None;
        }
        self.node.leases_changed.notify_one();
    }

    /// Tells the router where a lease's replicas are, after a restart of this daemon or of a container.
    async fn follow_addresses(&self, lease: LeaseId, observed: Option<&Observed>, manifest: &SaltedManifest) {
        let Some(observed) = observed else { return };
        let addresses: HashMap<String, Vec<IpAddr>> =
            observed.services.iter().map(|service| (service.name.clone(), service.addresses())).collect();
        {
            let mut leases = self.progress();
            let progress = leases.entry(lease).or_default();
            if progress.busy || progress.routed.as_ref() == Some(&addresses) {
                return;
            }
            progress.routed = Some(addresses.clone());
        }
        if self.node.router.routes(lease).is_empty()
            && let Err(error) = actions::route(&self.node, lease, manifest).await
        {
            tracing::warn!(%lease, %error, "hosts and ports cannot be set");
            self.progress().entry(lease).or_default().routed = None;
            return;
        }
        for (service, replicas) in addresses {
            self.node.router.switch(lease, &service, &replicas, Duration::ZERO).await;
        }
    }

    /// A lease of the book that the chain does not have, as after a re-org: it is let go when no re-org can bring it back.
    async fn vanished(self: &Arc<Self>, lease: &Lease, observed: Option<&ObservedLeases>) {
        if lease.stale || observed.is_none() {
            return;
        }
        let head = self.node.view().head.number;
        if head < lease.created + self.node.config().chain.finality_depth {
            return;
        }
        if actions::remove(&self.node, lease.id).await.is_ok() {
            self.node.book().drop_lease(lease.id);
        }
    }

    /// Workloads of which the book has no lease: adopted when the chain has one, removed when it says that it is over.
    async fn orphans(self: &Arc<Self>, observed: &ObservedLeases) {
        for lease in observed.keys().copied() {
            if self.node.book().leases().contains_key(&lease) {
                continue;
            }
            // An error is no answer, and no answer removes nothing.
            let Ok(words) = self.node.reader.lease_words(lease).await else { continue };
            let head = self.node.view().head.number;
            let ours = Party::of(&words) == self.node.me;
            let gone = match words.lease_state() {
                Some(LeaseState::Closed) => true,
                Some(LeaseState::None) => {
                    let mut leases = self.progress();
                    let since = *leases.entry(lease).or_default().unknown_since.get_or_insert(head);
                    head >= since + self.node.config().chain.finality_depth
                }
                Some(_) => !ours,
                None => false,
            };
            if gone && self.begin(lease) {
                tracing::warn!(%lease, "a workload without a lease is removed");
                let this = Arc::clone(self);
                self.tasks.spawn(async move {
                    let done = actions::remove(&this.node, lease).await;
                    this.end(lease, &Step::Remove, done).await;
                });
            } else if !gone && ours && words.lease_state() != Some(LeaseState::None) {
                tracing::info!(%lease, "a workload without records is adopted");
                self.node.book().adopt(lease, 0);
                self.node.leases_changed.notify_one();
            }
        }
    }
}
