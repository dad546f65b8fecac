//! `provider check`: everything that must hold before this machine can earn, each with what to do when it does not.

use std::net::{SocketAddr, TcpListener};

use alloy::primitives::{Address, U256};
use alloy::providers::Provider as _;
use anyhow::Result;
use iono_bindings::AddressBook;
use iono_hardware::Hardware;
use iono_identity::{Pin, ServerIdentity, keystore, unix_now};
use iono_primitives::ProviderId;
use iono_primitives::money::format_decimal;
use iono_runtime::{Limit, Runtime as _};
use iono_runtime_docker::DockerRuntime;
use serde::Serialize;

use super::output;
use crate::bidding::eligible;
use crate::capacity::Offer;
use crate::chain_link;
use crate::cli::Common;
use crate::config::Config;
use crate::market::reader::Reader;
use crate::{control, daemon, machine, pins, vitals};

/// Native tokens that the hot key should hold, in wei: some hundred leases.
const ENOUGH_GAS: u64 = 10_000_000_000_000_000;

/// Something is missing; the list was printed.
#[derive(Debug, thiserror::Error)]
#[error("{0} of the checks failed")]
pub struct Missing(pub usize);

/// One check.
#[derive(Debug, Clone, Serialize)]
pub struct Checked {
    /// What was checked.
    pub name: &'static str,
    /// Whether it holds.
    pub ok: bool,
    /// What was found, and what to do about it.
    pub message: String,
}

fn passed(name: &'static str, message: impl Into<String>) -> Checked {
    Checked { name, ok: true, message: message.into() }
}

fn failed(name: &'static str, message: impl Into<String>) -> Checked {
    Checked { name, ok: false, message: message.into() }
}

fn checked(name: &'static str, result: Result<String, String>) -> Checked {
    match result {
        Ok(message) => passed(name, message),
        Err(message) => failed(name, message),
    }
}

/// Runs all checks.
///
/// # Errors
/// [`Missing`] when one failed.
pub async fn run(common: &Common, config: &Config) -> Result<()> {
    let mut checks = vec![passed("config", format!("{} is valid", common.config.display()))];
    let hot = hot_key(config, &mut checks).await;
    match chain_link::reader(config) {
        Ok(reader) => chain(config, &reader, hot, &mut checks).await,
        Err(error) => checks.push(failed("chain", error.to_string())),
    }
    checks.push(hardware(config));
    checks.push(disk(config));
    engine(config, &mut checks).await;
    ports(config, &mut checks).await;
    let missing = checks.iter().filter(|check| !check.ok).count();
    output::result(common, &checks, |checks| {
        let rows = checks.iter().map(|check| {
            let mark = if check.ok { "ok" } else { "MISSING" };
            [mark.to_owned(), check.name.to_owned(), check.message.clone()]
        });
        output::table(["", "check", "found"], rows)
    })?;
    if missing > 0 { Err(Missing(missing).into()) } else { Ok(()) }
}

async fn hot_key(config: &Config, checks: &mut Vec<Checked>) -> Option<Address> {
    match daemon::open_hot_key(config).await {
        Ok(key) => {
            checks.push(passed("hot key", format!("{} opens", key.address())));
            Some(key.address())
        }
        Err(error) => {
            checks.push(failed("hot key", format!("{error:#}; `iono wallet new` makes one")));
            keystore::address(&config.keys.hot_key).ok().flatten()
        }
    }
}

async fn chain(config: &Config, reader: &Reader, hot: Option<Address>, checks: &mut Vec<Checked>) {
    let head = match reader.head().await {
        Ok(head) => head,
        Err(error) => return checks.push(failed("chain", error.to_string())),
    };
    let AddressBook { chain_id, .. } = *reader.book();
    checks.push(match reader.provider().get_chain_id().await {
        Ok(id) if id == chain_id => passed("chain", format!("chain {id} answers, block {}", head.number)),
        Ok(id) => failed("chain", format!("the RPC serves chain {id}, the address book is for {chain_id}")),
        Err(error) => failed("chain", error.to_string()),
    });
    let (skew, most) = (unix_now().abs_diff(head.timestamp), config.bidding.max_clock_skew.0.as_secs());
    let clock = format!("this machine and the chain are {skew} s apart");
    checks.push(if skew <= most {
        passed("clock", clock)
    } else {
        failed("clock", format!("{clock}; set the clock (NTP)"))
    });
    let Some(hot) = hot else { return };
    checks.push(match reader.gas_of(hot).await {
        Ok(wei) if wei >= U256::from(ENOUGH_GAS) => {
            passed("gas", format!("{} native tokens", format_decimal(wei, 18)))
        }
        Ok(wei) => failed(
            "gas",
            format!("{hot} holds {} native tokens; send it at least 0.01", format_decimal(wei, 18)),
        ),
        Err(error) => failed("gas", error.to_string()),
    });
    if let Err(error) = registration(config, reader, hot, checks).await {
        checks.push(failed("registration", error.to_string()));
    }
}

async fn registration(
    config: &Config,
    reader: &Reader,
    hot: Address,
    checks: &mut Vec<Checked>,
) -> Result<()> {
    let profile = reader.profile_of(hot).await?;
    let me = ProviderId(profile.id);
    if me.0 == 0 {
        checks.push(failed(
            "registration",
            format!("no provider has the hot key {hot}; run `provider register`"),
        ));
        return Ok(());
    }
    checks.push(passed("registration", format!("provider {me}, trust tier {}", profile.trust_tier)));
    checks.push(match eligible::standing(&profile) {
        None => passed("standing", "may bid"),
        Some(reason) => failed("standing", reason.message),
    });
    let (own, counted, wanted) = reader.stake_of(me, profile.trust_tier).await?;
    let stake = format!(
        "{} SPON counted ({} own), tier {} asks for {}",
        format_decimal(counted, 18),
        format_decimal(own, 18),
        profile.trust_tier,
        format_decimal(wanted, 18)
    );
    checks.push(if counted >= wanted {
        passed("stake", stake)
    } else {
        failed("stake", format!("{stake}; run `provider stake`"))
    });
    let record = reader.record(me).await?;
    let wanted = &config.public;
    checks.push(checked("record", same("endpoint", &record.endpoint, &wanted.endpoint)));
    checks.push(checked("tokens", same("tokens", &record.tokens.to::<u64>(), &config.token_mask())));
    let (current, next) = reader.pins(me).await?;
    checks.push(match ServerIdentity::load_or_create(&pins::key_path(&config.data_dir)) {
        Ok(identity) if [current, next].contains(&identity.pin().0) => {
            passed("pin", identity.pin().to_string())
        }
        Ok(identity) => failed(
            "pin",
            format!("{} is not the registered {}; the daemon announces it", identity.pin(), Pin(current)),
        ),
        Err(error) => failed("pin", error.to_string()),
    });
    Ok(())
}

fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    registered: &T,
    configured: &T,
) -> Result<String, String> {
    if registered == configured {
        return Ok(format!("{what} {registered:?}"));
    }
    Err(format!("{what}: registered {registered:?}, configured {configured:?}; run `provider set-record`"))
}

fn hardware(config: &Config) -> Checked {
    match Hardware::discover(&config.runtime.storage_path) {
        Ok(machine) => {
            let offer = Offer::of(machine::offer(&machine), &config.reserve, &config.offer);
            let found = format!("offers {}", offer.resources());
            let enough = offer.cpu > 0 && offer.memory > 0 && offer.storage > 0;
            if enough {
                passed("capacity", found)
            } else {
                failed("capacity", format!("{found}; lower [reserve]"))
            }
        }
        Err(error) => failed("capacity", error.to_string()),
    }
}

fn disk(config: &Config) -> Checked {
    let (path, floor) = (&config.runtime.storage_path, u64::from(config.runtime.disk_floor.0));
    match vitals::free_mib(path) {
        Ok(free) if free >= floor => passed("disk", format!("{free} MiB free on {}", path.display())),
        Ok(free) => failed("disk", format!("{free} MiB free on {}, {floor} must stay free", path.display())),
        Err(error) => failed("disk", format!("{}: {error}", path.display())),
    }
}

async fn engine(config: &Config, checks: &mut Vec<Checked>) {
    let (Ok(book), Ok(key)) = (config.chain.address_book(), daemon::open_hot_key(config).await) else {
        return;
    };
    let docker = match daemon::docker_config(config, daemon::vault(&key, &book, ProviderId(0))) {
        Ok(docker) => DockerRuntime::new(docker),
        Err(error) => return checks.push(failed("engine", error.to_string())),
    };
    let found = match docker.check().await {
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
            Limit::Gpu if config.prices.gpu.is_empty() => continue,
            Limit::Gpu => "limit: gpu",
        };
        checks.push(Checked { name, ok: limit.enforced, message: limit.note });
    }
}

async fn ports(config: &Config, checks: &mut Vec<Checked>) {
    if control::ask_status(&config.data_dir).await.is_ok() {
        return checks.push(passed("ports", "held by the running daemon"));
    }
    let listen = &config.listen;
    let mut wanted = vec![("lease API", listen.lease_api), ("http", listen.http)];
    if config.public.certificate.is_some() {
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
