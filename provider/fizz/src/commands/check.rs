//! `fizz check`: everything that must hold before this machine can earn, each with what to do when it does not.

use std::time::Duration;

use alloy::primitives::{U256, keccak256};
use alloy::providers::Provider as _;
use anyhow::Result;
use iono_bindings::IFizzRegistry;
use iono_chain::Rpc;
use iono_host::config::{Config, Gateway};
use iono_host::market::reader::Reader;
use iono_host::{engine, machine, vitals};
use iono_identity::{Pin, ServerIdentity, unix_now};
use iono_runtime::{Limit, Owner, Runtime as _, Vault};
use iono_runtime_docker::DockerRuntime;
use iono_telemetry::Health;
use serde::Serialize;

use super::output;
use crate::cli::Common;
use crate::daemon;
use crate::rest::Rest;

/// A gateway that takes longer to accept a connection counts as not reachable.
const PATIENCE: Duration = Duration::from_secs(5);

/// Something is missing; the list was printed.
#[derive(Debug, thiserror::Error)]
#[error("{0} of the checks failed")]
pub struct Missing(pub usize);

/// One check.
#[derive(Debug, Clone, Serialize)]
struct Checked {
    name: &'static str,
    ok: bool,
    /// What was found, and what to do about it.
    message: String,
}

fn checked(name: &'static str, result: Result<String, String>) -> Checked {
    let ok = result.is_ok();
    Checked { name, ok, message: result.unwrap_or_else(|message| message) }
}

/// Runs all checks.
///
/// # Errors
/// [`Missing`] when one failed.
pub(super) async fn run(common: &Common, config: &Config) -> Result<()> {
    let mut checks = vec![checked("config", Ok(format!("{} is valid", common.config.display())))];
    let gateway = config.gateway.as_ref();
    if let Some(gateway) = gateway {
        checks.push(checked("gateway", reach(gateway).await));
    }
    match reader(config) {
        Ok(reader) => {
            checks.push(checked("chain", chain(&reader, config).await));
            if let Some(gateway) = gateway {
                checks.push(checked("registration", registration(&reader, config, gateway).await));
            }
        }
        Err(error) => checks.push(checked("chain", Err(error.to_string()))),
    }
    checks.push(checked("capacity", capacity(config).await));
    checks.push(checked("disk", disk(config)));
    engine(config, &mut checks).await;
    let rest = Rest::default();
    let pause = rest.obstacle(config.pause).or_else(|| rest.why(config.pause));
    checks.push(checked("pause", pause.map_or_else(|| Ok("takes new leases".to_owned()), Err)));
    let missing = checks.iter().filter(|check| !check.ok).count();
    output::result(common, &checks, |checks| {
        let line = |check: &Checked| {
            format!("{:8}{:18}{}", if check.ok { "ok" } else { "MISSING" }, check.name, check.message)
        };
        checks.iter().map(line).collect::<Vec<_>>().join("\n")
    })?;
    if missing > 0 { Err(Missing(missing).into()) } else { Ok(()) }
}

fn reader(config: &Config) -> Result<Reader> {
    let book = config.chain.address_book()?;
    let rpc = Rpc::connect(&config.chain, book.chain_id, Health::default().check("rpc"))?;
    Ok(Reader::new(rpc.provider().clone(), book, config.chain.max_range))
}

async fn reach(gateway: &Gateway) -> Result<String, String> {
    let address = &gateway.address;
    match tokio::time::timeout(PATIENCE, tokio::net::TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(format!("{address} accepts connections")),
        Ok(Err(error)) => Err(format!("{address}: {error}; see gateway.address, and let this machine out")),
        Err(_) => Err(format!("{address} does not answer within {} s", PATIENCE.as_secs())),
    }
}

async fn chain(reader: &Reader, config: &Config) -> Result<String, String> {
    let head = reader.head().await.map_err(|error| error.to_string())?;
    let id = reader.provider().get_chain_id().await.map_err(|error| error.to_string())?;
    if id != reader.book().chain_id {
        return Err(format!("the RPC serves chain {id}, the address book is for {}", reader.book().chain_id));
    }
    let (skew, most) = (unix_now().abs_diff(head.timestamp), config.bidding.max_clock_skew.0.as_secs());
    if skew > most {
        return Err(format!("this machine and the chain are {skew} s apart; set the clock (NTP)"));
    }
    Ok(format!("chain {id} answers, block {}", head.number))
}

async fn registration(reader: &Reader, config: &Config, gateway: &Gateway) -> Result<String, String> {
    let registry = reader.book().fizz_registry.ok_or("this deployment has no registry of light nodes")?;
    let registry = IFizzRegistry::new(registry, reader.provider());
    let words = |error: alloy::contract::Error| error.to_string();
    let node = registry.node(U256::from(gateway.fizz.0)).call().await.map_err(words)?;
    let (fizz, provider) = (gateway.fizz, gateway.provider);
    if node.provider != provider.0 {
        let hint = "`iono fizz register` gives a number";
        return Err(format!("the registry has no light node {fizz} of provider {provider}; {hint}"));
    }
    let pin = ServerIdentity::load_or_create(&daemon::key_path(&config.data_dir));
    let pin = pin.map_err(|error| error.to_string())?.pin();
    if ![Pin(node.pin), Pin(node.nextPin)].contains(&pin) {
        return Err(format!("the registry knows another key than this machine's, which is {pin}"));
    }
    let why = registry.whyNot(provider.into(), fizz.into()).call().await.map_err(words)?;
    if why.is_empty() { Ok(format!("light node {fizz} of provider {provider} is active")) } else { Err(why) }
}

async fn capacity(config: &Config) -> Result<String, String> {
    let seen = machine::look(config).await.map_err(|error| error.to_string())?;
    let offer = &seen.offer;
    let found = format!("lends {}", offer.resources());
    if offer.cpu > 0 && offer.memory > 0 && offer.storage > 0 {
        Ok(found)
    } else {
        Err(format!("{found}; lower [reserve]"))
    }
}

fn disk(config: &Config) -> Result<String, String> {
    let (path, floor) = (&config.runtime.storage_path, u64::from(config.runtime.disk_floor.0));
    match vitals::free_mib(path) {
        Ok(free) if free >= floor => Ok(format!("{free} MiB free on {}", path.display())),
        Ok(free) => Err(format!("{free} MiB free on {}, {floor} must stay free", path.display())),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// Docker and the limits that it enforces.
async fn engine(config: &Config, checks: &mut Vec<Checked>) {
    // Only what runs there already has an owner, and that is not asked about.
    let provider = config.gateway.as_ref().map(|gateway| gateway.provider).unwrap_or_default();
    let nobody = Owner { chain_id: 0, registry: alloy::primitives::Address::ZERO, provider };
    let docker = match engine::docker(config, Vault::new(&keccak256("nobody").0, nobody)) {
        Ok(docker) => DockerRuntime::new(docker),
        Err(error) => return checks.push(checked("engine", Err(error.to_string()))),
    };
    let found = match docker.check().await {
        Ok(found) => found,
        Err(error) => return checks.push(checked("engine", Err(error.to_string()))),
    };
    checks.push(checked("engine", Ok(format!("{} {}", found.engine, found.version))));
    for limit in found.limits.into_iter().filter(|limit| limit.limit != Limit::Gpu) {
        let name = match limit.limit {
            Limit::Cpu => "limit: cpu",
            Limit::Memory => "limit: memory",
            Limit::Pids => "limit: processes",
            Limit::EphemeralDisk => "limit: disk",
            Limit::VolumeSize => "limit: volumes",
            Limit::Egress => "limit: egress",
            Limit::SecretFiles => "limit: secrets",
            Limit::Gpu => "limit: gpu",
        };
        checks.push(Checked { name, ok: limit.enforced, message: limit.note });
    }
}
