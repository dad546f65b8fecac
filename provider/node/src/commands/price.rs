//! `provider price`: prices an order that the owner describes, as the daemon would, and shows what a script said. It asks
//! neither the chain nor a running daemon.

use alloy::primitives::Address;
use anyhow::Result;
use iono_primitives::{OrderId, Region, StorageClass, TokenId};
use serde_json::{Value, json};

use super::output;
use crate::cli::{Common, Described};
use iono_host::config::Config;
use iono_host::config::values::Dollars;
use iono_host::machine;
use iono_host::pricing::{Allocation, LONGEST, Purpose, Request, Said, Token};

/// Shows the price, or why there is none.
///
/// # Errors
/// When this machine cannot be measured: what is priced is its class of disk.
pub async fn run(common: &Common, config: &Config, described: &Described) -> Result<()> {
    let class = machine::of_this(config)?.storage_class;
    let request = request(config, described, class);
    let (table, pricing) = (&config.prices, &config.pricing);
    let said = match &pricing.script {
        Some(script) => Some(script.ask(&request, LONGEST).await),
        None => None,
    };
    let price = match &said {
        Some(said) => said.price.clone().map(|price| price.max(table.minimum)),
        None => pricing.hourly(table, &request, LONGEST).await,
    };
    let mut shown = json!({ "order": request, "hourly": price.as_ref().ok() });
    if let Err(error) = table.hourly(&request.allocation) {
        shown["table"] = error.to_string().into();
    }
    if let Err(error) = price {
        shown["declined"] = error.to_string().into();
    }
    if let Some(said) = &said {
        shown["script"] = script(said);
    }
    output::result(common, &shown, output::lines)?;
    Ok(())
}

fn script(said: &Said) -> Value {
    let took = u64::try_from(said.took.as_millis()).unwrap_or(u64::MAX);
    json!({ "stdout": said.stdout.trim_end(), "stderr": said.stderr, "took_ms": took })
}

/// The order as its script would read it, paid in a token of one dollar.
fn request(config: &Config, described: &Described, class: StorageClass) -> Request {
    let allocation = Allocation {
        cpu: described.cpu.0.into(),
        memory: described.memory.0.into(),
        storage: [(class, described.storage.0.into())].into(),
        gpus: described.gpus.iter().copied().collect(),
        endpoints: described.endpoints.into(),
    };
    Request {
        purpose: Purpose::Bid,
        order: OrderId(0),
        wallet: 0,
        region: Region::ANY,
        tier: 0,
        duration: described.duration.0.as_secs(),
        token: Token { id: TokenId(0), address: Address::ZERO, price: Dollars::whole(1) },
        max_rate: Some(described.max_rate),
        table: config.prices.hourly(&allocation).ok(),
        allocation,
        free_percent: 100,
    }
}
