//! HTTP as a tenant's customer speaks it. Every name leads to this machine, as a wildcard record would: `*.localhost`
//! resolves in browsers and curl, but not in every C library.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::process::Command;

struct ThisMachine;

impl Resolve for ThisMachine {
    fn resolve(&self, _name: Name) -> Resolving {
        let addresses: Addrs = Box::new(std::iter::once(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))));
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

/// A client whose requests take at most five seconds.
///
/// # Errors
/// When no client can be made.
pub fn client() -> Result<reqwest::Client> {
    let builder = reqwest::Client::builder().dns_resolver(Arc::new(ThisMachine));
    Ok(builder.timeout(Duration::from_secs(5)).build()?)
}

/// Status and body of a GET by the real `curl`, which nobody here wrote.
///
/// # Errors
/// With its words when nothing answers.
pub async fn curl(url: &str) -> Result<(u16, String)> {
    let parsed = reqwest::Url::parse(url)?;
    let (host, port) = (parsed.host_str(), parsed.port_or_known_default());
    let (host, port) = (host.context("no host")?, port.context("no port")?);
    let resolve = format!("{host}:{port}:127.0.0.1");
    let args = ["--silent", "--show-error", "--max-time", "5", "--resolve", &resolve];
    let output =
        Command::new("curl").args(args).args(["--write-out", "\n%{http_code}", url]).output().await?;
    ensure!(output.status.success(), "curl {url}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let (body, status) = text.rsplit_once('\n').context("curl wrote no status")?;
    Ok((status.parse()?, body.to_owned()))
}

/// Status and body of a GET.
///
/// # Errors
/// When nothing answers.
pub async fn get(url: &str) -> Result<(u16, String)> {
    let answer = client()?.get(url).send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

/// Whether a GET answers 200 with this text in its body.
pub async fn answers(url: &str, text: &str) -> bool {
    get(url).await.is_ok_and(|(status, body)| status == 200 && body.contains(text))
}
