//! Requests without pause, for what must not fail while something changes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

/// Asks a URL without pause until it is stopped, counts, and keeps what went wrong.
pub struct Hammer {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    failures: Arc<Mutex<Vec<String>>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Hammer {
    /// Starts with a few connections at once.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn start(url: &str) -> Result<Self> {
        let mut hammer =
            Self { stop: Arc::default(), asked: Arc::default(), failures: Arc::default(), tasks: Vec::new() };
        let start = Instant::now();
        for _ in 0..4 {
            let client = crate::http::client()?;
            let (url, stop) = (url.to_owned(), hammer.stop.clone());
            let (asked, failures) = (hammer.asked.clone(), hammer.failures.clone());
            hammer.tasks.push(tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let sent = start.elapsed();
                    if let Err(reason) = ask(&client, &url).await {
                        let text = format!("sent at {sent:?}, lost at {:?}: {reason}", start.elapsed());
                        failures.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                    }
                    asked.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }));
        }
        Ok(hammer)
    }

    /// How many requests were made, and why each of those that failed did.
    pub async fn stop(self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            let _ = task.await;
        }
        let failures = std::mem::take(&mut *self.failures.lock().unwrap_or_else(PoisonError::into_inner));
        (self.asked.load(Ordering::Relaxed), failures)
    }
}

async fn ask(client: &reqwest::Client, url: &str) -> Result<()> {
    let answer = client.get(url).send().await?;
    let status = answer.status();
    let body = answer.text().await?;
    ensure!(status == 200, "{status}: {body}");
    Ok(())
}
