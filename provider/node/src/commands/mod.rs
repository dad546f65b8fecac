//! What `provider`'s commands do; each takes the settings, does its work and prints one result.

pub mod book;
pub mod check;
pub mod daemon;
pub mod gateway;
pub mod init;
pub mod money;
pub mod output;
pub mod owner;
pub mod price;

use anyhow::Result;
use clap::CommandFactory as _;

use crate::cli::{Cli, Command, Common, OnOff};
use crate::control::Request;
use iono_host::config::{Config, Role};
use iono_host::reload::Source;

/// Does what the command line says.
///
/// # Errors
/// What failed, in words for people; [`check::Missing`] when `provider check` found something missing.
pub async fn run(cli: Cli) -> Result<()> {
    let Cli { common, command } = cli;
    match command {
        Command::Init { force } => init::run(&common, force),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "provider", &mut text);
            output::text(&String::from_utf8_lossy(&text));
            Ok(())
        }
        Command::Run { list_failpoints: true } => {
            output::text(&format!("{}\n", crate::backend::all_fail_points().concat().join("\n")));
            Ok(())
        }
        Command::Run { .. } => {
            let config = load(&common)?;
            let source =
                Source { role: Role::Provider, path: common.config.clone(), overrides: common.set.clone() };
            crate::daemon::run(config, source).await
        }
        command => with_config(&common, &load(&common)?, command).await,
    }
}

async fn with_config(common: &Common, config: &Config, command: Command) -> Result<()> {
    match command {
        Command::Check => check::run(common, config).await,
        Command::Hardware => init::hardware(common, config).await,
        Command::Register(owner) => owner::register(common, config, &owner).await,
        Command::SetRecord(owner) => owner::set_record(common, config, &owner).await,
        Command::Stake { amount, owner } => owner::stake(common, config, amount, &owner).await,
        Command::Drain { state } => daemon::ask(common, config, &Request::Drain(state == OnOff::On)).await,
        Command::CashOut { token } => daemon::ask(common, config, &Request::CashOut(token)).await,
        Command::RotatePin => daemon::ask(common, config, &Request::RotatePin).await,
        Command::Admit { owner } => daemon::ask(common, config, &Request::Admit(owner)).await,
        Command::Status => daemon::status(common, config).await,
        Command::Gateway => gateway::run(common, config).await,
        Command::Earnings => money::earnings(common, config).await,
        Command::Bids { order, limit } => book::bids(common, config, order, limit).await,
        Command::Price(described) => price::run(common, config, &described).await,
        Command::Leases { all } => book::leases(common, config, all).await,
        Command::Init { .. } | Command::Run { .. } | Command::Completions { .. } => Ok(()),
    }
}

fn load(common: &Common) -> Result<Config> {
    Ok(Config::load(Role::Provider, &common.config, &common.set)?)
}
