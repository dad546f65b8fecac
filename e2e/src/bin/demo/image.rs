//! The image of `examples/hello.yaml`, built on the spot from the machine's own static busybox: nothing is downloaded.

use std::path::Path;

use anyhow::{Context, Result};
use iono_e2e::engine::docker;

/// Its name in the manifest.
pub(crate) const HELLO: &str = "ionosphere/hello:demo";
/// The port that it listens on.
pub(crate) const PORT: u16 = 8080;

/// Builds it from `examples/hello`.
pub(crate) async fn build(root: &Path) -> Result<()> {
    let context = tempfile::tempdir()?;
    for entry in std::fs::read_dir(root.join("examples/hello"))? {
        let entry = entry?;
        std::fs::copy(entry.path(), context.path().join(entry.file_name()))?;
    }
    std::fs::copy("/bin/busybox", context.path().join("busybox"))
        .context("busybox-static is not installed")?;
    let folder = context.path().to_str().context("a temporary folder that is not UTF-8")?;
    docker(&["build", "--quiet", "--tag", HELLO, folder]).await?;
    Ok(())
}
