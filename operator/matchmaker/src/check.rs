//! `matchmaker check`: what is missing before it can run, each with what to do.

use alloy::primitives::{Address, U256, keccak256};
use alloy::providers::Provider as _;
use anyhow::{Result, ensure};
use iono_bindings::IOperatorRegistry;
use iono_bls::SecretKey;
use iono_chain::Rpc;
use iono_primitives::money::format_decimal;
use iono_telemetry::Health;
use serde::Serialize;

use crate::config::Config;
use crate::drand::{self, Drand};

/// One thing that must hold.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    /// What was looked at.
    name: &'static str,
    /// Whether it is well.
    pub(crate) ok: bool,
    /// What was found, or what is wrong and what to do.
    detail: String,
}

/// Looks at everything; stops where nothing further can be seen.
pub(crate) async fn run(config: Result<Config>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(config) = note(&mut findings, "configuration", config, |_| "readable".to_owned()) else {
        return findings;
    };
    let store = iono_store::connect(&config.store_url()).await;
    note(&mut findings, "store", store.map_err(Into::into), |_| config.store_url());
    let key = config.open_key().await;
    let key = note(&mut findings, "key", key, |key| key.address().to_string());
    let book = config.chain.address_book().map_err(Into::into);
    let Some(book) = note(&mut findings, "address book", book, |book| format!("chain {}", book.chain_id))
    else {
        return findings;
    };
    let rpc = Rpc::connect(&config.chain, book.chain_id, Health::default().check("rpc")).map_err(Into::into);
    let Some(rpc) = note(&mut findings, "endpoints", rpc, |_| config.chain.rpc.len().to_string()) else {
        return findings;
    };
    let head = rpc.provider().get_block_number().await.map_err(Into::into);
    if note(&mut findings, "rpc", head, |head| format!("block {head}")).is_none() {
        return findings;
    }
    for (name, address) in [
        ("order book", book.order_book),
        ("lease book", book.lease_book),
        ("operators", book.operator_registry),
        ("match tasks", book.match_task_manager),
    ] {
        let code = rpc.provider().get_code_at(address).await.map_err(Into::into).and_then(|code| {
            ensure!(!code.is_empty(), "there is no contract at {address}: is this the right address book?");
            Ok(code)
        });
        note(&mut findings, name, code, |_| address.to_string());
    }
    let seeds = seeds(&config, &rpc, book.randomness).await;
    note(&mut findings, "seeds", seeds, Clone::clone);
    if let Some(key) = key {
        let balance =
            rpc.provider().get_balance(key.address()).await.map_err(Into::into).and_then(|balance| {
                let low = U256::from(config.chain.sender.low_balance_gwei) * U256::from(1_000_000_000_u64);
                ensure!(balance >= low, "{} wei are too few: send gas money to {}", balance, key.address());
                Ok(balance)
            });
        note(&mut findings, "gas money", balance, |balance| format_decimal(*balance, 18));
    }
    if config.operator.key.is_some() {
        let secret = config.open_operator_key().await;
        let words = |secret: &Option<SecretKey>| format!("{:?}", secret.as_ref().map(SecretKey::public_key));
        if let Some(Some(secret)) = note(&mut findings, "operator key", secret, words) {
            let seat = seat(&secret, &rpc, book.operator_registry).await;
            note(&mut findings, "operator", seat, Clone::clone);
        }
    }
    findings
}

/// Where seeds come from, and whether they can be had.
async fn seeds(config: &Config, rpc: &Rpc, randomness: Address) -> Result<String> {
    let is_source = drand::is_source(rpc.provider(), randomness).await?;
    drand::must_fit(is_source, config.keeper.drand.is_some())?;
    let Some(url) = &config.keeper.drand else { return Ok("block hashes".to_owned()) };
    let round = Drand::new(url)?.latest().await?;
    Ok(format!("drand, round {round}"))
}

/// Whether the registry has the key in its set, now or from the next era on.
async fn seat(secret: &SecretKey, rpc: &Rpc, registry: Address) -> Result<String> {
    let registry = IOperatorRegistry::new(registry, rpc.provider());
    let key_hash = keccak256(secret.public_key().to_bytes());
    let number = registry.operatorOf(key_hash).call().await?;
    ensure!(!number.is_zero(), "the key is not registered: iono operator register");
    let ejected = registry.ejectedIn(number).call().await?;
    ensure!(
        ejected.is_zero(),
        "operator {number} was slashed and ejected in era {ejected}: register a new key"
    );
    let era = registry.currentEra().call().await?;
    let now = registry.weightAt(number, era).call().await?.weight;
    let next = registry.weightAt(number, era + U256::ONE).call().await?.weight;
    ensure!(
        !(now.is_zero() && next.is_zero()),
        "operator {number} is not in the set: iono operator stake, then iono operator enter"
    );
    let weight = format_decimal(now.max(next), 18);
    let since = if now.is_zero() { " from the next era on" } else { "" };
    Ok(format!("number {number}, {weight} SPON{since}"))
}

/// For people: one line each.
pub(crate) fn table(findings: &[Finding]) -> String {
    let lines =
        findings.iter().map(|f| format!("{:4} {:13} {}", if f.ok { "ok" } else { "FAIL" }, f.name, f.detail));
    lines.collect::<Vec<_>>().join("\n")
}

fn note<T>(
    findings: &mut Vec<Finding>,
    name: &'static str,
    result: Result<T>,
    words: impl FnOnce(&T) -> String,
) -> Option<T> {
    let (ok, detail) = match &result {
        Ok(value) => (true, words(value)),
        Err(error) => (false, format!("{error:#}")),
    };
    findings.push(Finding { name, ok, detail });
    result.ok()
}
