//! `make demo`: rents a container from a stranger on this machine, for real, and tells it as it happens. Writes
//! `target/demo.json`; exits 0 only when every figure in it holds. `KEEP=1` leaves the network running.

#[path = "demo/figures.rs"]
mod figures;
#[path = "demo/story.rs"]
mod story;

use anyhow::Result;
use iono_e2e::timeline::print;

#[tokio::main]
async fn main() -> Result<()> {
    let mut story = story::Story::begin().await?;
    story.tell().await?;
    let figures = story.figures().await?;
    figures.write("target/demo.json")?;
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
    print("all figures hold; target/demo.json has them");
    Ok(())
}
