//! What the agent knows: the machine is looked at three times a minute, and measured at the start and once a day.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use iono_hardware::{Condition, Found, Measured, Reach, Report, Source};
use iono_telemetry::Check;
use tokio_util::sync::CancellationToken;

use crate::reach;

/// How often the machine is looked at.
const LOOK: Duration = Duration::from_secs(20);
/// How often it is measured: that takes processors and the disk for a second or two.
const MEASURE: Duration = Duration::from_secs(24 * 3_600);

/// What is known.
#[derive(Debug)]
pub(crate) struct Facts {
    scratch: PathBuf,
    reach: Vec<String>,
    seen: Mutex<Option<Seen>>,
}

#[derive(Debug, Clone)]
struct Seen {
    found: Found,
    reach: Vec<Reach>,
}

impl Facts {
    /// Nothing is known yet. `scratch` is a folder on the disk of workloads.
    pub(crate) fn new(scratch: PathBuf, reach: Vec<String>) -> Self {
        Self { scratch, reach, seen: Mutex::new(None) }
    }

    fn seen(&self) -> MutexGuard<'_, Option<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that is known, with the state of this moment; `None` before the first look is done.
    pub(crate) fn report(&self) -> Option<Report> {
        let Seen { found, reach } = self.seen().clone()?;
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Some(Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            clock: u64::try_from(clock).unwrap_or(u64::MAX),
            found,
            condition: Condition::read(&Source::system()),
            reach,
        })
    }

    /// Looks, and measures where that is due.
    async fn look(self: &Arc<Self>, is_due: bool) -> Result<()> {
        let facts = Arc::clone(self);
        let before = self.seen().as_ref().map(|seen| seen.found.measured.clone()).unwrap_or_default();
        let looked = tokio::task::spawn_blocking(move || {
            let measured = if is_due { Measured::take(&facts.scratch).best(&before) } else { before };
            Found::look(&facts.scratch, measured)
        });
        let (looked, reach) = tokio::join!(looked, reach::all(&self.reach));
        let found = looked??;
        tell(&found, &reach);
        *self.seen() = Some(Seen { found, reach });
        Ok(())
    }
}

fn tell(Found { hardware, measured, .. }: &Found, reach: &[Reach]) {
    metrics::gauge!("iono_agent_compute_points").set(measured.compute);
    metrics::gauge!("iono_agent_write_mebibytes_per_second").set(measured.write.unwrap_or(0) as f64);
    metrics::gauge!("iono_agent_gpus").set(hardware.gpus.len() as f64);
    let unreached = reach.iter().filter(|reach| reach.problem.is_some()).count();
    metrics::gauge!("iono_agent_unreached_addresses").set(unreached as f64);
}

/// Works until the token is cancelled.
pub(crate) async fn keep(facts: Arc<Facts>, check: Check, token: CancellationToken) {
    let mut measured: Option<Instant> = None;
    loop {
        let is_due = measured.is_none_or(|at| at.elapsed() >= MEASURE);
        match facts.look(is_due).await {
            Ok(()) => {
                check.ok();
                measured = if is_due { Some(Instant::now()) } else { measured };
            }
            Err(error) => check.fail(format!("the machine cannot be looked at: {error:#}")),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = token.cancelled() => return,
        }
    }
}
