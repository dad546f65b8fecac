//! What the agent knows: the machine is looked at once a minute, and measured at the start and once a day.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use iono_hardware::{Condition, Hardware, Measured, Reach, Report, Source, Undriven};
use iono_telemetry::Check;
use tokio_util::sync::CancellationToken;

use crate::reach;

/// How often the machine is looked at.
const LOOK: Duration = Duration::from_secs(60);
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
    hardware: Hardware,
    undriven: Vec<Undriven>,
    measured: Measured,
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
        let Seen { hardware, undriven, measured, reach } = self.seen().clone()?;
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Some(Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            clock: u64::try_from(clock).unwrap_or(u64::MAX),
            hardware,
            undriven,
            condition: Condition::read(&Source::system()),
            measured,
            reach,
        })
    }

    /// Looks, and measures where that is due.
    async fn look(self: &Arc<Self>, is_due: bool) -> Result<()> {
        let facts = Arc::clone(self);
        let before = self.seen().as_ref().map(|seen| seen.measured.clone());
        let looked = tokio::task::spawn_blocking(move || -> Result<_> {
            let hardware = Hardware::discover(&facts.scratch)?;
            let undriven = Undriven::read_all(&Source::system());
            let measured = match before {
                Some(before) if !is_due => before,
                before => facts.measure(&before.unwrap_or_default()),
            };
            Ok((hardware, undriven, measured))
        });
        let (looked, reach) = tokio::join!(looked, reach::all(&self.reach));
        let (hardware, undriven, measured) = looked??;
        tell(&hardware, &measured, &reach);
        *self.seen() = Some(Seen { hardware, undriven, measured, reach });
        Ok(())
    }

    /// The best that was seen so far counts: whoever else works on the machine makes it slower, never faster.
    fn measure(&self, before: &Measured) -> Measured {
        let write = iono_hardware::write_speed(&self.scratch);
        if let Err(error) = &write {
            tracing::warn!(%error, folder = %self.scratch.display(), "the disk's speed cannot be measured");
        }
        Measured {
            compute: iono_hardware::compute_score().max(before.compute),
            write: write.ok().max(before.write),
        }
    }
}

fn tell(hardware: &Hardware, measured: &Measured, reach: &[Reach]) {
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
