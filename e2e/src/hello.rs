//! The image and the manifest of `examples/hello.yaml`, which most of the story deploys. The image is built on the spot
//! from the machine's own static busybox: nothing is downloaded.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use tokio::sync::OnceCell;

use crate::engine::docker;

/// The image's name in the manifest.
pub const IMAGE: &str = "ionosphere/hello:demo";
/// The port that the container listens on.
pub const PORT: u16 = 8080;

/// Builds the image from `examples/hello`, once per process.
///
/// # Errors
/// When the engine or busybox is missing.
pub async fn build() -> Result<()> {
    static BUILT: OnceCell<()> = OnceCell::const_new();
    BUILT.get_or_try_init(build_now).await.copied()
}

async fn build_now() -> Result<()> {
    let context = tempfile::tempdir()?;
    for entry in std::fs::read_dir(iono_testkit::repo_root()?.join("examples/hello"))? {
        let entry = entry?;
        std::fs::copy(entry.path(), context.path().join(entry.file_name()))?;
    }
    std::fs::copy("/bin/busybox", context.path().join("busybox"))
        .context("busybox-static is not installed")?;
    let folder = context.path().to_str().context("a temporary folder that is not UTF-8")?;
    docker(&["build", "--quiet", "--tag", IMAGE, folder]).await?;
    Ok(())
}

/// Writes `examples/hello.yaml` with another nonce and number of replicas to `folder`, and gives its path.
///
/// # Errors
/// When the example has no longer what is replaced here.
pub fn manifest(folder: &Path, nonce: &str, replicas: u32) -> Result<String> {
    let text = std::fs::read_to_string(iono_testkit::repo_root()?.join("examples/hello.yaml"))?;
    ensure!(
        text.contains("NONCE=hello-ionosphere") && text.contains("count: 1"),
        "examples/hello.yaml changed"
    );
    let text = text.replace("hello-ionosphere", nonce).replace("count: 1", &format!("count: {replicas}"));
    let path = folder.join(format!("{nonce}-{replicas}.yaml"));
    std::fs::write(&path, text)?;
    Ok(path.to_str().context("a folder that is not UTF-8")?.to_owned())
}
