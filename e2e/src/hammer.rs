//! Requests without pause, for what must not fail while something changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;

/// Asks a URL without pause until it is stopped, and counts.
pub struct Hammer {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Hammer {
    /// Starts with a few connections at once.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn start(url: &str) -> Result<Self> {
        let (stop, asked, failed) = (Arc::default(), Arc::default(), Arc::default());
        let mut hammer = Self { stop, asked, failed, tasks: Vec::new() };
        for _ in 0..4 {
            let client = crate::http::client()?;
            let (url, stop) = (url.to_owned(), hammer.stop.clone());
            let (asked, failed) = (hammer.asked.clone(), hammer.failed.clone());
            hammer.tasks.push(tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let good = client.get(&url).send().await.is_ok_and(|answer| answer.status() == 200);
                    asked.fetch_add(1, Ordering::Relaxed);
                    failed.fetch_add(u64::from(!good), Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }));
        }
        Ok(hammer)
    }

    /// Requests made and failed.
    pub async fn stop(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            let _ = task.await;
        }
        (self.asked.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }
}
