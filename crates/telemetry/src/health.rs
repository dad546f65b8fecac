//! Named checks that a daemon's parts keep current and that `/readyz` shows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;

/// All checks of a process; cheap to clone.
#[derive(Clone, Default)]
pub struct Health {
    checks: Arc<Mutex<BTreeMap<&'static str, State>>>,
}

struct State {
    /// `None` when it is well, else why not.
    reason: Option<String>,
    since: Instant,
}

/// One part's own check; red with "starting" until it says otherwise.
#[derive(Clone)]
pub struct Check {
    name: &'static str,
    health: Health,
}

/// One check as `/readyz` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether it is well.
    pub ok: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Seconds since it last changed between well and not.
    pub seconds: u64,
}

impl Health {
    /// Adds a check, red until its owner calls [`Check::ok`].
    #[must_use]
    pub fn check(&self, name: &'static str) -> Check {
        let state = State { reason: Some("starting".to_owned()), since: Instant::now() };
        self.lock().insert(name, state);
        Check { name, health: self.clone() }
    }

    /// All checks by name.
    #[must_use]
    pub fn report(&self) -> BTreeMap<&'static str, Report> {
        let report = |state: &State| Report {
            ok: state.reason.is_none(),
            reason: state.reason.clone(),
            seconds: state.since.elapsed().as_secs(),
        };
        self.lock().iter().map(|(name, state)| (*name, report(state))).collect()
    }

    /// Whether every check is well.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.lock().values().all(|state| state.reason.is_none())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, State>> {
        // A panic while holding it leaves the map whole.
        self.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Check {
    /// All is well.
    pub fn ok(&self) {
        self.set(None);
    }

    /// Something is wrong; the reason is for people.
    pub fn fail(&self, reason: impl Into<String>) {
        self.set(Some(reason.into()));
    }

    fn set(&self, reason: Option<String>) {
        let mut checks = self.health.lock();
        let Some(state) = checks.get_mut(self.name) else { return };
        if state.reason.is_some() != reason.is_some() {
            state.since = Instant::now();
            match &reason {
                Some(reason) => tracing::warn!(check = self.name, reason, "health check turned red"),
                None => tracing::info!(check = self.name, "health check turned green"),
            }
        }
        state.reason = reason;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn red_until_all_are_well() {
        let health = Health::default();
        let (rpc, store) = (health.check("rpc"), health.check("store"));
        assert!(!health.is_ok());
        rpc.ok();
        store.ok();
        assert!(health.is_ok());
        rpc.fail("no answer");
        assert_eq!(health.report()["rpc"].reason.as_deref(), Some("no answer"));
        assert!(health.report()["store"].ok);
    }
}
