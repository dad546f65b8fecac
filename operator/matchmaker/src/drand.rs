//! Seeds of a market that takes them from a drand network: matchmakers bring them, as nobody else has to. The contract
//! verifies each round, so that it may come from any relay.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloy::contract::Error as ContractError;
use alloy::eips::BlockId;
use alloy::primitives::{Address, U256, hex, keccak256};
use alloy::providers::{DynProvider, Provider as _};
use alloy::sol_types::SolCall as _;
use alloy::transports::RpcError;
use anyhow::{Context as _, Result, bail, ensure};
use iono_bindings::{IDrandRandomness, Network};
use iono_bls::Signature;
use iono_telemetry::fail_point;
use reqwest::{Client, redirect};
use serde::Deserialize;
use tokio::sync::OnceCell;

use crate::keeper::{Keeper, Outcome};

const TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a relay's answer at most.
const ANSWER_BYTES: u64 = 4096;

/// A relay of the network.
pub(crate) struct Drand {
    url: String,
    client: Client,
    network: OnceCell<Network>,
}

/// What a relay says of a round, as far as it matters.
#[derive(Debug, Deserialize)]
struct Round {
    round: u64,
    /// Hexadecimal, without a prefix.
    signature: String,
}

/// Whether a market's seeds are drand's.
pub(crate) async fn is_source(provider: &DynProvider, randomness: Address) -> Result<bool> {
    match IDrandRandomness::new(randomness, provider).network().call().await {
        Ok(_) => Ok(true),
        // A contract that knows no network refuses the question.
        Err(ContractError::TransportError(RpcError::ErrorResp(_))) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Refuses a configuration that is not the market's.
pub(crate) fn must_fit(is_source: bool, has_relay: bool) -> Result<()> {
    match (is_source, has_relay) {
        (true, false) => bail!("this market's seeds are drand's: set keeper.drand to the URL of a relay"),
        (false, true) => bail!("this market's seeds are block hashes: remove keeper.drand"),
        _ => Ok(()),
    }
}

impl Drand {
    pub(crate) fn new(url: &str) -> Result<Self> {
        let client = Client::builder().timeout(TIMEOUT).redirect(redirect::Policy::none()).build()?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), client, network: OnceCell::new() })
    }

    /// Number of the newest round.
    pub(crate) async fn latest(&self) -> Result<u64> {
        Ok(self.ask("latest").await?.round)
    }

    /// Brings the seed of a block, unless somebody did, as soon as its round is out.
    pub(crate) async fn bring(&self, keeper: &Keeper, block: u64) -> Outcome {
        self.try_bring(keeper, block).await.unwrap_or_else(|error| {
            tracing::warn!(block, error = format!("{error:#}"), "no seed of this block yet; trying again");
            Outcome::Later
        })
    }

    async fn try_bring(&self, keeper: &Keeper, block: u64) -> Result<Outcome> {
        let randomness = IDrandRandomness::new(keeper.book.randomness, &keeper.provider);
        let network = self.network.get_or_try_init(|| async { randomness.network().call().await }).await?;
        let header = keeper.provider.get_block_by_number(block.into()).await?;
        let header = header.context("the block is not there")?.header;
        let encoded = alloy::rlp::encode(&header.inner);
        ensure!(
            keccak256(&encoded) == header.hash,
            "its header has other fields than those of Ethereum's blocks"
        );

        let round = round_of(network, header.timestamp);
        tokio::time::sleep(until(network, round)).await;
        keeper.wait_a_little().await;
        let seed = randomness.seedOf(U256::from(block)).block(BlockId::pending()).call().await;
        if seed.is_ok() {
            return Ok(Outcome::Done);
        }
        let signature = self.signature(round).await?;
        fail_point("matchmaker.before_seed");
        let call = IDrandRandomness::submitCall {
            header: encoded.into(),
            signature: signature.to_bytes().to_vec().into(),
        };
        let outcome =
            keeper.send(&format!("seed:{block}"), keeper.book.randomness, call.abi_encode().into()).await;
        fail_point("matchmaker.after_seed");
        Ok(outcome)
    }

    async fn signature(&self, round: u64) -> Result<Signature> {
        let answer = self.ask(&round.to_string()).await?;
        ensure!(answer.round == round, "the relay answered with round {} instead of {round}", answer.round);
        let bytes = hex::decode_to_array(&answer.signature).context("the relay's signature is none")?;
        Ok(Signature::from_compressed(&bytes)?)
    }

    async fn ask(&self, what: &str) -> Result<Round> {
        let asked = async {
            let response = self.client.get(format!("{}/public/{what}", self.url)).send().await?;
            response.error_for_status()
        };
        let mut response = asked.await.map_err(|error| error.without_url()).context("the relay of drand")?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| error.without_url())? {
            body.extend_from_slice(&chunk);
            ensure!(body.len() as u64 <= ANSWER_BYTES, "the relay of drand answers without end");
        }
        serde_json::from_slice(&body).context("the relay of drand answers something else than a round")
    }
}

/// The first round that comes out more than the delay after a block; the twin of `DrandRandomness.roundOf`.
fn round_of(network: &Network, timestamp: u64) -> u64 {
    let (genesis, period): (u64, u64) = (network.genesis.to(), network.period.to());
    match (timestamp + network.delay.to::<u64>()).checked_sub(genesis) {
        Some(since) => since / period + 2,
        None => 1,
    }
}

/// Time until a round is out, by this machine's clock.
fn until(network: &Network, round: u64) -> Duration {
    let out = network.genesis.to::<u64>() + (round - 1) * network.period.to::<u64>();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_secs(out).saturating_sub(now)
}

#[cfg(test)]
mod tests {
    use alloy::primitives::aliases::U40;

    use super::*;

    fn network() -> Network {
        let number = U40::from::<u64>;
        Network { key: vec![].into(), genesis: number(1_692_803_367), period: number(3), delay: number(6) }
    }

    /// The cases of `DrandRandomness.t.sol`: a block's last second for a round, and the one after.
    #[test]
    fn rounds_come_out_after_their_blocks() {
        let network = network();
        for round in [1_u64, 2, 1000, 32_398_885] {
            let last = 1_692_803_367 + (round - 1) * 3 - 6 - 1;
            assert_eq!([last, last + 1].map(|time| round_of(&network, time)), [round, round + 1]);
        }
        assert_eq!(round_of(&network, 0), 1);
        assert_eq!(until(&network, 1000), Duration::ZERO);
        assert!(until(&network, 1 << 40) > Duration::from_secs(1 << 40));
    }

    #[test]
    fn only_the_markets_own_source_fits() {
        assert!(must_fit(true, true).is_ok() && must_fit(false, false).is_ok());
        assert!(must_fit(true, false).unwrap_err().to_string().contains("keeper.drand"));
        assert!(must_fit(false, true).unwrap_err().to_string().contains("block hashes"));
    }
}
