//! `make demo`: rents a container from a stranger on this machine, for real, and tells it as it happens. Writes
//! `target/demo.json`; exits 0 only when every figure in it holds. `KEEP=1` leaves the network running.

#[path = "demo/figures.rs"]
mod figures;
#[path = "demo/story.rs"]
mod story;

use anyhow::{Context as _, Result};
use iono_e2e::timeline::print;

/// Where the figures go.
const FIGURES: &str = "target/demo.json";

#[tokio::main]
async fn main() -> Result<()> {
    forget_older_figures()?;
    let mut story = story::Story::begin().await?;
    story.tell().await?;
    let figures = story.figures().await?;
    figures.write(FIGURES)?;
    print("");
    let missed = figures.missed();
    for line in figures.lines() {
        print(&line);
    }
    if std::env::var_os("KEEP").is_some_and(|keep| !keep.is_empty() && keep != "0") {
        story.keep().await?;
    }
    story.end().await?;
    anyhow::ensure!(missed.is_empty(), "not reached: {}", missed.join("; "));
    print(&format!("all figures hold; {FIGURES} has them"));
    Ok(())
}

/// A run that fails must not leave the figures of one that did not.
fn forget_older_figures() -> Result<()> {
    match std::fs::remove_file(FIGURES) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {FIGURES}"))
        }
        _ => Ok(()),
    }
}
