//! The command line of `matchmaker`: stdout is the result, stderr the prose.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

/// Resolves orders as soon as their seed exists and earns the match fee.
#[derive(Debug, Parser)]
#[command(name = "matchmaker", version)]
pub(crate) struct Cli {
    /// Configuration file; it may be absent when variables and --set say everything.
    #[arg(
        long,
        short,
        global = true,
        env = "IONO_MATCHMAKER_CONFIG",
        default_value = "/etc/ionosphere/matchmaker.toml"
    )]
    pub(crate) config: PathBuf,
    /// Overrides one setting; may be repeated.
    #[arg(long = "set", global = true, value_name = "SECTION.KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Prints the result as JSON on stdout.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Follows the chain and resolves orders until it is asked to end.
    Run {
        /// Names of the places at which IONO_FAILPOINT can kill this daemon.
        #[arg(long, hide = true)]
        list_failpoints: bool,
    },
    /// Shows how far it has followed, what is open and what it has earned.
    Status,
    /// Says what is missing before it can run; exits 1 when something is.
    Check,
    /// Writes a shell's completions to stdout.
    Completions {
        /// Which shell.
        shell: Shell,
    },
}
