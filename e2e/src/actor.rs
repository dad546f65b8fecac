//! The image that stands in for those of the examples, which no test machine can pull: `e2e/images/actor` plays each
//! part as far as a test looks at it.

use anyhow::{Context, Result, ensure};
use iono_testkit::docker;
use tokio::process::Command;

use crate::engine::Engine;

/// The image's name.
pub const IMAGE: &str = "ionosphere/actor:test";

/// Compiles the program for an image without libraries, and builds the image for an engine.
///
/// # Errors
/// When the compiler, the engine or busybox is missing.
pub async fn build(engine: Engine) -> Result<()> {
    let source = iono_testkit::repo_root()?.join("e2e/images/actor");
    let context = tempfile::tempdir()?;
    for file in ["Dockerfile", "start"] {
        std::fs::copy(source.join(file), context.path().join(file))?;
    }
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-o"]);
    rustc.arg(context.path().join("actor")).arg(source.join("actor.rs"));
    let output = rustc.output().await.context("cannot run rustc")?;
    ensure!(output.status.success(), "rustc: {}", String::from_utf8_lossy(&output.stderr));
    docker::build(context.path(), IMAGE).await?;
    engine.load(IMAGE).await
}

/// The change to an example that has one of its images played.
#[must_use]
pub fn playing(part: &str) -> String {
    playing_from(IMAGE, part)
}

/// The same with the image from another place, such as a registry.
#[must_use]
pub fn playing_from(image: &str, part: &str) -> String {
    format!("image: {image}\n    args: [{part}]")
}
