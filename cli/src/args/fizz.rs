//! Light nodes and their subnets, as their owners and the delegators see them.

use alloy::primitives::Address;
use clap::{Args, Subcommand};
use iono_identity::Pin;

/// Light nodes: register, list, status, price, withdraw; owners: payout, rotate-pin, leave
#[derive(Debug, Subcommand)]
pub(crate) enum Fizz {
    /// Register a light node with a provider's subnet
    ///
    /// The number that it gets and the provider's go into the light node's settings ([gateway]). Until the provider accepts
    /// it, and your delegation is what the subnet asks for, it is named in no bid; `iono fizz status` says what is missing.
    #[command(after_help = "\
Examples:
  iono fizz register 3 --pin sha256//OS22D2qmIsWPV20w+R2dxauA8Ez77586kniuqu0ayw0= --cpu 4 --memory 8Gi --storage 50Gi --core 0.008 --memory-gib 0.0015
  iono fizz register 3 --pin sha256//OS22D2qmIsWPV20w+R2dxauA8Ez77586kniuqu0ayw0= --cpu 8 --memory 16Gi --storage 1Ti --core 0.01 --memory-gib 0.002 --min-share 70")]
    Register(Register),
    /// Let a proposed light node into your subnet (provider's owner or hot key)
    #[command(after_help = "Examples:\n  iono fizz accept 12")]
    Accept {
        /// The light node
        fizz: u32,
    },
    /// Light nodes of a subnet, or your own
    #[command(after_help = "Examples:\n  iono fizz list\n  iono fizz list --provider 3 --json")]
    List {
        /// Of this provider's subnet; your own light nodes if left out
        #[arg(long, value_name = "ID")]
        provider: Option<u32>,
    },
    /// One light node: whether bids may name it, what is missing, and what it earned
    #[command(after_help = "Examples:\n  iono fizz status 12\n  iono fizz status 12 --json")]
    Status {
        /// The light node
        fizz: u32,
    },
    /// Announce another capacity and other prices (owner)
    ///
    /// This is what everyone is told. What is bid for is what the light node's own settings say at that moment.
    #[command(after_help = "\
Examples:
  iono fizz price 12 --cpu 4 --memory 8Gi --storage 50Gi --core 0.01 --memory-gib 0.002")]
    Price {
        /// The light node
        fizz: u32,
        #[command(flatten)]
        offer: Offer,
    },
    /// Announce the light node's next key; twice in a row drops one that is lost (owner)
    #[command(
        after_help = "Examples:\n  iono fizz rotate-pin 12 --pin sha256//OS22D2qmIsWPV20w+R2dxauA8Ez77586kniuqu0ayw0="
    )]
    RotatePin {
        /// The light node
        fizz: u32,
        /// Its next key's pin
        #[arg(long)]
        pin: Pin,
    },
    /// Who is paid by leases that open from now on (owner)
    #[command(after_help = "Examples:\n  iono fizz payout 12 0x70997970C51812dc3A010C7d01b50e0d17dc79C8")]
    Payout {
        /// The light node
        fizz: u32,
        /// Receiver
        to: Address,
    },
    /// Pay out what a light node earned, to its receiver (anyone)
    #[command(after_help = "Examples:\n  iono fizz withdraw 12\n  iono fizz withdraw 12 --token DUSD")]
    Withdraw {
        /// The light node
        fizz: u32,
        /// Symbol, number or address; the default token if left out
        #[arg(long)]
        token: Option<String>,
    },
    /// Take a light node out of its subnet for good; its leases go on and are paid (owner)
    #[command(after_help = "Examples:\n  iono fizz leave 12")]
    Leave {
        /// The light node
        fizz: u32,
    },
}

/// A new light node.
#[derive(Debug, Args)]
pub(crate) struct Register {
    /// The provider whose subnet it joins
    pub(crate) provider: u32,
    /// Pin of its key, as `fizz pin` shows it
    #[arg(long)]
    pub(crate) pin: Pin,
    /// Who is paid; your own address if left out
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) payout: Option<Address>,
    /// Percent of a lease's net below which it does not work; nobody else can lower it
    #[arg(long, value_name = "PERCENT", value_parser = percent, default_value = "0")]
    pub(crate) min_share: u16,
    #[command(flatten)]
    pub(crate) offer: Offer,
}

/// What a light node lends and asks.
#[derive(Debug, Args)]
pub(crate) struct Offer {
    /// Cores that it lends at most
    #[arg(long, value_parser = cores)]
    pub(crate) cpu: u32,
    /// Memory, such as 8Gi
    #[arg(long, value_parser = mebibytes)]
    pub(crate) memory: u32,
    /// Disk, such as 50Gi
    #[arg(long, value_parser = mebibytes)]
    pub(crate) storage: u32,
    /// GPUs
    #[arg(long, default_value_t = 0)]
    pub(crate) gpus: u8,
    /// Dollars an hour for a core
    #[arg(long, value_name = "DOLLARS", value_parser = dollars)]
    pub(crate) core: u64,
    /// Dollars an hour for a GiB of memory
    #[arg(long, value_name = "DOLLARS", value_parser = dollars)]
    pub(crate) memory_gib: u64,
    /// Dollars an hour for a GiB of disk
    #[arg(long, value_name = "DOLLARS", value_parser = dollars, default_value = "0")]
    pub(crate) storage_gib: u64,
    /// Dollars an hour for a GPU
    #[arg(long, value_name = "DOLLARS", value_parser = dollars, default_value = "0")]
    pub(crate) gpu: u64,
}

/// Subnets of light nodes: show, found, open; delegators: propose, vote, execute
#[derive(Debug, Subcommand)]
pub(crate) enum Subnet {
    /// A subnet's terms now and from the next era on
    #[command(after_help = "Examples:\n  iono subnet show 3\n  iono subnet show 3 --json")]
    Show {
        /// The provider whose subnet it is
        provider: u32,
    },
    /// Found your provider's subnet; its terms change by vote from then on (provider's owner)
    #[command(after_help = "Examples:\n  iono subnet found 3 --share 80 --min-delegation 100")]
    Found {
        /// The provider
        provider: u32,
        #[command(flatten)]
        terms: SubnetTerms,
    },
    /// Accept whoever registers, or nobody without a look (provider's owner or hot key)
    #[command(after_help = "Examples:\n  iono subnet open 3\n  iono subnet open 3 --off")]
    Open {
        /// The provider
        provider: u32,
        /// Accept each light node by `iono fizz accept`
        #[arg(long)]
        off: bool,
    },
    /// Propose other terms (delegators above the threshold)
    #[command(after_help = "Examples:\n  iono subnet propose-terms 3 --share 85 --min-delegation 50")]
    ProposeTerms {
        /// The provider
        provider: u32,
        #[command(flatten)]
        terms: SubnetTerms,
    },
    /// Propose that an owner's light nodes are named in no bid any more (delegators above the threshold)
    #[command(
        after_help = "Examples:\n  iono subnet propose-expulsion 3 0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
    )]
    ProposeExpulsion {
        /// The provider
        provider: u32,
        /// The owner of light nodes
        member: Address,
    },
    /// Propose that an expelled owner may come back (delegators above the threshold)
    #[command(
        after_help = "Examples:\n  iono subnet propose-readmission 3 0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
    )]
    ProposeReadmission {
        /// The provider
        provider: u32,
        /// The owner of light nodes
        member: Address,
    },
    /// Proposals of a subnet and their votes
    #[command(after_help = "Examples:\n  iono subnet proposals 3\n  iono subnet proposals 3 --json")]
    Proposals {
        /// The provider
        provider: u32,
    },
    /// Vote with all shares that you held when the proposal was made, once and for good
    #[command(after_help = "Examples:\n  iono subnet vote 7 yes\n  iono subnet vote 7 no")]
    Vote {
        /// The proposal
        proposal: u64,
        /// For it or against it
        side: Side,
    },
    /// Carry out a proposal that has passed (anyone)
    #[command(after_help = "Examples:\n  iono subnet execute 7")]
    Execute {
        /// The proposal
        proposal: u64,
    },
}

/// What a subnet asks of a light node and gives it.
#[derive(Debug, Clone, Args)]
pub(crate) struct SubnetTerms {
    /// Percent of a lease's net that its light node gets
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub(crate) share: u16,
    /// Whole SPON that an owner delegates to the provider for each light node
    #[arg(long, value_name = "SPON", default_value = "0")]
    pub(crate) min_delegation: String,
}

/// Of a vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Side {
    /// For it.
    Yes,
    /// Against it.
    No,
}

/// Percent with two decimals, as basis points.
fn percent(text: &str) -> Result<u16, String> {
    let points = decimal(text.trim_end_matches('%'), 2)?;
    u16::try_from(points).ok().filter(|points| *points <= 10_000).ok_or_else(|| "is above 100 percent".into())
}

/// Dollars, as 1e-8 dollars.
fn dollars(text: &str) -> Result<u64, String> {
    decimal(text, 8)
}

/// Cores, as millicores.
fn cores(text: &str) -> Result<u32, String> {
    let millicores = decimal(text, 3)?;
    u32::try_from(millicores).ok().filter(|cores| *cores > 0).ok_or_else(|| "is no number of cores".into())
}

/// An amount with a unit, as MiB.
fn mebibytes(text: &str) -> Result<u32, String> {
    let units = [("Mi", 1), ("Gi", 1 << 10), ("Ti", 1 << 20)];
    let found = units.iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, *size)));
    let (number, size) = found.ok_or("has no unit; write Mi, Gi or Ti")?;
    let amount = number.parse::<u32>().ok().and_then(|number| number.checked_mul(size));
    amount.filter(|amount| *amount > 0).ok_or_else(|| "is no amount that can be registered".into())
}

fn decimal(text: &str, digits: u8) -> Result<u64, String> {
    let amount = iono_primitives::money::parse_decimal(text, digits).map_err(|error| error.to_string())?;
    u64::try_from(amount).map_err(|_| "is too large".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_in_the_units_of_the_chain() {
        assert_eq!((percent("80"), percent("12.5%"), percent("100")), (Ok(8_000), Ok(1_250), Ok(10_000)));
        assert_eq!((cores("4"), cores("0.5")), (Ok(4_000), Ok(500)));
        assert_eq!(
            (mebibytes("512Mi"), mebibytes("8Gi"), mebibytes("1Ti")),
            (Ok(512), Ok(8_192), Ok(1 << 20))
        );
        assert_eq!(dollars("0.0015"), Ok(150_000));
        assert!(percent("100.01").is_err() && cores("0").is_err() && cores("x").is_err());
        assert!(mebibytes("8").is_err() && mebibytes("0Gi").is_err() && mebibytes("99999Ti").is_err());
    }
}
