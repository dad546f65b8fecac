//! Hands shares to other operators over HTTP. A share authenticates itself, so the way need not.

use std::time::Duration;

use iono_quorum::{ShareResult, SignedShare};
use reqwest::{Client, StatusCode, redirect};
use serde::Deserialize;
use tokio::time::Instant;

/// How long one share is tried to be handed over; the next in turn gets it anyway.
const PATIENCE: Duration = Duration::from_secs(15);
const TIMEOUT: Duration = Duration::from_secs(5);
/// Between attempts, at first and at last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// Sends to operators; cheap to clone.
#[derive(Clone)]
pub(crate) struct Peers(Client);

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl Peers {
    pub(crate) fn new() -> reqwest::Result<Self> {
        Client::builder().timeout(TIMEOUT).redirect(redirect::Policy::none()).build().map(Self)
    }

    /// Tries until the aggregator has the share, or its turn has surely passed. An aggregator that computes another root
    /// is shown our results: one of us is wrong, and it should be known who.
    pub(crate) async fn deliver(
        &self,
        aggregator: u32,
        endpoint: &str,
        mut share: SignedShare,
        results: Vec<ShareResult>,
    ) {
        let (end, mut pause) = (Instant::now() + PATIENCE, PAUSES.0);
        let url = format!("{}/v1/shares", endpoint.trim_end_matches('/'));
        while Instant::now() < end {
            let why = match self.post(&url, &share).await {
                Ok((status, _)) if status.is_success() => {
                    metrics::counter!("iono_matchmaker_shares_sent_total").increment(1);
                    return;
                }
                Ok((_, error)) if error == "other_root" && share.results.is_empty() => {
                    share.results.clone_from(&results);
                    continue;
                }
                // It may not have seen the block yet, or have too much to do just now.
                Ok((status, error)) if is_passing(status) => error,
                Ok((status, error)) => {
                    tracing::warn!(aggregator, %status, error, "refused our share");
                    return;
                }
                Err(error) => error.without_url().to_string(),
            };
            tracing::debug!(aggregator, why, "our share was not taken yet");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
        metrics::counter!("iono_matchmaker_shares_lost_total").increment(1);
        tracing::info!(aggregator, "did not take our share; the next in turn gets it");
    }

    async fn post(&self, url: &str, share: &SignedShare) -> reqwest::Result<(StatusCode, String)> {
        let response = self.0.post(url).json(share).send().await?;
        let status = response.status();
        if status.is_success() {
            return Ok((status, String::new()));
        }
        // An answer that is none of ours says as much as its status.
        let refusal = bounded(response).await.and_then(|text| serde_json::from_slice::<Refusal>(&text).ok());
        Ok((status, refusal.map_or_else(|| status.to_string(), |refusal| refusal.error)))
    }
}

fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::NOT_FOUND | StatusCode::TOO_MANY_REQUESTS)
}

/// The first part of a body, if it is short.
async fn bounded(mut response: reqwest::Response) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        body.extend_from_slice(&chunk);
        if body.len() > 4096 {
            return None;
        }
    }
    Some(body)
}
