//! Reads prices, shares and rules again on SIGHUP and when the file changes; a file that is wrong changes nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use iono_telemetry::Check;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::node::Node;

/// How often the file's time is looked at.
const TICK: Duration = Duration::from_secs(1);

/// Where the settings come from.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// `--set` overrides.
    pub overrides: Vec<String>,
}

/// Works until the token is cancelled.
pub async fn run(node: Arc<Node>, source: Source, check: Check, token: CancellationToken) {
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => return check.fail(format!("SIGHUP cannot be watched: {error}")),
    };
    let mut seen = changed_at(&source);
    check.ok();
    loop {
        let asked = tokio::select! {
            _ = hangup.recv() => true,
            () = tokio::time::sleep(TICK) => false,
            () = token.cancelled() => return,
        };
        let now = changed_at(&source);
        if !asked && (now.is_none() || now == seen) {
            continue;
        }
        seen = now;
        match Config::load(&source.path, &source.overrides) {
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
}

fn changed_at(source: &Source) -> Option<SystemTime> {
    std::fs::metadata(&source.path).and_then(|data| data.modified()).ok()
}

/// What may change while the daemon runs; everything else keeps its value until the next start.
fn merge(old: &Config, fresh: Config) -> Config {
    Config {
        reserve: fresh.reserve,
        offer: fresh.offer,
        prices: fresh.prices,
        bidding: fresh.bidding,
        leases: fresh.leases,
        money: fresh.money,
        ..old.clone()
    }
}
