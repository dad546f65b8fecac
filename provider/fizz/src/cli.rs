//! The command line of `fizz`: stdout is the result, stderr the prose, `--json` makes the result machine-readable.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

/// Lends a machine's spare capacity out on Ionosphere, from behind any router: runs containers for a provider's gateway,
/// which pays a share of each lease.
#[derive(Debug, Parser)]
#[command(name = "fizz", version, after_help = FIRST_HOUR)]
pub struct Cli {
    /// Settings that hold for every command.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const FIRST_HOUR: &str = "First hour:
  fizz init                                      write /etc/ionosphere/fizz.toml, then edit it
  fizz pin                                       the key to register this machine with
  fizz check                                     what is still missing
  fizz run                                       connect and serve";

/// Settings that hold for every command.
#[derive(Debug, Args)]
pub struct Common {
    /// Configuration file.
    #[arg(long, short, global = true, env = "IONO_FIZZ_CONFIG", default_value = "/etc/ionosphere/fizz.toml")]
    pub config: PathBuf,
    /// Overrides one setting; may be repeated.
    #[arg(long = "set", global = true, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
    /// Prints the result as JSON on stdout.
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Writes a commented configuration file.
    #[command(after_help = "Example:\n  fizz init --config ./fizz.toml")]
    Init {
        /// Replaces a file that is there.
        #[arg(long)]
        force: bool,
    },
    /// Shows the pin of this machine's key, and makes the key if there is none: the registry must know it.
    #[command(after_help = "Example:\n  fizz pin\n  fizz pin --json | jq -r .hex")]
    Pin,
    /// Says what is missing before this machine can earn; exits 1 when something is.
    #[command(after_help = "Example:\n  fizz check --json | jq '.[] | select(.ok | not)'")]
    Check,
    /// Connects, runs workloads, serves tenants; until SIGTERM, which leaves the workloads running.
    #[command(
        after_help = "Example:\n  fizz run --set bidding.enabled=false\n\nSIGHUP reads prices and shares again."
    )]
    Run,
    /// Writes what the shell needs to complete commands.
    #[command(after_help = "Example:\n  fizz completions bash > /etc/bash_completion.d/fizz")]
    Completions {
        /// Which shell.
        shell: Shell,
    },
}
