//! Watches what a bid depends on beside the chain and the engine's workloads: the disk, the clock, whether cards can be
//! assigned, whether a cluster keeps leases apart. What is wrong turns the health check red and stops new bids; leases stay.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use iono_identity::unix_now;
use iono_runtime::Limit;
use iono_telemetry::Check;
use nix::sys::statvfs::statvfs;
use tokio_util::sync::CancellationToken;

use crate::config::Engine;
use crate::machine;
use crate::node::Node;

/// How often they are looked at.
const TICK: Duration = Duration::from_secs(5);
/// How often while the chain's head is not known yet.
const STARTING: Duration = Duration::from_millis(200);
/// How long a cluster that does not keep leases apart is believed to stay so: to try takes pods.
const TRY_AGAIN: Duration = Duration::from_secs(600);

/// Works until the token is cancelled.
pub async fn run(node: Arc<Node>, disk: Check, clock: Check, token: CancellationToken) {
    let mut isolation = Isolation::default();
    loop {
        look_at_disk(&node, &disk);
        look_at_clock(&node, &clock);
        look_at_gpus(&node).await;
        look_at_machines(&node).await;
        isolation.look(&node).await;
        tokio::select! {
            () = tokio::time::sleep(if node.view().caught_up { TICK } else { STARTING }) => {}
            () = token.cancelled() => return,
        }
    }
}

fn look_at_disk(node: &Node, check: &Check) {
    let config = node.config();
    let floor = u64::from(config.runtime.disk_floor.0);
    let of_engine = (config.runtime.engine == Engine::Docker).then_some(&config.runtime.storage_path);
    let paths = of_engine.into_iter().chain([&config.data_dir]);
    let problem = paths.into_iter().find_map(|path| match free_mib(path) {
        Ok(free) if free >= floor => None,
        Ok(free) => {
            Some(format!("disk full: {free} MiB free on {}, {floor} MiB must stay free", path.display()))
        }
        Err(error) => Some(format!("the disk of {} cannot be measured: {error}", path.display())),
    });
    match &problem {
        Some(problem) => check.fail(problem.clone()),
        None => check.ok(),
    }
    node.change_view(|view| view.disk = problem);
}

/// MiB that are free for unprivileged users on the disk of `path`.
///
/// # Errors
/// What the system says.
pub fn free_mib(path: &Path) -> nix::Result<u64> {
    let stat = statvfs(path)?;
    Ok(stat.blocks_available() * stat.fragment_size() / (1 << 20))
}

fn look_at_clock(node: &Node, check: &Check) {
    let view = node.view();
    if !view.caught_up {
        return;
    }
    let (skew, most) =
        (unix_now().abs_diff(view.head.timestamp), node.config().bidding.max_clock_skew.0.as_secs());
    if skew > most {
        check.fail(format!("this machine's clock and the chain's are {skew} s apart; set the clock (NTP)"));
    } else {
        check.ok();
    }
}

/// A card that the engine cannot assign is not offered. While the engine does not answer nothing is known, and a machine
/// with cards makes no bids.
async fn look_at_gpus(node: &Node) {
    if node.machine.gpus.is_empty() {
        return;
    }
    let support = machine::gpu_support(&*node.runtime).await;
    if let Err(error) = &support {
        tracing::debug!(%error, "the engine does not say whether it can assign GPUs");
    }
    node.change_view(|view| view.gpu_support = support.ok());
}

/// What a cluster's machines have changes with every pod. While they cannot be asked the last answer stands: the engine's
/// own check stops bids.
async fn look_at_machines(node: &Node) {
    match node.runtime.machines().await {
        Ok(machines) => node.change_view(|view| view.machines = machines),
        Err(error) => tracing::debug!(%error, "the engine does not say what its machines have"),
    }
}

/// Whether leases are kept apart, which a cluster may or may not do: without it no bids are made.
#[derive(Default)]
struct Isolation {
    holds: bool,
    tried: Option<Instant>,
}

impl Isolation {
    async fn look(&mut self, node: &Node) {
        let waits = self.tried.is_some_and(|tried| tried.elapsed() < TRY_AGAIN);
        if self.holds || waits || node.config().runtime.engine == Engine::Docker {
            return;
        }
        let problem = match node.runtime.check().await {
            Ok(found) if found.enforces(Limit::Egress) => None,
            Ok(found) => {
                let why = found.limits.into_iter().find(|limit| limit.limit == Limit::Egress);
                self.tried = Some(Instant::now());
                Some(why.map_or_else(String::new, |why| why.note))
            }
            Err(error) => Some(format!("it is not known whether leases are kept apart: {error}")),
        };
        self.holds = problem.is_none();
        if let Some(problem) = &problem {
            tracing::error!(problem, "no bids are made");
        }
        node.change_view(|view| view.isolation = problem);
    }
}
