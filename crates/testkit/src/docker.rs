//! The machine's Docker engine, by its own command line; and tiny images built on the spot, since no registry can be
//! assumed.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::paths;

/// Name of the image that [`hello_image`] builds.
pub const HELLO: &str = "iono/hello:1";

/// Builds `examples/hello` as [`HELLO`] with Debian's static busybox in it.
///
/// # Errors
/// When busybox or the engine is missing, or the build fails.
pub async fn hello_image() -> Result<&'static str> {
    let source = paths::repo_root()?.join("examples/hello");
    build(&source, HELLO).await?;
    Ok(HELLO)
}

/// Builds a folder with a `Dockerfile`; `busybox` is put beside it in a copy of the folder.
///
/// # Errors
/// As [`hello_image`].
pub async fn build(folder: &Path, name: &str) -> Result<()> {
    let context = tempfile::tempdir()?;
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), context.path().join(entry.file_name()))?;
        }
    }
    std::fs::copy("/bin/busybox", context.path().join("busybox"))
        .context("cannot copy /bin/busybox: install Debian's busybox-static")?;
    let path = context.path().display().to_string();
    run(&["build", "--quiet", "--tag", name, &path]).await?;
    Ok(())
}

/// Runs `docker` with `args` and gives what it printed.
///
/// # Errors
/// With what it wrote to stderr when it fails.
pub async fn run(args: &[&str]) -> Result<String> {
    let output =
        Command::new("docker").args(args).output().await.context("cannot run `docker`: install docker.io")?;
    ensure!(
        output.status.success(),
        "docker {} failed: {}",
        args.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
