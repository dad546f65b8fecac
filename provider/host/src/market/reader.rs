//! Reads the contracts' present state for the daemon and the commands. Nothing here is cached; an error says that the
//! chain could not be asked and never that something is not there.

use alloy::eips::BlockNumberOrTag;
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::providers::{DynProvider, Provider as _};
use alloy::rpc::types::Filter;
use alloy::sol_types::SolEventInterface as _;
use alloy::transports::TransportError;
use iono_bindings::ILeaseBook::ILeaseBookEvents;
use iono_bindings::IOrderBook::IOrderBookEvents;
use iono_bindings::{
    AddressBook, BidWord, IERC20, IEscrow, ILeaseAccess, ILeaseBook, IMatchPolicy, IOrderBook,
    IPaymentTokens, IProviderRegistry, IStakingManager, LeaseWords, ProfileWord, ProviderRecord, TokenWord,
};
use iono_primitives::{LeaseId, LeaseState, OrderId, ProviderId, TokenId, WalletId};

use super::lease::Facts;
use super::order::LeaseSpec;

/// An order is resolved within so many blocks after it closed, or never: its event lies no deeper before its lease's.
const ORDER_AGE: u64 = 8_191 + 300;

/// The chain could not be asked, or did not answer as the contracts would.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The RPC failed.
    #[error("the chain cannot be read: {0}")]
    Rpc(#[from] TransportError),
    /// A contract refused or is not there.
    #[error("the chain cannot be read: {0}")]
    Contract(String),
    /// The logs of a lease do not hold its order.
    #[error(
        "the order of lease {0} is not in the chain's logs; the RPC may have pruned them, use one with full logs"
    )]
    NoOrder(LeaseId),
}

impl From<alloy::contract::Error> for ReadError {
    fn from(error: alloy::contract::Error) -> Self {
        match iono_bindings::revert_in(&error) {
            Some(explained) => Self::Contract(explained.to_string()),
            None => Self::Contract(error.to_string()),
        }
    }
}

/// The newest block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// Its number.
    pub number: u64,
    /// Its unix time in seconds.
    pub timestamp: u64,
}

/// The contracts of one deployment.
#[derive(Clone)]
pub struct Reader {
    provider: DynProvider,
    book: AddressBook,
    max_range: u64,
}

impl Reader {
    /// Reads through `provider`; `max_range` is the most blocks that it is asked for logs of at once.
    #[must_use]
    pub fn new(provider: DynProvider, book: AddressBook, max_range: u64) -> Self {
        Self { provider, book, max_range: max_range.max(1) }
    }

    /// Where the contracts are.
    #[must_use]
    pub fn book(&self) -> &AddressBook {
        &self.book
    }

    /// The connection itself.
    #[must_use]
    pub fn provider(&self) -> &DynProvider {
        &self.provider
    }

    /// The most blocks that are asked for logs of at once.
    #[must_use]
    pub fn max_range(&self) -> u64 {
        self.max_range
    }

    fn registry(&self) -> IProviderRegistry::IProviderRegistryInstance<&DynProvider> {
        IProviderRegistry::new(self.book.provider_registry, &self.provider)
    }
    fn leases(&self) -> ILeaseBook::ILeaseBookInstance<&DynProvider> {
        ILeaseBook::new(self.book.lease_book, &self.provider)
    }
    fn orders(&self) -> IOrderBook::IOrderBookInstance<&DynProvider> {
        IOrderBook::new(self.book.order_book, &self.provider)
    }
    fn escrow(&self) -> IEscrow::IEscrowInstance<&DynProvider> {
        IEscrow::new(self.book.escrow, &self.provider)
    }
    fn tokens(&self) -> IPaymentTokens::IPaymentTokensInstance<&DynProvider> {
        IPaymentTokens::new(self.book.payment_tokens, &self.provider)
    }

    /// The newest block.
    ///
    /// # Errors
    /// [`ReadError`], as everywhere here.
    pub async fn head(&self) -> Result<Head, ReadError> {
        let block = self.provider.get_block_by_number(BlockNumberOrTag::Latest).await?;
        let block = block.ok_or_else(|| ReadError::Contract("the RPC has no latest block".to_owned()))?;
        Ok(Head { number: block.header.number, timestamp: block.header.timestamp })
    }

    /// Native balance in wei.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn gas_of(&self, account: Address) -> Result<U256, ReadError> {
        Ok(self.provider.get_balance(account).await?)
    }

    /// The profile of the provider whose hot key this is; id 0 when there is none.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn profile_of(&self, hot_key: Address) -> Result<ProfileWord, ReadError> {
        Ok(ProfileWord::read([self.registry().profileOf(hot_key).call().await?]))
    }

    /// A provider's profile, through the hot key that its record names.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn profile(&self, provider: ProviderId) -> Result<ProfileWord, ReadError> {
        self.profile_of(self.record(provider).await?.hotKey).await
    }

    /// Who holds a provider's stake and account.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn owner_of(&self, provider: ProviderId) -> Result<Address, ReadError> {
        Ok(self.registry().ownerOf(provider.into()).call().await?)
    }

    /// The registry's record.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn record(&self, provider: ProviderId) -> Result<ProviderRecord, ReadError> {
        Ok(self.registry().record(provider.into()).call().await?)
    }

    /// The present and the next TLS pin.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn pins(&self, provider: ProviderId) -> Result<(B256, B256), ReadError> {
        let next = self.registry().nextPin(provider.into()).call().await?;
        Ok((self.record(provider).await?.pin, next))
    }

    /// Own and counted stake in SPON wei, and what the tier asks for.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn stake_of(&self, provider: ProviderId, tier: u8) -> Result<(U256, U256, U256), ReadError> {
        let manager = IStakingManager::new(self.book.staking_manager, &self.provider);
        let stake = manager.stakeOf(provider.into()).call().await?;
        let wanted = manager.tierStake(U256::from(tier)).call().await?;
        Ok((stake.own, stake.counted, wanted))
    }

    /// A payment token's word.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn token(&self, token: TokenId) -> Result<TokenWord, ReadError> {
        Ok(TokenWord::read([self.tokens().tokenWord(token.into()).call().await?]))
    }

    /// All payment tokens' words, by id.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn all_tokens(&self) -> Result<Vec<TokenWord>, ReadError> {
        let count: u64 = self.tokens().tokenCount().call().await?.saturating_to();
        let mut words = Vec::new();
        for id in 0..count.min(48) {
            words.push(self.token(TokenId(id as u16)).await?);
        }
        Ok(words)
    }

    /// The ERC-20 contract of a payment token.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn asset_of(&self, token: TokenId) -> Result<Address, ReadError> {
        Ok(self.tokens().assetOf(token.into()).call().await?)
    }

    /// Symbol of a payment token; its id when the contract does not tell.
    pub async fn symbol(&self, token: TokenId) -> String {
        let asset = async {
            let asset = self.asset_of(token).await.ok()?;
            IERC20::new(asset, &self.provider).symbol().call().await.ok()
        };
        asset.await.unwrap_or_else(|| format!("token {token}"))
    }

    /// A payee's ledger in the token's smallest unit, before the fee.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn ledger_of(&self, provider: ProviderId, token: TokenId) -> Result<U256, ReadError> {
        Ok(self.escrow().ledgerOf(provider.into(), token.into()).call().await?.net)
    }

    /// Where a provider's cash-outs go, and its own account.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn payout_of(&self, provider: ProviderId) -> Result<(Address, Address), ReadError> {
        let payout = self.escrow().payoutOf(provider.into()).call().await?;
        Ok((payout, self.registry().accountOf(provider.into()).call().await?))
    }

    /// The stored bids of an order.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn bids(&self, order: OrderId) -> Result<Vec<BidWord>, ReadError> {
        let bids = self.orders().bidsOf(order.into()).call().await?;
        Ok(bids.into_iter().map(|bid| BidWord::read([bid])).collect())
    }

    /// Who would win an order now; id 0 when nobody bid.
    ///
    /// # Errors
    /// [`ReadError`], also while the seed is not there yet.
    pub async fn winner_of(&self, order: OrderId) -> Result<BidWord, ReadError> {
        Ok(BidWord::read([self.orders().winnerOf(order.into()).call().await?.bid]))
    }

    /// The weights of a match policy.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn weights(&self, policy: u16) -> Result<U256, ReadError> {
        let policies = IMatchPolicy::new(self.book.match_policy, &self.provider);
        Ok(policies.weightsOf(U256::from(policy)).call().await?)
    }

    /// Seconds that a settlement stays behind.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn holdback(&self) -> Result<u64, ReadError> {
        Ok(self.leases().holdback().call().await?.saturating_to())
    }

    /// A lease's words; their state is `None` when the chain has no such lease.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn lease_words(&self, lease: LeaseId) -> Result<LeaseWords, ReadError> {
        let words = self.leases().leaseWords(lease.into()).call().await?;
        Ok(LeaseWords::read([words.word0, words.word1]))
    }

    /// What the chain says of a lease that was created about block `created`; `None` when it has no such lease. `known` is what was read before and still
    /// holds: then only what is newer is read from the logs.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn facts(
        &self,
        lease: LeaseId,
        created: u64,
        known: Option<&Facts>,
    ) -> Result<Option<Facts>, ReadError> {
        let head = self.provider.get_block_number().await?;
        let words = self.lease_words(lease).await?;
        if words.lease_state() == Some(LeaseState::None) {
            return Ok(None);
        }
        let unchanged = known.filter(|known| known.words.manifest_version == words.manifest_version);
        if let Some(known) = unchanged {
            return Ok(Some(Facts { words, ..known.clone() }));
        }
        let from = known
            .map_or(created.saturating_sub(ORDER_AGE).max(self.book.start_block), |known| known.read_to + 1);
        let mut terms = known.map(|known| (known.spec.clone(), known.manifest_hash));
        self.read_terms(lease, from, head, &mut terms).await?;
        let (spec, manifest_hash) = terms.ok_or(ReadError::NoOrder(lease))?;
        Ok(Some(Facts { words, spec, manifest_hash, read_to: head }))
    }

    /// Follows a lease's terms through the logs of blocks `from` to `head`.
    async fn read_terms(
        &self,
        lease: LeaseId,
        mut from: u64,
        head: u64,
        terms: &mut Option<(LeaseSpec, B256)>,
    ) -> Result<(), ReadError> {
        let topic = B256::from(U256::from(lease.0));
        while from <= head {
            let to = head.min(from + self.max_range - 1);
            let filter = Filter::new()
                .address(vec![self.book.order_book, self.book.lease_book])
                .topic1(topic)
                .from_block(from)
                .to_block(to);
            for log in self.provider.get_logs(&filter).await? {
                let log = log.inner;
                let changed = if log.address == self.book.order_book {
                    match IOrderBookEvents::decode_log(&log).map(|log| log.data) {
                        Ok(IOrderBookEvents::OrderCreated(event)) => LeaseSpec::read(&event.spec).ok(),
                        _ => None,
                    }
                } else {
                    match ILeaseBookEvents::decode_log(&log).map(|log| log.data) {
                        Ok(ILeaseBookEvents::LeaseUpdated(event)) => LeaseSpec::read(&event.spec).ok(),
                        Ok(ILeaseBookEvents::ManifestChanged(event)) => {
                            if let Some((_, hash)) = terms {
                                *hash = event.manifestHash;
                            }
                            None
                        }
                        _ => None,
                    }
                };
                if let Some(spec) = changed {
                    let hash = spec.manifest_hash;
                    *terms = Some((spec, hash));
                }
            }
            from = to + 1;
        }
        Ok(())
    }

    /// What an account may do with a wallet's leases: read, write, and the wallet's nonce.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn access(&self, wallet: WalletId, account: Address) -> Result<(bool, bool, u64), ReadError> {
        let contract = ILeaseAccess::new(self.book.lease_access, &self.provider);
        let access = contract.access(wallet.into(), account).call().await?;
        Ok((access.read, access.write, access.nonce.saturating_to()))
    }

    /// Asks a contract wallet whether a signature is its own (ERC-1271); an account without code says no.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn is_valid_signature(
        &self,
        account: Address,
        hash: B256,
        signature: &[u8],
    ) -> Result<bool, ReadError> {
        let wallet = IERC1271::new(account, &self.provider);
        match wallet.isValidSignature(hash, Bytes::copy_from_slice(signature)).call().await {
            Ok(answer) => Ok(answer == IERC1271::isValidSignatureCall::SELECTOR),
            Err(alloy::contract::Error::TransportError(error)) if error.as_error_resp().is_none() => {
                Err(error.into())
            }
            // No code, or the wallet refused.
            Err(_) => Ok(false),
        }
    }
}

mod erc1271 {
    //! The one function of a contract wallet that is asked.
    #![allow(missing_docs, unreachable_pub)]
    alloy::sol! {
        #[sol(rpc)]
        interface IERC1271 {
            function isValidSignature(bytes32 hash, bytes signature) external view returns (bytes4);
        }
    }
}
use alloy::sol_types::SolCall as _;
use erc1271::IERC1271;
