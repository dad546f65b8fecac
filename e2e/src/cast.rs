//! The chain through a tool that is not ours: Foundry's `cast`.

use alloy::primitives::{Address, U256};
use anyhow::{Context, Result, bail};
use tokio::process::Command;

async fn cast(args: &[&str]) -> Result<String> {
    let output = Command::new(iono_testkit::paths::foundry("cast")?).args(args).output().await?;
    if !output.status.success() {
        bail!("cast {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Seconds of a block.
///
/// # Errors
/// When `cast` fails.
pub async fn timestamp(rpc: &str, block: u64) -> Result<u64> {
    let text = cast(&["block", &block.to_string(), "--field", "timestamp", "--rpc-url", rpc]).await?;
    text.parse().with_context(|| format!("no timestamp: {text}"))
}

/// Calls a view function whose results are all numbers.
///
/// # Errors
/// When `cast` fails or a result is no number.
pub async fn call(rpc: &str, to: &str, signature: &str, args: &[&str]) -> Result<Vec<U256>> {
    let text = cast(&[&["call", to, signature][..], args, &["--rpc-url", rpc]].concat()).await?;
    // Large numbers come as `123456789 [1.234e8]`.
    let numbers = text.lines().map(|line| line.split_whitespace().next().unwrap_or_default().parse());
    numbers.collect::<Result<_, _>>().with_context(|| format!("not all numbers: {text}"))
}

/// What an account holds of an ERC-20 token.
///
/// # Errors
/// As [`call`].
pub async fn balance(rpc: &str, token: Address, holder: Address) -> Result<U256> {
    let holder = holder.to_string();
    let found = call(rpc, &token.to_string(), "balanceOf(address)(uint256)", &[&holder]).await?;
    found.first().copied().context("no balance")
}

/// Data of all logs of an event, oldest first, as hex.
///
/// # Errors
/// When `cast` fails or writes no JSON.
pub async fn logs(rpc: &str, contract: &str, event: &str) -> Result<Vec<String>> {
    let args = ["logs", "--json", "--from-block", "0", "--address", contract, event, "--rpc-url", rpc];
    let text = cast(&args).await?;
    let found: Vec<serde_json::Value> =
        serde_json::from_str(&text).with_context(|| format!("no JSON: {text}"))?;
    let data = found.iter().map(|log| log.get("data").and_then(|data| data.as_str()).map(str::to_owned));
    data.collect::<Option<_>>().with_context(|| format!("logs without data: {text}"))
}
