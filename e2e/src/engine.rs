//! The container engine by hand, as somebody without a market would use it: what the product is compared with, and
//! the witness that nothing of a lease is left behind.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;

/// Runs the engine's own command line.
///
/// # Errors
/// With its words when it fails.
pub async fn docker(args: &[&str]) -> Result<String> {
    let output = Command::new("docker").args(args).output().await.context("docker does not start")?;
    if !output.status.success() {
        bail!("docker {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Seconds from the first engine call to the first 200, for the same image with a network, limits and a port.
///
/// # Errors
/// When the engine fails or nothing answers within ten seconds.
pub async fn by_hand(image: &str, name: &str, inner_port: u16, port: u16) -> Result<f64> {
    let start = Instant::now();
    docker(&["network", "create", name]).await?;
    let publish = format!("127.0.0.1:{port}:{inner_port}");
    #[rustfmt::skip]
    docker(&[
        "run", "--detach", "--name", name, "--network", name, "--cpus", "0.5", "--memory", "64m", "--memory-swap",
        "64m", "--pids-limit", "512", "--security-opt", "no-new-privileges", "--cap-drop", "ALL", "--env",
        "NONCE=by-hand", "--publish", &publish, image,
    ])
    .await?;
    first_answer(&format!("http://127.0.0.1:{port}/"), start).await?;
    let seconds = start.elapsed().as_secs_f64();
    docker(&["rm", "--force", name]).await?;
    docker(&["network", "rm", name]).await?;
    Ok(seconds)
}

async fn first_answer(url: &str, start: Instant) -> Result<()> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(1)).build()?;
    loop {
        if client.get(url).send().await.is_ok_and(|answer| answer.status() == 200) {
            return Ok(());
        }
        ensure!(start.elapsed() < Duration::from_secs(10), "{url} did not answer");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Containers, networks and volumes that carry every one of these labels.
///
/// # Errors
/// When the engine fails.
pub async fn labelled(labels: &[&str]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for kind in [&["ps", "--all"][..], &["network", "ls"], &["volume", "ls"]] {
        let mut args = [kind, &["--quiet"]].concat();
        let filters: Vec<String> = labels.iter().map(|label| format!("label={label}")).collect();
        args.extend(filters.iter().flat_map(|filter| ["--filter", filter.as_str()]));
        let lines = docker(&args).await?;
        found.extend(lines.lines().map(|line| format!("{} {line}", kind[0])));
    }
    Ok(found)
}
