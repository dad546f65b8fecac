//! Where things lie: the repository, its tools from npm, the cache, built binaries, free ports.

use std::net::TcpListener;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

/// The repository's root: the nearest folder above the working directory with a `foundry.toml`.
///
/// # Errors
/// When there is none.
pub fn repo_root() -> Result<PathBuf> {
    let start = std::env::current_dir()?;
    let root = start.ancestors().find(|dir| dir.join("foundry.toml").is_file());
    root.map(PathBuf::from).with_context(|| format!("{} is not inside the repository", start.display()))
}

/// `forge`, `anvil` or `cast` as npm installed it.
///
/// # Errors
/// When npm's packages are not installed.
pub fn foundry(tool: &str) -> Result<PathBuf> {
    let path = repo_root()?.join(format!("node_modules/@foundry-rs/{tool}-linux-amd64/bin/{tool}"));
    ensure!(path.is_file(), "{} is missing: run `npm ci` in the repository's root", path.display());
    Ok(path)
}

/// Outside of the clone, shared by all tests: `$IONO_CACHE` or `~/.cache/ionosphere`.
///
/// # Errors
/// When neither that nor a home folder is known.
pub fn cache_dir() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("IONO_CACHE") {
        return Ok(dir.into());
    }
    let home = std::env::var_os("HOME").context("neither IONO_CACHE nor HOME is set")?;
    Ok(PathBuf::from(home).join(".cache/ionosphere"))
}

/// A binary of this workspace, built by cargo beside the running test.
///
/// # Errors
/// When it was not built.
pub fn binary(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let found = test.ancestors().skip(1).take(2).map(|dir| dir.join(name)).find(|path| path.is_file());
    found.with_context(|| format!("the binary `{name}` is not built: `cargo build --bins` first"))
}

/// Ports that the system gives to no connection by itself: one of those might be taken the next moment. Neither are they
/// a cluster's NodePorts.
const PORTS: std::ops::Range<u16> = 10_000..30_000;

/// A TCP port of this machine on which nobody listens.
///
/// # Errors
/// When none is found.
pub fn free_port() -> Result<u16> {
    use std::hash::{BuildHasher as _, RandomState};
    for _ in 0..100 {
        let random = RandomState::new().hash_one(0) % u64::from(PORTS.end - PORTS.start);
        let port = PORTS.start + u16::try_from(random)?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("no port from {} to {} is free", PORTS.start, PORTS.end)
}
