//! Reads prices, shares and rules again on SIGHUP and when the file changes, and certificates when theirs do; a file that
//! is wrong changes nothing and turns its check red.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use iono_telemetry::Check;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::certificates;
use crate::config::{Config, Role};
use crate::node::Node;

/// How often the files' times are looked at.
const TICK: Duration = Duration::from_secs(1);
/// How often certificates are looked at though their files do not change, since they expire.
const EXPIRY: Duration = Duration::from_secs(600);

/// Where the settings come from.
#[derive(Debug, Clone)]
pub struct Source {
    /// Which program's they are.
    pub role: Role,
    /// The file.
    pub path: PathBuf,
    /// `--set` overrides.
    pub overrides: Vec<String>,
}

/// What shows whether the files are good.
pub struct Checks {
    /// The settings.
    pub config: Check,
    /// The certificates.
    pub certificates: Check,
}

/// Works until the token is cancelled.
pub async fn run(node: Arc<Node>, source: Source, checks: Checks, token: CancellationToken) {
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => return checks.config.fail(format!("SIGHUP cannot be watched: {error}")),
    };
    let mut seen = changed_at(&source);
    checks.config.ok();
    let mut watched = Watched::read(&node, &checks.certificates);
    loop {
        let asked = tokio::select! {
            _ = hangup.recv() => true,
            () = tokio::time::sleep(TICK) => false,
            () = token.cancelled() => return,
        };
        let now = changed_at(&source);
        if asked || (now.is_some() && now != seen) {
            seen = now;
            settings(&node, &source, &checks.config);
        }
        if asked || watched.is_stale(&node.config()) {
            watched = Watched::read(&node, &checks.certificates);
        }
    }
}

fn settings(node: &Node, source: &Source, check: &Check) {
    match Config::load(source.role, &source.path, &source.overrides) {
        Ok(fresh) => {
            node.configure(merge(&node.config(), fresh));
            check.ok();
            tracing::info!("prices, shares and rules were read again");
        }
        Err(error) => {
            tracing::error!(%error, "the changed settings are wrong; the old ones hold");
            check.fail(error.to_string());
        }
    }
}

fn changed_at(source: &Source) -> Option<SystemTime> {
    std::fs::metadata(&source.path).and_then(|data| data.modified()).ok()
}

/// The certificates as they were read last.
struct Watched {
    stamp: Vec<(PathBuf, Option<(SystemTime, u64)>)>,
    at: Instant,
}

impl Watched {
    fn read(node: &Node, check: &Check) -> Self {
        let config = node.config();
        // The files' times first: a change after it is found at the next look.
        let watched = Self { stamp: certificates::stamp(&config), at: Instant::now() };
        let mut wrong = certificates::load(&config, node.router.certificates());
        if certificates::any(&config) && node.router.https_address().is_none() {
            wrong.push(
                "HTTPS is not served yet: restart the daemon once, its first certificate is new".into(),
            );
        }
        if wrong.is_empty() {
            check.ok();
        } else {
            let wrong = wrong.join("; ");
            tracing::error!(wrong, "certificates");
            check.fail(wrong);
        }
        watched
    }

    fn is_stale(&self, config: &Config) -> bool {
        self.at.elapsed() >= EXPIRY || certificates::stamp(config) != self.stamp
    }
}

/// What may change while the daemon runs; everything else keeps its value until the next start.
fn merge(old: &Config, fresh: Config) -> Config {
    Config {
        reserve: fresh.reserve,
        offer: fresh.offer,
        prices: fresh.prices,
        pricing: fresh.pricing,
        bidding: fresh.bidding,
        leases: fresh.leases,
        money: fresh.money,
        certificates: fresh.certificates,
        pause: fresh.pause,
        ..old.clone()
    }
}
