//! What every command starts from: options, configuration and, when asked for, chain and key.

use std::path::Path;

use alloy::primitives::Address;
use alloy::signers::local::PrivateKeySigner;

use crate::args::Global;
use crate::chain::{Call, Chain, topic};
use crate::error::{Failure, Kind, Result};
use crate::home::{Config, Home};
use crate::output::Output;
use crate::token::{Token, Tokens};
use crate::tx::Sender;
use crate::{keys, keys::KeyFile};

/// One run of the tool.
pub(crate) struct Context {
    pub(crate) global: Global,
    pub(crate) output: Output,
    pub(crate) home: Home,
    pub(crate) config: Config,
}

impl Context {
    pub(crate) fn new(global: Global) -> Result<Self> {
        let output = Output { json: global.json, quiet: global.quiet };
        let home = Home::find(global.home.as_deref())?;
        let config = home.config()?;
        Ok(Self { global, output, home, config })
    }

    /// Connects to the chain.
    pub(crate) async fn chain(&self) -> Result<Chain> {
        let urls = if self.global.rpc.is_empty() { &self.config.rpc } else { &self.global.rpc };
        let book = self.global.address_book.as_ref().or(self.config.address_book.as_ref());
        match book {
            Some(book) if !urls.is_empty() => Chain::connect(urls, book).await,
            _ => {
                let missing = if urls.is_empty() { "no RPC" } else { "no address book" };
                Err(Failure::new(Kind::Setup, format!("{missing} is configured"))
                    .hint("run `iono init --rpc URL --address-book FILE` first"))
            }
        }
    }

    /// The key file that signs.
    pub(crate) fn key(&self) -> Result<KeyFile> {
        keys::choose(&self.home, self.global.key.as_deref(), self.config.keystore.as_deref())
    }

    /// The key that signs, decrypted.
    pub(crate) async fn signer(&self) -> Result<PrivateKeySigner> {
        let key = self.key()?;
        let passphrase = keys::passphrase(&self.home, self.global.passphrase_file.as_deref())?;
        keys::unlock(&key, &passphrase).await
    }

    /// The address of the key, without its passphrase where the file names it.
    pub(crate) async fn address(&self) -> Result<Address> {
        match keys::address(&self.key()?)? {
            Some(address) => Ok(address),
            None => Ok(self.signer().await?.address()),
        }
    }

    /// What signs and sends.
    pub(crate) async fn sender(&self, chain: &Chain) -> Result<Sender> {
        let signer = self.signer().await?;
        Ok(Sender::new(chain.clone(), signer, self.output, self.global.dry_run, self.global.receipt_timeout))
    }

    /// The payment token asked for, else the configured one, else the only one besides SPON.
    pub(crate) fn pick_token<'a>(&self, tokens: &'a Tokens, asked: Option<&str>) -> Result<&'a Token> {
        match asked.or(self.config.token.as_deref()) {
            Some(text) => tokens.find(text),
            None => tokens.default(),
        }
    }

    /// The escrow wallet asked for or configured.
    pub(crate) fn wallet(&self, asked: Option<u64>) -> Option<u64> {
        asked.or(self.config.wallet)
    }

    /// The one escrow wallet to act on: asked for, configured, or the only one that `owner` has.
    pub(crate) async fn one_wallet(&self, chain: &Chain, owner: Address, asked: Option<u64>) -> Result<u64> {
        if let Some(wallet) = self.wallet(asked) {
            return Ok(wallet);
        }
        match wallets_of(chain, owner).await?.as_slice() {
            [] => Err(Failure::new(Kind::NotFound, format!("{owner} has no escrow wallet"))
                .hint("`iono deposit AMOUNT` opens one")),
            [only] => Ok(*only),
            several => {
                let list: Vec<String> = several.iter().map(ToString::to_string).collect();
                Err(Failure::new(
                    Kind::Usage,
                    format!("{owner} has several escrow wallets: {}", list.join(", ")),
                )
                .hint("say which with --wallet N, or set `wallet` in config.toml"))
            }
        }
    }

    /// Reads a file that the user named.
    pub(crate) fn read(&self, path: &Path, kind: Kind) -> Result<String> {
        crate::files::read_text(path, kind)
    }
}

/// The escrow wallets that an account owns now, lowest first, from the chain's logs alone.
pub(crate) async fn wallets_of(chain: &Chain, owner: Address) -> Result<Vec<u64>> {
    use iono_bindings::IEscrow::{WalletCreated, WalletTransferred};
    let indexed = Some(owner.into_word());
    let (created, received) = tokio::try_join!(
        chain.all_events::<WalletCreated>(chain.book.escrow, [None, indexed, None]),
        chain.all_events::<WalletTransferred>(chain.book.escrow, [None, None, indexed]),
    )?;
    let created = created.into_iter().map(|(event, _)| event.wallet);
    let mut wallets: Vec<u64> = created
        .chain(received.into_iter().map(|(event, _)| event.wallet))
        .map(|id| id.saturating_to())
        .collect();
    wallets.sort_unstable();
    wallets.dedup();
    let escrow = chain.escrow();
    let mut owned = Vec::new();
    for wallet in wallets {
        let owner_now = escrow
            .ownerOf(alloy::primitives::U256::from(wallet))
            .call()
            .await
            .or_call("cannot read a wallet's owner")?;
        if owner_now == owner {
            owned.push(wallet);
        }
    }
    Ok(owned)
}

/// The topic of a wallet's id.
pub(crate) fn wallet_topic(wallet: u64) -> Option<alloy::primitives::B256> {
    topic(alloy::primitives::U256::from(wallet))
}
