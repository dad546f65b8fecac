//! The image and the manifest of `examples/hello.yaml`, which most of the story deploys. The image is built on the spot
//! from the machine's own static busybox: nothing is downloaded.

use std::path::Path;

use anyhow::Result;
use tokio::sync::OnceCell;

use crate::engine::Engine;
use crate::examples;

/// The image's name in the manifest.
pub const IMAGE: &str = "ionosphere/hello:demo";
/// The port that the container listens on.
pub const PORT: u16 = 8080;

/// Builds the image from `examples/hello` for an engine, once per process.
///
/// # Errors
/// When the engine or busybox is missing.
pub async fn build(engine: Engine) -> Result<()> {
    static BUILT: OnceCell<()> = OnceCell::const_new();
    let folder = iono_testkit::repo_root()?.join("examples/hello");
    let build = || async {
        iono_testkit::docker::build(&folder, IMAGE).await?;
        engine.load(IMAGE).await
    };
    BUILT.get_or_try_init(build).await.copied()
}

/// Writes `examples/hello.yaml` with another nonce and number of replicas to `folder`, and gives its path.
///
/// # Errors
/// When the example has no longer what is replaced here.
pub fn manifest(folder: &Path, nonce: &str, replicas: u32) -> Result<String> {
    let (file, count) = (format!("{nonce}-{replicas}"), format!("count: {replicas}"));
    examples::adapted(folder, "hello", &file, &[("hello-ionosphere", nonce), ("count: 1", &count)])
}
