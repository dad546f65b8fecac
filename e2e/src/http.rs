//! HTTP as a tenant's customer speaks it. Every name leads to this machine, as a wildcard record would: `*.localhost`
//! resolves in browsers and curl, but not in every C library.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

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
