//! What of `provider check` looks at this machine: capacity, cards, the pricing script, disk, engine, ports.

use std::net::{SocketAddr, TcpListener};

use iono_primitives::ProviderId;
use iono_runtime::{Limit, Right};

use super::{Checked, failed, passed};
use iono_host::config::{Config, Engine};
use iono_host::machine::Seen;
use iono_host::pricing::Script;
use iono_host::{certificates, vitals};

use crate::{backend, control, daemon};

/// What is offered; cards are a matter of their own.
pub(super) fn capacity(config: &Config, seen: Result<&Seen, &anyhow::Error>, checks: &mut Vec<Checked>) {
    let seen = match seen {
        Ok(seen) => seen,
        Err(error) => return checks.push(failed("capacity", error.to_string())),
    };
    let offer = &seen.offer;
    let found = format!("offers {}", offer.resources());
    checks.push(if offer.cpu > 0 && offer.memory > 0 && offer.storage > 0 {
        passed("capacity", found)
    } else {
        failed("capacity", format!("{found}; lower [reserve]"))
    });
    checks.push(passed("tiers", offer.attributes(&config.public).to_string()));
    let Some(withheld) = offer.withheld_words() else { return };
    // Only what the owner has set a price for was meant to be rented out.
    let meant = offer.withheld.iter().any(|card| config.prices.has_gpu(&card.gpu.model));
    let why = seen.unknown.as_deref().map(|why| format!(" ({why})")).unwrap_or_default();
    checks.push(Checked { name: "gpus", ok: !meant, message: format!("{withheld}{why}") });
}

/// Whether the pricing script is there.
pub(super) fn script(script: &Script) -> Checked {
    match script.startable() {
        Ok(()) => passed("pricing", "the script can be started; `provider price` tries it"),
        Err(error) => failed("pricing", format!("pricing.script cannot be started: {error}")),
    }
}

/// Free space where workloads live.
pub(super) fn disk(config: &Config) -> Checked {
    let path = match config.runtime.engine {
        Engine::Docker => &config.runtime.storage_path,
        Engine::Kubernetes => &config.data_dir,
    };
    let floor = u64::from(config.runtime.disk_floor.0);
    match vitals::free_mib(path) {
        Ok(free) if free >= floor => passed("disk", format!("{free} MiB free on {}", path.display())),
        Ok(free) => failed("disk", format!("{free} MiB free on {}, {floor} must stay free", path.display())),
        Err(error) => failed("disk", format!("{}: {error}", path.display())),
    }
}

/// The engine and the limits that it enforces.
pub(super) async fn engine(config: &Config, checks: &mut Vec<Checked>) {
    let (Ok(book), Ok(key)) = (config.chain.address_book(), daemon::open_hot_key(config).await) else {
        return;
    };
    let engine = match backend::open(config, daemon::vault(&key, &book, ProviderId(0))).await {
        Ok(engine) => engine,
        Err(error) => return checks.push(failed("engine", format!("{error:#}"))),
    };
    match engine.rights().await {
        Ok(rights) => checks.extend(granted(&rights)),
        Err(error) => checks.push(failed("rights", error.to_string())),
    }
    let found = match engine.check().await {
        Ok(found) => found,
        Err(error) => return checks.push(failed("engine", error.to_string())),
    };
    checks.push(passed("engine", format!("{} {}", found.engine, found.version)));
    for limit in found.limits {
        let name = match limit.limit {
            Limit::Cpu => "limit: cpu",
            Limit::Memory => "limit: memory",
            Limit::Pids => "limit: processes",
            Limit::EphemeralDisk => "limit: disk",
            Limit::VolumeSize => "limit: volumes",
            Limit::Egress => "limit: egress",
            Limit::SecretFiles => "limit: secrets",
            // Said for this machine's own cards, where it has any.
            Limit::Gpu => continue,
        };
        checks.push(Checked { name, ok: limit.enforced, message: limit.note });
    }
}

/// What the engine lets this account do; nothing to say where it grants all or none.
fn granted(rights: &[Right]) -> Option<Checked> {
    let missing: Vec<&str> =
        rights.iter().filter(|right| !right.granted).map(|right| right.what.as_str()).collect();
    match (rights.len(), missing.len()) {
        (0, _) => None,
        (all, 0) => Some(passed("rights", format!("all {all} that leases take"))),
        (all, count) => Some(failed(
            "rights",
            format!(
                "{count} of {all} are missing: {}; kubectl apply -f deploy/kubernetes/rights.yaml grants them",
                missing.join(", ")
            ),
        )),
    }
}

/// Whether the addresses are free, or the daemon's.
pub(super) async fn ports(config: &Config, checks: &mut Vec<Checked>) {
    if control::ask_status(&config.data_dir).await.is_ok() {
        return checks.push(passed("ports", "held by the running daemon"));
    }
    let listen = &config.listen;
    let mut wanted = vec![("lease API", listen.lease_api), ("http", listen.http)];
    if certificates::any(config) {
        wanted.push(("https", listen.https));
    }
    let taken: Vec<String> = wanted
        .into_iter()
        .filter_map(|(what, address): (&str, SocketAddr)| {
            TcpListener::bind(address).err().map(|error| format!("{what} {address}: {error}"))
        })
        .collect();
    checks.push(if taken.is_empty() { passed("ports", "free") } else { failed("ports", taken.join("; ")) });
}
