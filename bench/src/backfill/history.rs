//! A long history on a real Anvil: a contract that emits as many `BidPlaced` events as it is told to, and blocks between
//! its transactions. Before EIP-2935 (Cancun), where every block does not make the next one dearer for Anvil.

use std::process::Command;

use alloy::node_bindings::{Anvil, AnvilInstance};
use alloy::primitives::{Address, Bytes, U256, address, hex};
use alloy::providers::ext::AnvilApi;
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::rpc::types::TransactionRequest;
use alloy::sol_types::SolEvent;
use anyhow::{Result, ensure};
use iono_bindings::IOrderBook;

/// The history's highest block.
pub(super) const BLOCKS: u64 = 100_000;
/// Its events.
pub(super) const EVENTS: usize = 50_000;
/// Where the events come from.
pub(super) const CONTRACT: Address = address!("00000000000000000000000000000000000b1d5a");

const TRANSACTIONS: u64 = 2_500;
const EVENTS_EACH: u64 = EVENTS as u64 / TRANSACTIONS;
const BLOCKS_EACH: u64 = BLOCKS / TRANSACTIONS;

/// for (i = calldata[0]; i > 0; i--) log3(i and 64 bytes of zeros, topic calldata[1], block number, i)
const EMITTER: [u8; 24] = hex!("5f355b805f52804360203560605fa3600190038060025700");

/// The chain that holds it; it ends when this is dropped.
pub(super) struct History {
    anvil: AnvilInstance,
}

impl History {
    /// Mines it, which takes some ten seconds.
    pub(super) async fn build() -> Result<Self> {
        let builder = Anvil::at(iono_testkit::paths::foundry("anvil")?).port(0_u16).timeout(60_000).args([
            "--hardfork",
            "cancun",
            "--prune-history",
        ]);
        let anvil = tokio::task::spawn_blocking(move || builder.try_spawn()).await??;
        let chain =
            ProviderBuilder::new().disable_recommended_fillers().connect_http(anvil.endpoint_url()).erased();
        chain.anvil_set_code(CONTRACT, Bytes::from_static(&EMITTER)).await?;

        let call = [U256::from(EVENTS_EACH).to_be_bytes(), IOrderBook::BidPlaced::SIGNATURE_HASH.0].concat();
        let emit = TransactionRequest::default()
            .from(anvil.addresses()[0])
            .to(CONTRACT)
            .input(Bytes::from(call).into())
            .gas_limit(200_000);
        for _ in 0..TRANSACTIONS {
            // Anvil's own account: nothing to sign. It is mined by itself or with the blocks that follow.
            let _: alloy::primitives::B256 =
                chain.raw_request("eth_sendTransaction".into(), (&emit,)).await?;
            chain.anvil_mine(Some(BLOCKS_EACH - 1), None).await?;
        }
        fill_up(&chain).await?;
        Ok(Self { anvil })
    }

    /// From now on Anvil computes on the first core alone.
    pub(super) fn keep_to_one_core(&self) -> Result<()> {
        let pid = self.anvil.child().id().to_string();
        let output =
            Command::new("taskset").args(["--all-tasks", "--cpu-list", "--pid", "0", &pid]).output()?;
        ensure!(output.status.success(), "taskset: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    pub(super) fn url(&self) -> String {
        self.anvil.endpoint()
    }

    pub(super) fn chain_id(&self) -> u64 {
        self.anvil.chain_id()
    }
}

/// Mines what is missing to the last block.
async fn fill_up(chain: &DynProvider) -> Result<()> {
    let head = chain.get_block_number().await?;
    ensure!(head <= BLOCKS, "Anvil mined {head} blocks");
    if head < BLOCKS {
        chain.anvil_mine(Some(BLOCKS - head), None).await?;
    }
    Ok(())
}
