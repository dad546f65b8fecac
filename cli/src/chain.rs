//! The chain as the tool reads it: a connected RPC, the contracts of the address book, ranged logs.

use std::path::Path;
use std::time::Duration;

use alloy::primitives::{Address, B256, U256};
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::rpc::types::{Filter, Log};
use alloy::sol_types::SolEvent;
use iono_bindings::{
    AddressBook, IEscrow, IFoundationDelegation, ILeaseAccess, ILeaseBook, IMatchPolicy, IOrderBook,
    IPaymentTokens, IProviderRegistry, IStakingManager, errors,
};
use url::Url;

use crate::error::{Context, Failure, Kind, Result};

/// How long one RPC URL may take to answer before the next is tried.
const CONNECT: Duration = Duration::from_secs(10);
/// Widest range of one log query; narrowed when the RPC refuses it.
const LOG_RANGE: u64 = 500_000;

/// A connected chain.
#[derive(Clone)]
pub(crate) struct Chain {
    pub(crate) rpc: DynProvider,
    pub(crate) url: Url,
    pub(crate) book: AddressBook,
}

impl Chain {
    /// Connects to the first URL that answers and serves the address book's chain.
    pub(crate) async fn connect(urls: &[Url], book: &Path) -> Result<Self> {
        let book = AddressBook::load(book).map_err(|error| {
            Failure::new(Kind::Setup, crate::error::chain(&error)).hint("`iono init` names the address book")
        })?;
        let mut problems = Vec::new();
        for url in urls {
            let rpc = match connect(url).await {
                Ok(rpc) => rpc,
                Err(problem) => {
                    problems.push(format!("{url}: {problem}"));
                    continue;
                }
            };
            match tokio::time::timeout(CONNECT, rpc.get_chain_id()).await {
                Ok(Ok(id)) => {
                    book.check_chain(id).map_err(|error| Failure::new(Kind::Setup, error))?;
                    return Ok(Self { rpc, url: url.clone(), book });
                }
                Ok(Err(error)) => problems.push(format!("{url}: {}", crate::error::chain(&error))),
                Err(_) => {
                    problems.push(format!("{url}: no answer within {}", humantime::format_duration(CONNECT)))
                }
            }
        }
        Err(Failure::new(Kind::Rpc, format!("no RPC answers ({})", problems.join("; ")))
            .hint("is the chain running? --rpc names another one for this command"))
    }

    pub(crate) fn escrow(&self) -> IEscrow::IEscrowInstance<DynProvider> {
        IEscrow::new(self.book.escrow, self.rpc.clone())
    }

    pub(crate) fn order_book(&self) -> IOrderBook::IOrderBookInstance<DynProvider> {
        IOrderBook::new(self.book.order_book, self.rpc.clone())
    }

    pub(crate) fn lease_book(&self) -> ILeaseBook::ILeaseBookInstance<DynProvider> {
        ILeaseBook::new(self.book.lease_book, self.rpc.clone())
    }

    pub(crate) fn tokens(&self) -> IPaymentTokens::IPaymentTokensInstance<DynProvider> {
        IPaymentTokens::new(self.book.payment_tokens, self.rpc.clone())
    }

    pub(crate) fn registry(&self) -> IProviderRegistry::IProviderRegistryInstance<DynProvider> {
        IProviderRegistry::new(self.book.provider_registry, self.rpc.clone())
    }

    pub(crate) fn staking(&self) -> IStakingManager::IStakingManagerInstance<DynProvider> {
        IStakingManager::new(self.book.staking_manager, self.rpc.clone())
    }

    /// What holds the foundation's delegations.
    pub(crate) fn foundation(
        &self,
    ) -> Result<IFoundationDelegation::IFoundationDelegationInstance<DynProvider>> {
        let at = self.book.foundation_delegation.ok_or_else(|| {
            Failure::new(Kind::Setup, "the address book names no contract for the foundation's delegations")
                .hint("`iono admin deploy` adds what is missing and writes the book anew")
        })?;
        Ok(IFoundationDelegation::new(at, self.rpc.clone()))
    }

    pub(crate) fn policies(&self) -> IMatchPolicy::IMatchPolicyInstance<DynProvider> {
        IMatchPolicy::new(self.book.match_policy, self.rpc.clone())
    }

    pub(crate) fn access(&self) -> ILeaseAccess::ILeaseAccessInstance<DynProvider> {
        ILeaseAccess::new(self.book.lease_access, self.rpc.clone())
    }

    /// The newest block's number.
    pub(crate) async fn block_number(&self) -> Result<u64> {
        self.rpc.get_block_number().await.or_fail(Kind::Rpc, "cannot read the block number")
    }

    /// The newest block's number and time in unix seconds: the clock that leases go by.
    pub(crate) async fn head(&self) -> Result<(u64, u64)> {
        let block = self
            .rpc
            .get_block(alloy::eips::BlockId::latest())
            .await
            .or_fail(Kind::Rpc, "cannot read the newest block")?
            .ok_or_else(|| Failure::new(Kind::Rpc, "the RPC has no newest block"))?;
        Ok((block.header.number, block.header.timestamp))
    }

    /// All events `E` of a contract from block `from` on, filtered by up to three indexed values.
    pub(crate) async fn events<E: SolEvent>(
        &self,
        contract: Address,
        topics: [Option<B256>; 3],
        from: u64,
    ) -> Result<Vec<(E, Log)>> {
        let mut filter = Filter::new().address(contract).event_signature(E::SIGNATURE_HASH);
        let [first, second, third] = topics;
        if let Some(topic) = first {
            filter = filter.topic1(topic);
        }
        if let Some(topic) = second {
            filter = filter.topic2(topic);
        }
        if let Some(topic) = third {
            filter = filter.topic3(topic);
        }
        let logs = self.ranged(filter, from).await?;
        let decode = |log: Log| {
            let decoded = E::decode_log(&log.inner)
                .or_fail(Kind::Rpc, format_args!("the RPC returned a malformed {}", E::SIGNATURE))?;
            Ok((decoded.data, log))
        };
        logs.into_iter().map(decode).collect()
    }

    /// All logs of a contract since it was deployed.
    pub(crate) async fn logs(&self, contract: Address) -> Result<Vec<Log>> {
        self.ranged(Filter::new().address(contract), self.book.start_block).await
    }

    /// Logs from block `from` on, in ranges that the RPC bears.
    async fn ranged(&self, filter: Filter, from: u64) -> Result<Vec<Log>> {
        let head = self.block_number().await?;
        let mut found = Vec::new();
        let (mut start, mut width) = (from, LOG_RANGE);
        while start <= head {
            let end = head.min(start.saturating_add(width - 1));
            match self.rpc.get_logs(&filter.clone().from_block(start).to_block(end)).await {
                Ok(logs) => {
                    found.extend(logs.into_iter().filter(|log| !log.removed));
                    start = end + 1;
                }
                // Public RPCs bound the range, each by another number and message.
                Err(error) if width > 500 && error.as_error_resp().is_some() => width /= 8,
                Err(error) => return Err(error).or_fail(Kind::Rpc, "cannot read the chain's logs"),
            }
        }
        Ok(found)
    }

    /// `events` since the contracts were deployed.
    pub(crate) async fn all_events<E: SolEvent>(
        &self,
        contract: Address,
        topics: [Option<B256>; 3],
    ) -> Result<Vec<(E, Log)>> {
        self.events(contract, topics, self.book.start_block).await
    }
}

/// An id as an indexed value of an event.
pub(crate) fn topic(id: impl Into<U256>) -> Option<B256> {
    Some(B256::from(id.into()))
}

async fn connect(url: &Url) -> std::result::Result<DynProvider, String> {
    let connected = tokio::time::timeout(CONNECT, ProviderBuilder::new().connect(url.as_str())).await;
    match connected {
        Ok(Ok(provider)) => {
            provider.client().set_poll_interval(Duration::from_millis(250));
            Ok(provider.erased())
        }
        Ok(Err(error)) => Err(crate::error::chain(&error)),
        Err(_) => Err(format!("no connection within {}", humantime::format_duration(CONNECT))),
    }
}

/// A failed view call in words: a revert is explained, all else is the RPC's fault.
pub(crate) fn call_failure(doing: &str, error: &alloy::contract::Error) -> Failure {
    match errors::revert_in(error) {
        Some(explained) => refused(doing, &explained),
        None => Failure::new(Kind::Rpc, format!("{doing}: {}", crate::error::chain(error))),
    }
}

/// A contract's refusal in words; what is about money or missing records has an exit code of its own.
pub(crate) fn refused(doing: &str, explained: &errors::Explained) -> Failure {
    let kind = match explained.code.as_str() {
        "Escrow_Insufficient"
        | "OrderBook_BelowMinimumDeposit"
        | "OrderBook_BeyondBracket"
        | "LeaseBook_BeyondBracket"
        | "ERC20InsufficientBalance" => Kind::Funds,
        "Escrow_UnknownWallet" | "ProviderRegistry_UnknownProvider" | "ProviderRegistry_UnknownProposal" => {
            Kind::NotFound
        }
        _ => Kind::Refused,
    };
    let failure = Failure::new(kind, format!("{doing}: {} [{}]", explained.what, explained.code));
    if explained.hint.is_empty() { failure } else { failure.hint(&explained.hint) }
}

/// Turns a view call's error into a [`Failure`].
pub(crate) trait Call<T> {
    fn or_call(self, doing: &str) -> Result<T>;
}

impl<T> Call<T> for std::result::Result<T, alloy::contract::Error> {
    fn or_call(self, doing: &str) -> Result<T> {
        self.map_err(|error| call_failure(doing, &error))
    }
}
