//! The command line of `provider`: stdout is the result, stderr the prose, `--json` makes the result machine-readable.

use std::path::PathBuf;

use alloy::primitives::Address;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use iono_primitives::GpuModel;
use iono_primitives::resources::BadGpuModel;

use iono_host::config::values::{Cores, Dollars, Mebibytes, Seconds};

/// Rents a machine's spare capacity out on Ionosphere: bids, runs containers, is paid by the second.
#[derive(Debug, Parser)]
#[command(name = "provider", version, after_help = FIRST_HOUR)]
pub struct Cli {
    /// Settings that hold for every command.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const FIRST_HOUR: &str = "First hour:
  provider init                                  write /etc/ionosphere/provider.toml, then edit it
  provider register --owner-key owner.json       propose this machine to the registry
  provider stake 5000 --owner-key owner.json     stake SPON, so that it may bid
  provider check                                 what is still missing
  provider run                                   bid and serve";

/// Settings that hold for every command.
#[derive(Debug, Args)]
pub struct Common {
    /// Configuration file.
    #[arg(
        long,
        short,
        global = true,
        env = "IONO_PROVIDER_CONFIG",
        default_value = "/etc/ionosphere/provider.toml"
    )]
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
    #[command(after_help = "Example:\n  provider init --config ./provider.toml")]
    Init {
        /// Replaces a file that is there.
        #[arg(long)]
        force: bool,
    },
    /// Says what is missing before this machine can earn; exits 1 when something is.
    #[command(after_help = "Example:\n  provider check --json | jq '.[] | select(.ok | not)'")]
    Check,
    /// Shows the hardware that was found and what of it is offered.
    #[command(after_help = "Example:\n  provider hardware --json")]
    Hardware,
    /// Proposes this provider to the registry, with the capacity that it has beyond the reserve.
    #[command(
        after_help = "Example:\n  provider register --owner-key owner.json --owner-passphrase-file owner.pass"
    )]
    Register(Owner),
    /// Brings the registry's record up to the configuration: capacity, endpoint, region, tokens, hot key.
    #[command(after_help = "Example:\n  provider set-record --owner-key owner.json")]
    SetRecord(Owner),
    /// Stakes SPON on this provider.
    #[command(after_help = "Example:\n  provider stake 5000 --owner-key owner.json")]
    Stake {
        /// Whole SPON.
        amount: Dollars,
        /// Whose stake it is.
        #[command(flatten)]
        owner: Owner,
    },
    /// Bids, runs workloads, serves the lease API, settles; until SIGTERM, which leaves the workloads running.
    #[command(
        after_help = "Example:\n  provider run --set bidding.enabled=false\n\nSIGHUP reads prices and shares again."
    )]
    Run {
        /// Names the places at which tests may kill the daemon, and ends.
        #[arg(long, hide = true)]
        list_failpoints: bool,
    },
    /// Stops new leases or allows them again; present ones stay.
    #[command(after_help = "Example:\n  provider drain on")]
    Drain {
        /// Whether to drain.
        state: OnOff,
    },
    /// What was earned, by token: paid out, on the ledger, unsettled, and the sum; all after fees.
    #[command(after_help = "Example:\n  provider earnings --json")]
    Earnings,
    /// Why orders were bid on or not, and why bids lost.
    #[command(after_help = "Example:\n  provider bids --limit 20\n  provider bids --order 42 --json")]
    Bids {
        /// Only this order.
        #[arg(long)]
        order: Option<u64>,
        /// Most lines, the newest first.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// What an order would cost by the settings: by the table, and by the expression or the script; says what a script said.
    #[command(
        after_help = "Example:\n  provider price --cpu 2 --memory 4Gi --gpu h100=2 --duration 1d\n  provider price --set 'pricing.script=[\"/etc/ionosphere/price.py\"]' --json"
    )]
    Price(Described),
    /// The light nodes of this provider's gateway: who is here, what they have, how they did.
    #[command(after_help = "Example:\n  provider gateway --json | jq '.[] | select(.lost_since)'")]
    Gateway,
    /// The leases of this provider.
    #[command(after_help = "Example:\n  provider leases --all --json")]
    Leases {
        /// Closed ones too.
        #[arg(long)]
        all: bool,
    },
    /// Settles all leases and sends the ledgers to the payout address.
    #[command(after_help = "Example:\n  provider cash-out\n  provider cash-out --token 1")]
    CashOut {
        /// Only this token.
        #[arg(long)]
        token: Option<u16>,
    },
    /// Makes a new TLS key and announces its pin; the old one stays good until the next rotation.
    #[command(after_help = "Example:\n  provider rotate-pin && systemctl restart provider")]
    RotatePin,
    /// Says with this machine's hot key that only this owner may register it; takes it from whoever did so first.
    #[command(after_help = "Example:\n  provider admit 0x70997970C51812dc3A010C7d01b50e0d17dc79C8")]
    Admit {
        /// Address of the owner key.
        owner: Address,
    },
    /// The running daemon's health in one view.
    #[command(after_help = "Example:\n  provider status --json")]
    Status,
    /// Prints a completion script.
    #[command(after_help = "Example:\n  provider completions bash > /etc/bash_completion.d/provider")]
    Completions {
        /// For which shell.
        shell: Shell,
    },
}

/// The owner's key: it holds the stake and the provider's account, and is needed for a few commands alone.
#[derive(Debug, Args)]
pub struct Owner {
    /// Keystore of the owner key.
    #[arg(long, env = "IONO_OWNER_KEY")]
    pub owner_key: PathBuf,
    /// File with its passphrase; a systemd credential named `owner-passphrase` when left out.
    #[arg(long, env = "IONO_OWNER_PASSPHRASE_FILE")]
    pub owner_passphrase_file: Option<PathBuf>,
}

/// An order as `provider price` is told of it.
#[derive(Debug, Clone, Args)]
pub struct Described {
    /// Cores.
    #[arg(long, default_value = "1")]
    pub cpu: Cores,
    /// Memory.
    #[arg(long, default_value = "1Gi")]
    pub memory: Mebibytes,
    /// Disk, of this machine's class.
    #[arg(long, default_value = "1Gi")]
    pub storage: Mebibytes,
    /// GPUs by model; may be repeated.
    #[arg(long = "gpu", value_name = "MODEL=COUNT", value_parser = gpu)]
    pub gpus: Vec<(GpuModel, u64)>,
    /// Exposed ports.
    #[arg(long, default_value_t = 1)]
    pub endpoints: u8,
    /// Time that is paid for.
    #[arg(long, default_value = "1h")]
    pub duration: Seconds,
    /// Dollars an hour that the tenant pays at most.
    #[arg(long, default_value = "1")]
    pub max_rate: Dollars,
}

fn gpu(text: &str) -> Result<(GpuModel, u64), String> {
    let (model, count) = text.split_once('=').unwrap_or((text, "1"));
    let model = model.parse().map_err(|error: BadGpuModel| error.to_string())?;
    let count: u8 = count.parse().map_err(|_| format!("`{count}` is no number of GPUs; write h100=2"))?;
    Ok((model, count.into()))
}

/// A switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnOff {
    /// On.
    On,
    /// Off.
    Off,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_command_has_an_example() {
        let command = Cli::command();
        command.clone().debug_assert();
        for sub in command.get_subcommands() {
            let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&format!("provider {}", sub.get_name())), "{}", sub.get_name());
        }
    }
}
