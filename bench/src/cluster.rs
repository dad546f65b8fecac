//! What a lease on a cluster costs the provider as their number grows: requests to the API server, CPU time and memory,
//! from its manifest to its removal. The pods have no node to run on; everything else about them is real. Each number of
//! leases is a process of its own, so that none inherits another's memory.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use iono_primitives::{LeaseId, ProviderId};
use iono_runtime::api::NoSwitchboard;
use iono_runtime::{Owner, Port, Protocol, Runtime, RuntimeError, Secret, Service, Vault, Workload};
use iono_runtime_kubernetes::{ClusterConfig, KubernetesConfig, KubernetesRuntime};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::figure::Figure;

/// Numbers of leases.
const FEW: u64 = 50;
const MANY: u64 = 200;
/// How much dearer one of many may be than one of few.
const GROWTH: f64 = 1.1;
/// How often the provider looks at all of them meanwhile.
const LOOKS: u32 = 12;
/// Says to a process of ours how many it is about.
const LEASES: &str = "IONO_BENCH_LEASES";
/// The runtime's own count.
const REQUESTS: &str = "iono_kubernetes_requests_total";

/// What one lease took.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Cost {
    requests: f64,
    cpu_ms: f64,
    memory_kib: f64,
}

/// Few leases and many.
pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let (few, many) = (apart(FEW).await?, apart(MANY).await?);
    let rows = [
        ("api_calls", "requests to the API server", "requests", few.requests, many.requests),
        ("cpu", "CPU time of the provider", "ms", few.cpu_ms, many.cpu_ms),
        ("memory", "memory of the provider", "KiB", few.memory_kib, many.memory_kib),
    ];
    let mut figures = Vec::new();
    for (name, what, unit, few, many) in rows {
        for (count, cost) in [(FEW, few), (MANY, many)] {
            let what = format!("{what}, each of {count} leases on a cluster");
            figures.push(Figure::new(format!("cluster_{name}_per_lease_of_{count}"), what, cost, unit));
        }
        let growth = many / few;
        let what = format!("  of {MANY} against {FEW}");
        figures.push(Figure::new(format!("cluster_{name}_growth"), what, growth, "").at_most(GROWTH));
    }
    Ok(figures)
}

/// Measures in a process of its own.
async fn apart(leases: u64) -> Result<Cost> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("cluster").env(LEASES, leases.to_string()).stderr(Stdio::inherit());
    let output = command.output().await?;
    ensure!(output.status.success(), "the measurement with {leases} leases ended with {}", output.status);
    serde_json::from_slice(&output.stdout).context("the measurement said nothing")
}

/// Whether this process is one of those; then it measures and prints.
#[allow(clippy::print_stdout)] // what it prints is what its parent reads
pub(crate) async fn is_apart() -> Result<bool> {
    let Ok(leases) = std::env::var(LEASES) else { return Ok(false) };
    let cost = cost(leases.parse()?).await?;
    println!("{}", serde_json::to_string(&cost)?);
    Ok(true)
}

async fn cost(leases: u64) -> Result<Cost> {
    let metrics = PrometheusBuilder::new().install_recorder()?;
    let dir = tempfile::tempdir()?;
    let owner = Owner { chain_id: 0, registry: [7; 20].into(), provider: ProviderId(std::process::id()) };
    let config = KubernetesConfig {
        nodes: [("network.ionosphere/nowhere".to_owned(), "yes".to_owned())].into(),
        ..KubernetesConfig::new(Vault::new(&[1; 32], owner), dir.path())
    };
    let kubeconfig = iono_e2e::engine::kubeconfig()?;
    let cluster = ClusterConfig::load(Some(&kubeconfig), None).await?;
    let runtime = Arc::new(KubernetesRuntime::new(cluster, config));
    // What the first lease loads, and connections, are not the others' cost.
    live(&runtime, [LeaseId(1)]).await?;
    let before = (requests(&metrics), cpu()?, resident()?);
    let all: Vec<LeaseId> = (2..leases + 2).map(LeaseId).collect();
    let resident = live(&runtime, all).await?;
    let after = (requests(&metrics), cpu()?);
    #[allow(clippy::cast_precision_loss)] // far below 2^52
    let count = leases as f64;
    Ok(Cost {
        requests: (after.0 - before.0) / count,
        cpu_ms: (after.1 - before.1).as_secs_f64() * 1e3 / count,
        memory_kib: (resident - before.2) / count,
    })
}

/// Leases from manifest to removal; KiB of this process while all of them are there.
async fn live(runtime: &Arc<KubernetesRuntime>, leases: impl IntoIterator<Item = LeaseId>) -> Result<f64> {
    let leases: Vec<LeaseId> = leases.into_iter().collect();
    let applied = leases.iter().map(|lease| {
        let (runtime, lease) = (Arc::clone(runtime), *lease);
        async move {
            runtime.store_manifest(lease, &[0; 2_048]).await?;
            match runtime.apply(&workload(lease), &NoSwitchboard).await {
                // There is no node for it.
                Err(RuntimeError::NotReady { .. }) => anyhow::Ok(()),
                other => anyhow::bail!("lease {lease}: {other:?}"),
            }
        }
    });
    let look = async {
        for _ in 0..LOOKS {
            tokio::time::sleep(Duration::from_secs(5)).await;
            runtime.observe().await?;
        }
        anyhow::Ok(())
    };
    tokio::try_join!(try_join_all(applied), look)?;
    let seen = runtime.observe().await?;
    let there = seen.iter().filter(|lease| lease.services.iter().all(|service| service.replicas.len() == 1));
    ensure!(there.count() == leases.len(), "{} of {} leases are there", seen.len(), leases.len());
    let resident = resident()?;
    try_join_all(leases.iter().map(|lease| runtime.remove(*lease))).await?;
    Ok(resident)
}

/// A web server with a variable and a port, as most are.
fn workload(lease: LeaseId) -> Workload {
    let mut service = Service::new("web", "registry.example/web:1");
    service.ports = vec![Port::new(8_080, Protocol::Tcp)];
    service.env.insert("NAME".to_owned(), Secret::new("value"));
    service.limits.cpu_millis = 10;
    Workload { lease, manifest_hash: format!("{lease:064}"), services: vec![service] }
}

fn requests(metrics: &PrometheusHandle) -> f64 {
    let text = metrics.render();
    let line = text.lines().find_map(|line| line.strip_prefix(REQUESTS));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or(0.0)
}

/// CPU time of this process, the system's part included.
fn cpu() -> Result<Duration> {
    let used = getrusage(UsageWho::RUSAGE_SELF)?;
    let time = |value: nix::sys::time::TimeVal| {
        let (seconds, micros) = (value.tv_sec(), value.tv_usec());
        Duration::from_secs(seconds.unsigned_abs()) + Duration::from_micros(micros.unsigned_abs())
    };
    Ok(time(used.user_time()) + time(used.system_time()))
}

/// KiB of memory that this process holds.
fn resident() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().strip_suffix("kB")).map(str::trim);
    number.and_then(|number| number.parse().ok()).context("the system does not say how much memory this is")
}
