//! Anvil with the market deployed on it, and what a test does there most: money, providers, orders, bids.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use alloy::primitives::{Address, B256, Bytes, U256, Uint};
use alloy::providers::Provider as _;
use alloy::providers::ext::AnvilApi;
use alloy::rpc::types::{TransactionReceipt, TransactionRequest};
use alloy::signers::local::PrivateKeySigner;
use anyhow::{Context, Result, ensure};
use iono_bindings::{
    AddressBook, FizzOffer, IDevDollar, IERC20, IEscrow, IFizzRegistry, ILeaseBook, IOrderBook,
    IProviderRegistry, IStakingManager, LeaseWords, ProviderRecord, Spec, SubnetTerms, Terms, order_flags,
};
use iono_primitives::{FizzId, LeaseId, OrderId, ProviderId, Rate, Resources, TokenId, WalletId};
use tempfile::TempDir;

use crate::{Anvil, deployment};

/// Id of the test dollar.
const DOLLAR: TokenId = TokenId(1);

/// A chain with the market on it.
pub struct Devnet {
    /// The chain; account 0 deployed the contracts and administers them.
    pub anvil: Anvil,
    /// Where the contracts are.
    pub book: AddressBook,
    dir: TempDir,
}

/// What a test provider says of itself.
pub struct ProviderSetup {
    /// Owns the provider and its stake.
    pub owner: PrivateKeySigner,
    /// Bids and confirms.
    pub hot: PrivateKeySigner,
    /// What it offers.
    pub capacity: Resources,
    /// Area and zone.
    pub region: u16,
    /// Tiers and compliance bits.
    pub attributes: u32,
    /// SHA-256 of its lease API's SubjectPublicKeyInfo.
    pub pin: B256,
    /// `host:port` of its lease API.
    pub endpoint: String,
    /// Stake in whole SPON.
    pub stake: u64,
    /// Whether it is the gateway of light nodes.
    pub offers_fizz: bool,
}

impl ProviderSetup {
    /// A machine of 16 cores, 64 GiB and 1 TiB in `local` with the highest plain tiers.
    #[must_use]
    pub fn new(owner: PrivateKeySigner, hot: PrivateKeySigner) -> Self {
        Self {
            owner,
            hot,
            capacity: Resources { cpu: 16_000, memory: 65_536, storage: 1 << 20, ..Resources::default() },
            region: 0x0100,
            attributes: 0,
            pin: B256::repeat_byte(7),
            endpoint: "127.0.0.1:8443".to_owned(),
            stake: 1_000_000,
            offers_fizz: false,
        }
    }
}

impl Devnet {
    /// Mines a block for every transaction.
    ///
    /// # Errors
    /// When npm's packages are missing or the deployment fails.
    pub async fn start() -> Result<Self> {
        Self::with(None).await
    }

    /// Mines a block every `block_time`.
    ///
    /// # Errors
    /// As [`Devnet::start`].
    pub async fn with_block_time(block_time: Duration) -> Result<Self> {
        Self::with(Some(block_time)).await
    }

    async fn with(block_time: Option<Duration>) -> Result<Self> {
        let cached = deployment::cached().await?;
        let anvil = Anvil::with(block_time, None).await?;
        let state = fs::read(cached.join("state"))?;
        ensure!(
            anvil.provider().anvil_load_state(Bytes::from(state)).await?,
            "Anvil refused the cached state"
        );
        let book = AddressBook::load(cached.join("addresses.json"))?;
        Self::of(anvil, book).await
    }

    /// Deploys onto a chain that may have more on it already, with parameters of `Parameters.sol`.
    ///
    /// # Errors
    /// As [`Devnet::start`].
    pub async fn deployed_on(anvil: Anvil, parameters: &[(&str, String)]) -> Result<Self> {
        let book = deployment::run(&anvil, parameters).await?;
        Self::of(anvil, book).await
    }

    async fn of(anvil: Anvil, mut book: AddressBook) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        book.chain_id = alloy::providers::Provider::get_chain_id(anvil.provider()).await?;
        fs::write(dir.path().join("addresses.json"), serde_json::to_vec_pretty(&book)?)?;
        Ok(Self { anvil, book, dir })
    }

    /// The address book as a file, for daemons.
    #[must_use]
    pub fn book_path(&self) -> PathBuf {
        self.dir.path().join("addresses.json")
    }

    /// A folder that vanishes with the devnet, for what belongs to the test.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The key that deployed the contracts.
    #[must_use]
    pub fn admin(&self) -> PrivateKeySigner {
        self.anvil.key(0)
    }

    /// Address of the test dollar.
    ///
    /// # Errors
    /// When the RPC fails.
    pub async fn dollar(&self) -> Result<Address> {
        let tokens = iono_bindings::IPaymentTokens::new(self.book.payment_tokens, self.anvil.provider());
        Ok(tokens.assetOf(U256::from(DOLLAR.0)).call().await?)
    }

    /// Id of the test dollar.
    #[must_use]
    pub fn dollar_id(&self) -> TokenId {
        DOLLAR
    }

    /// Sends a call from `key` and waits until it is mined.
    ///
    /// # Errors
    /// With the revert in words when it fails.
    pub async fn send(
        &self,
        key: &PrivateKeySigner,
        to: Address,
        call: impl alloy::sol_types::SolCall,
    ) -> Result<TransactionReceipt> {
        let provider = self.anvil.signing(key);
        let request =
            TransactionRequest::default().from(key.address()).to(to).input(call.abi_encode().into());
        let explain = |error| match iono_bindings::revert_of(&error) {
            Some(explained) => anyhow::anyhow!("{}: {explained}", explained.code),
            None => error.into(),
        };
        // The estimate is of another second than the one that counts: a bill that is nothing then is written to two ledgers
        // later.
        let gas = provider.estimate_gas(request.clone()).await.map_err(explain)?;
        let sent = provider.send_transaction(request.gas_limit(gas + gas / 5 + 50_000)).await;
        let pending = sent.map_err(explain)?;
        let receipt = pending.with_timeout(Some(Duration::from_secs(30))).get_receipt().await?;
        ensure!(receipt.status(), "{} reverted", receipt.transaction_hash);
        Ok(receipt)
    }

    /// Gives `to` this many of the test dollar's smallest units.
    ///
    /// # Errors
    /// When the transaction fails.
    pub async fn mint(&self, to: Address, amount: u128) -> Result<()> {
        let dollar = self.dollar().await?;
        self.send(&self.admin(), dollar, IDevDollar::mintCall { to, amount: U256::from(amount) }).await?;
        Ok(())
    }

    /// Opens a wallet of `owner` with this many of the test dollar's smallest units in it.
    ///
    /// # Errors
    /// When a transaction fails.
    pub async fn wallet(&self, owner: &PrivateKeySigner, amount: u128) -> Result<WalletId> {
        self.mint(owner.address(), amount).await?;
        let (dollar, amount) = (self.dollar().await?, U256::from(amount));
        let receipt =
            self.send(owner, self.book.escrow, IEscrow::createWalletCall { owner: owner.address() }).await?;
        let created = receipt.decoded_log::<IEscrow::WalletCreated>().context("no WalletCreated")?;
        self.send(owner, dollar, IERC20::approveCall { spender: self.book.escrow, amount }).await?;
        let deposit = IEscrow::depositCall { wallet: created.wallet, token: U256::from(DOLLAR.0), amount };
        self.send(owner, self.book.escrow, deposit).await?;
        Ok(WalletId(created.wallet.to()))
    }

    /// Registers, approves and stakes a provider, and gives its keys ether.
    ///
    /// # Errors
    /// When a transaction fails.
    pub async fn provider(&self, setup: &ProviderSetup) -> Result<ProviderId> {
        for key in [&setup.owner, &setup.hot] {
            self.anvil.fund(key.address(), 100 * 10_u128.pow(18)).await?;
        }
        let registry = IProviderRegistry::new(self.book.provider_registry, self.anvil.provider());
        let record = ProviderRecord {
            hotKey: setup.hot.address(),
            region: setup.region,
            attributes: alloy::primitives::aliases::U24::from(setup.attributes),
            tokens: alloy::primitives::aliases::U48::from(u64::MAX >> 16),
            offersOwn: true,
            offersFizz: setup.offers_fizz,
            capacity: setup.capacity.word(),
            pin: setup.pin,
            endpoint: setup.endpoint.clone(),
        };
        let call = IProviderRegistry::proposeCall { record };
        let receipt = self.send(&setup.owner, self.book.provider_registry, call).await?;
        if !registry.autoApproval().call().await? {
            let proposed =
                receipt.decoded_log::<IProviderRegistry::ProviderProposed>().context("no proposal")?;
            let call = IProviderRegistry::approveCall { proposal: proposed.proposal };
            self.send(&self.admin(), self.book.provider_registry, call).await?;
        }
        let provider = registry.providerCount().call().await?;
        let tokens = U256::from(setup.stake) * U256::from(10).pow(U256::from(18));
        let call = IERC20::transferCall { to: setup.owner.address(), amount: tokens };
        self.send(&self.admin(), self.book.spon, call).await?;
        let call = IERC20::approveCall { spender: self.book.staking_manager, amount: tokens };
        self.send(&setup.owner, self.book.spon, call).await?;
        self.send(&setup.owner, self.book.staking_manager, IStakingManager::stakeCall { provider, tokens })
            .await?;
        Ok(ProviderId(provider.to()))
    }

    /// Founds a provider's subnet, open to everyone: light nodes get `share` basis points and delegate nothing.
    ///
    /// # Errors
    /// When a transaction fails.
    pub async fn subnet(&self, owner: &PrivateKeySigner, provider: ProviderId, share: u16) -> Result<()> {
        let registry = self.book.fizz_registry.context("no registry of light nodes")?;
        let terms = SubnetTerms { share, minDelegation: Uint::ZERO };
        self.send(owner, registry, IFizzRegistry::foundCall { provider: provider.into(), terms }).await?;
        let call = IFizzRegistry::setOpenCall { provider: provider.into(), open: true };
        self.send(owner, registry, call).await?;
        Ok(())
    }

    /// Registers a light node of `owner` with this key in an open subnet.
    ///
    /// # Errors
    /// When the transaction fails.
    pub async fn light_node(
        &self,
        owner: &PrivateKeySigner,
        provider: ProviderId,
        pin: B256,
    ) -> Result<FizzId> {
        let registry = self.book.fizz_registry.context("no registry of light nodes")?;
        let capacity = Resources { cpu: 4_000, memory: 8_192, storage: 1 << 16, ..Resources::default() };
        let offer = FizzOffer {
            capacity: capacity.word(),
            core: 1_000_000,
            gibMemory: 200_000,
            gibStorage: 10_000,
            gpu: 0,
        };
        let call = IFizzRegistry::registerCall {
            provider: provider.into(),
            payout: owner.address(),
            minShare: U256::ZERO,
            pin,
            offer,
        };
        let receipt = self.send(owner, registry, call).await?;
        let registered =
            receipt.decoded_log::<IFizzRegistry::FizzRegistered>().context("no FizzRegistered")?;
        Ok(FizzId(registered.fizz.to()))
    }

    /// Orders an hour of half a core at up to `max_rate` in test dollars.
    ///
    /// # Errors
    /// When the transaction fails.
    pub async fn order(&self, owner: &PrivateKeySigner, wallet: WalletId, max_rate: Rate) -> Result<OrderId> {
        let resources =
            Resources { cpu: 500, memory: 128, storage: 256, endpoints: 1, ..Resources::default() };
        let terms = Terms {
            wallet: alloy::primitives::aliases::U48::from(wallet.0),
            token: DOLLAR.0,
            duration: 3_600,
            maxRate: alloy::primitives::aliases::U80::from(max_rate.0),
            region: 0,
            requirements: alloy::primitives::aliases::U24::ZERO,
            flags: order_flags::PROVIDER,
        };
        let spec = Spec {
            resources: resources.word(),
            manifestHash: B256::repeat_byte(1),
            providers: U256::ZERO,
            groups: iono_primitives::Group::encode(&[iono_primitives::Group {
                count: 1,
                cpu: 500,
                memory: 128,
                ephemeral: 256,
                ..Default::default()
            }])
            .into(),
        };
        let receipt =
            self.send(owner, self.book.order_book, IOrderBook::createOrderCall { terms, spec }).await?;
        let created = receipt.decoded_log::<IOrderBook::OrderCreated>().context("no OrderCreated")?;
        Ok(OrderId(created.order.to()))
    }

    /// What the chain knows of a lease.
    ///
    /// # Errors
    /// When the RPC fails.
    pub async fn lease(&self, lease: LeaseId) -> Result<LeaseWords> {
        let words = ILeaseBook::new(self.book.lease_book, self.anvil.provider())
            .leaseWords(lease.into())
            .call()
            .await?;
        Ok(LeaseWords::read([words.word0, words.word1]))
    }

    /// Bids for an order with a provider's hot key.
    ///
    /// # Errors
    /// When the transaction fails.
    pub async fn bid(&self, hot: &PrivateKeySigner, order: OrderId, rate: Rate) -> Result<()> {
        let rate = alloy::primitives::aliases::U80::from(rate.0);
        let call = IOrderBook::placeBidCall { order: order.into(), rate, fizz: 0 };
        self.send(hot, self.book.order_book, call).await?;
        Ok(())
    }
}
