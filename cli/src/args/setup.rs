//! Setting up: configuration, keys, test money, completions.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::Shell;

/// Write the configuration: which chain, which contracts
///
/// Checks that the RPC answers and that the contracts of the address book are there. The chain itself is named by the
/// global options --rpc (may be repeated: the first that answers is used) and --address-book.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  iono init --rpc http://127.0.0.1:8545 --address-book target/devnet.json
  iono init --rpc https://rpc.example.org --rpc https://spare.example.org --address-book book.json --token DUSD")]
pub(crate) struct Init {
    /// Payment token used when a command names none: symbol, number or address
    #[arg(long)]
    pub(crate) token: Option<String>,
    /// Escrow wallet used when a command names none
    #[arg(long, value_name = "N")]
    pub(crate) wallet: Option<u64>,
}

/// Keys that sign: make, import, list, show
#[derive(Debug, Subcommand)]
pub(crate) enum Wallet {
    /// Make a new key, encrypted with the passphrase
    ///
    /// Without a passphrase file a random passphrase is made and kept in IONO_HOME/passphrase (mode 0600).
    #[command(after_help = "\
Examples:
  iono wallet new
  iono wallet new treasury --passphrase-file ~/secrets/treasury.pass")]
    New {
        /// Name of the key
        #[arg(default_value = "main")]
        name: String,
    },
    /// Bring in a key: hex, mnemonic or another tool's keystore file
    #[command(after_help = "\
Examples:
  iono wallet import --private-key-file key.hex
  iono wallet import cold --mnemonic-file words.txt --index 2
  iono wallet import old --keystore-file UTC--2026.json --keystore-passphrase-file old.pass")]
    Import(Import),
    /// All keys in the keystore
    #[command(after_help = "Examples:\n  iono wallet list\n  iono wallet list --json")]
    List,
    /// Address and file of one key
    #[command(after_help = "Examples:\n  iono wallet show\n  iono wallet show treasury --json")]
    Show {
        /// Name of the key; the default key if left out
        name: Option<String>,
    },
}

/// Where an imported key comes from.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// Name of the key
    #[arg(default_value = "main")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) source: ImportSource,
    /// Passphrase of the keystore file
    #[arg(long, value_name = "FILE", requires = "keystore_file")]
    pub(crate) keystore_passphrase_file: Option<PathBuf>,
    /// Which account of the mnemonic (m/44'/60'/0'/0/N)
    #[arg(long, value_name = "N", default_value_t = 0, requires = "mnemonic_file")]
    pub(crate) index: u32,
}

/// Exactly one of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ImportSource {
    /// File with 32 bytes in hex
    #[arg(long, value_name = "FILE")]
    pub(crate) private_key_file: Option<PathBuf>,
    /// File with a BIP-39 mnemonic
    #[arg(long, value_name = "FILE")]
    pub(crate) mnemonic_file: Option<PathBuf>,
    /// Keystore file of another tool (Web3 secret storage, version 3)
    #[arg(long, value_name = "FILE")]
    pub(crate) keystore_file: Option<PathBuf>,
}

/// Get test money on a devnet
///
/// Mints the devnet's test token to your key. SPON cannot be minted by anybody: on an Anvil devnet the deployer's is sent.
/// There an account that cannot pay for gas is given one ether as well.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  iono faucet
  iono faucet --amount 250 --token DUSD
  iono faucet --amount 5000 --token SPON")]
pub(crate) struct Faucet {
    /// Whole tokens
    #[arg(long, default_value = "100")]
    pub(crate) amount: String,
    /// Test token: symbol, number or address; the default token if left out
    #[arg(long)]
    pub(crate) token: Option<String>,
}

/// Your key's address, ether and tokens
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  iono account\n  iono account --key treasury --json")]
pub(crate) struct Account {}

/// Write a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  iono completions bash > ~/.local/share/bash-completion/completions/iono
  iono completions zsh > ~/.zfunc/_iono")]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: Shell,
}

/// Say what a code means: an exit code, a contract's error or a close reason
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  iono explain exit-codes
  iono explain close-reasons
  iono explain 0x846395ec0000000000000000000000000000000000000000000000000000000000000009")]
pub(crate) struct Explain {
    /// `exit-codes`, `close-reasons`, an exit code's number, or revert data in hex
    pub(crate) code: String,
}
