//! Operators of the matching quorum.

use std::path::PathBuf;

use clap::Subcommand;

/// Operators of the matching quorum: register, stake, enter, look, claim
#[derive(Debug, Subcommand)]
pub(crate) enum Operator {
    /// Make a BLS key for an operator's daemon, with a passphrase in a file beside it
    #[command(after_help = "\
Examples:
  iono operator key --out operator-bls.json
The passphrase is made in operator-bls.passphrase, or read there if you have written one. Both files are for
the daemon; keep a copy.")]
    Key {
        /// Keystore file to write; never overwritten
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Register a BLS key; your own key becomes the operator's owner
    #[command(after_help = "\
Examples:
  iono operator register --bls-key operator-bls.json
  iono operator register --bls-key operator-bls.json --endpoint http://operator.example:7300")]
    Register {
        /// Keystore of the BLS key
        #[arg(long, value_name = "FILE")]
        bls_key: PathBuf,
        /// File with its passphrase [default: the keystore's name, ending in .passphrase]
        #[arg(long, value_name = "FILE")]
        bls_passphrase_file: Option<PathBuf>,
        /// Where the daemon takes other operators' shares
        #[arg(long, value_name = "URL")]
        endpoint: Option<String>,
    },
    /// Say where the daemon takes other operators' shares (owner)
    #[command(after_help = "\
Examples:
  iono operator announce 3 https://operator.example
  iono operator announce 3 \"\"
Without an endpoint its turns to aggregate pass.")]
    Announce {
        /// The operator
        operator: u32,
        /// http or https, at most 256 bytes; empty for nowhere
        url: String,
    },
    /// Stake SPON: it weighs in the quorum, and is half lost for a wrong signature (owner)
    #[command(after_help = "Examples:\n  iono operator stake 3 10000")]
    Stake {
        /// The operator
        operator: u32,
        /// Whole SPON
        amount: String,
    },
    /// Start to take stake back; slashable and not withdrawable until it has unbonded
    #[command(after_help = "Examples:\n  iono operator unstake 3 2500\n  iono operator unstake 3 all")]
    Unstake {
        /// The operator
        operator: u32,
        /// Whole SPON, or `all`
        amount: String,
    },
    /// Take out what has unbonded; all that is ripe if no request is named
    #[command(after_help = "Examples:\n  iono operator withdraw\n  iono operator withdraw 9")]
    Withdraw {
        /// The request
        request: Option<u64>,
    },
    /// Enter the set; counts from the next era on (owner)
    #[command(after_help = "\
Examples:
  iono operator enter 3
  iono operator enter 3 --evict 8
A full set is entered in place of a member of at most average weight that yours exceeds by a tenth.")]
    Enter {
        /// The operator
        operator: u32,
        /// The member to push out when the set is full
        #[arg(long, value_name = "OPERATOR")]
        evict: Option<u32>,
    },
    /// Leave the set; counts from the next era on (owner)
    #[command(after_help = "Examples:\n  iono operator exit 3")]
    Exit {
        /// The operator
        operator: u32,
    },
    /// Read an operator's restaked value anew (anyone)
    #[command(after_help = "Examples:\n  iono operator sync 3")]
    Sync {
        /// The operator
        operator: u32,
    },
    /// The set of this era and of the next, with each member's share of the weight
    #[command(after_help = "Examples:\n  iono operator list\n  iono operator list --json")]
    List,
    /// One operator: owner, endpoint, stake, weight, and what it matched, missed and earned
    #[command(after_help = "\
Examples:
  iono operator status
  iono operator status 3 --json
What it did is shown of the last 30 eras in which a quorum with it in the set matched orders.")]
    Status {
        /// The operator; your only one if left out
        operator: Option<u32>,
    },
    /// Pay out an operator's part of the match fees, to its owner (anyone)
    #[command(after_help = "\
Examples:
  iono operator claim 3
  iono operator claim 3 --era 12 --token DUSD
Without --era, what waits of the last 30 eras in which a quorum with it in the set matched orders.")]
    Claim {
        /// The operator
        operator: u32,
        /// Of this era only, however long ago
        #[arg(long)]
        era: Option<u32>,
        /// In this token only: symbol, number or address
        #[arg(long)]
        token: Option<String>,
    },
}
