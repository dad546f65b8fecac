//! `provider check`: everything that must hold before this machine can earn, each with what to do when it does not.

mod machine;
mod names;
mod nodes;
mod registry;

use alloy::primitives::Address;
use anyhow::Result;
use iono_identity::keystore;
use serde::Serialize;

use super::output;
use crate::cli::Common;
use crate::{chain_link, daemon, machine as hardware};
use iono_host::config::Config;

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
    let seen = hardware::look(config).await;
    match chain_link::reader(config) {
        Ok(reader) => registry::chain(config, &reader, hot, seen.as_ref().ok(), &mut checks).await,
        Err(error) => checks.push(failed("chain", error.to_string())),
    }
    machine::capacity(config, seen.as_ref(), &mut checks);
    checks.extend(seen.iter().flat_map(|seen| nodes::all(config, seen)));
    checks.extend(config.pricing.script.as_ref().map(machine::script));
    checks.push(machine::disk(config));
    machine::engine(config, &mut checks).await;
    machine::ports(config, &mut checks).await;
    names::check(config, &mut checks).await;
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
            checks.push(failed(
                "hot key",
                format!("{error}; `iono wallet new` makes one, see the first hour in docs/provider.md"),
            ));
            config.keys().ok().and_then(|keys| keystore::address(&keys.hot_key).ok().flatten())
        }
    }
}
