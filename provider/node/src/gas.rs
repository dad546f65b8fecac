//! Watches the hot key's gas: bids stop when a lease could not be paid for.

use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, U256};
use alloy::providers::Provider as _;
use iono_host::market::reader::ReadError;
use iono_host::node::Node;
use tokio_util::sync::CancellationToken;

/// How often it is looked at.
const TICK: Duration = Duration::from_secs(5);
/// How often until it was read once.
const STARTING: Duration = Duration::from_millis(200);
/// Gas that a lease may cost in all: bid, confirmation, close, settlement, cash-out, each with room to spare.
const GAS_OF_A_LEASE: u64 = 500_000;

/// Works until the token is cancelled.
pub async fn run(node: Arc<Node>, hot_key: Address, token: CancellationToken) {
    let mut wait = STARTING;
    loop {
        match look(&node, hot_key).await {
            Ok(()) => wait = TICK,
            Err(error) => tracing::debug!(%error, "the hot key's balance cannot be read"),
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = token.cancelled() => return,
        }
    }
}

/// The sender's own `gas` check rings below the configured balance.
async fn look(node: &Node, hot_key: Address) -> Result<(), ReadError> {
    let balance = node.reader.gas_of(hot_key).await?;
    let price = node.reader.provider().get_gas_price().await?;
    let needed = U256::from(price) * U256::from(GAS_OF_A_LEASE);
    let short =
        || format!("the hot key holds {balance} wei, a lease may take {needed} wei of gas; send it some");
    node.change_view(|view| view.voice = (balance < needed).then(short));
    Ok(())
}
