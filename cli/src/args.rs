//! The command line: global options and the list of commands. Each family has a file of its own beside this one.

pub(crate) mod admin;
pub(crate) mod fizz;
pub(crate) mod lease;
pub(crate) mod market;
#[cfg(test)]
mod mentions;
pub(crate) mod money;
pub(crate) mod operator;
pub(crate) mod provider;
pub(crate) mod setup;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, builder::styling};
use url::Url;

const STYLES: styling::Styles = styling::Styles::styled()
    .header(styling::AnsiColor::Green.on_default().bold())
    .usage(styling::AnsiColor::Green.on_default().bold())
    .literal(styling::AnsiColor::Cyan.on_default())
    .placeholder(styling::AnsiColor::Cyan.on_default());

/// Rent containers and GPUs from an open market, paid by the second out of escrow.
#[derive(Debug, Parser)]
#[command(
    name = "iono",
    version,
    styles = STYLES,
    max_term_width = 100,
    propagate_version = true,
    disable_help_subcommand = true,
    after_help = "\
Start here:
  iono init --rpc http://127.0.0.1:8545 --address-book target/devnet.json
  iono wallet new
  iono faucet
  iono deploy examples/hello.yaml

stdout is the result, stderr the prose; --json makes the result one JSON document.
Exit codes are stable: `iono explain exit-codes` lists them."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Write the result as one JSON document (streams: one document a line)
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// No prose on stderr but warnings and errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Show what would be sent to the chain, and send nothing
    #[arg(long, global = true)]
    pub(crate) dry_run: bool,
    /// Folder of configuration, keystore and leases [default: ~/.config/iono]
    #[arg(long, global = true, env = "IONO_HOME", value_name = "DIR", hide_env_values = true)]
    pub(crate) home: Option<PathBuf>,
    /// RPC of the chain, instead of the configured ones; may be repeated
    #[arg(long = "rpc", global = true, value_name = "URL")]
    pub(crate) rpc: Vec<Url>,
    /// Address book of the contracts, instead of the configured one
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) address_book: Option<PathBuf>,
    /// Key to sign with: its name in the keystore
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) key: Option<String>,
    /// File with the keystore's passphrase [default: IONO_HOME/passphrase]
    #[arg(long, global = true, env = "IONO_PASSPHRASE_FILE", value_name = "FILE", hide_env_values = true)]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// How long to wait for each transaction's receipt
    #[arg(long, global = true, value_name = "TIME", default_value = "90s", value_parser = humantime::parse_duration)]
    pub(crate) receipt_timeout: Duration,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    // Setting up
    Init(setup::Init),
    #[command(subcommand)]
    Wallet(setup::Wallet),
    Faucet(setup::Faucet),
    Account(setup::Account),
    // Money
    Deposit(money::Deposit),
    Withdraw(money::Withdraw),
    Wallets(money::Wallets),
    Transfer(money::Transfer),
    Send(money::Send),
    CashOut(money::CashOut),
    // Looking around
    Market(market::Market),
    Quote(market::Quote),
    #[command(subcommand)]
    Manifest(market::Manifest),
    Bids(market::Bids),
    // Leases
    Deploy(lease::Deploy),
    SendManifest(lease::SendManifest),
    Resolve(lease::Resolve),
    Cancel(lease::Cancel),
    Ps(lease::Ps),
    Status(lease::Status),
    Logs(lease::Logs),
    Events(lease::Events),
    Shell(lease::Shell),
    Cp(lease::Cp),
    Restart(lease::Restart),
    Update(lease::Update),
    Extend(lease::Extend),
    Close(lease::Close),
    Rate(lease::Rate),
    #[command(subcommand)]
    Delegate(lease::Delegate),
    Revoke(lease::Revoke),
    // Providers and the market's keepers
    #[command(subcommand)]
    Provider(provider::Provider),
    #[command(subcommand)]
    Stake(provider::Stake),
    #[command(subcommand)]
    Fizz(fizz::Fizz),
    #[command(subcommand)]
    Subnet(fizz::Subnet),
    #[command(subcommand)]
    Operator(operator::Operator),
    #[command(subcommand)]
    Admin(admin::Admin),
    // The tool itself
    Completions(setup::Completions),
    Explain(setup::Explain),
}

/// A lease's length on the command line: `90m`, `12h`, `7d`, `2h 30m`.
pub(crate) fn seconds(text: &str) -> Result<u32, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    match u32::try_from(duration.as_secs()) {
        Ok(0) => Err("must be at least a second".into()),
        Ok(secs) => Ok(secs),
        Err(_) => Err("is longer than the chain can store (136 years)".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn walk(command: &clap::Command, path: &str, seen: &mut Vec<String>) {
        let path = format!("{path} {}", command.get_name()).trim().to_owned();
        if command.get_subcommands().next().is_none() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&path), "`{path} --help` shows no example of `{path}`: {help}");
        }
        assert!(command.get_about().is_some(), "`{path}` says nothing about itself");
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "`{path}`: `{}` has no help", argument.get_id());
        }
        seen.push(path.clone());
        for sub in command.get_subcommands() {
            walk(sub, &path, seen);
        }
    }

    #[test]
    fn every_command_has_words_and_an_example() {
        let command = Cli::command();
        command.clone().debug_assert();
        let mut seen = Vec::new();
        walk(&command, "", &mut seen);
        assert!(seen.len() > 50, "{seen:?}");
    }

    #[test]
    fn lengths_are_read() {
        assert_eq!(seconds("90m"), Ok(5_400));
        assert_eq!(seconds("2h 30m"), Ok(9_000));
        assert!(seconds("0s").is_err());
        assert!(seconds("200years").is_err());
        assert!(seconds("soon").is_err());
    }
}
