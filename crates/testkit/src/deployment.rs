//! The market put onto a chain by `contracts/script/Deploy.s.sol`. The state of a plain deployment is kept in the cache by
//! the hash of the contracts, so that only the first start after a change takes the time of a build.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use alloy::primitives::hex;
use alloy::providers::ext::AnvilApi as _;
use anyhow::{Result, bail, ensure};
use fs4::FileExt;
use iono_bindings::AddressBook;
use sha2::{Digest, Sha256};

use crate::{Anvil, paths};

/// The deployment script, from the repository's root.
const SCRIPT: &str = "contracts/script/Deploy.s.sol";
/// What the deployment and so the cached state depend on, from the repository's root.
const INPUTS: [&str; 4] = ["contracts/src", "contracts/script", "foundry.toml", "package-lock.json"];

/// The folder with `state` and `addresses.json` for the contracts as they are now; deploys if it is not there yet.
pub(crate) async fn cached() -> Result<PathBuf> {
    let root = paths::repo_root()?;
    let cache = paths::cache_dir()?;
    fs::create_dir_all(&cache)?;
    let dir = cache.join(format!("devnet-{}", contracts_hash(&root)?));
    if dir.join("state").is_file() {
        return Ok(dir);
    }
    // One deployment at a time over all test processes.
    let lock = File::create(cache.join("devnet.lock"))?;
    let lock = tokio::task::spawn_blocking(move || FileExt::lock(&lock).map(|()| lock)).await??;
    if !dir.join("state").is_file() {
        let fresh = tempfile::Builder::new().prefix("devnet-new-").tempdir_in(&cache)?;
        let anvil = Anvil::start().await?;
        let book = run(&anvil, &[]).await?;
        fs::write(fresh.path().join("addresses.json"), serde_json::to_vec_pretty(&book)?)?;
        fs::write(fresh.path().join("state"), anvil.provider().anvil_dump_state().await?)?;
        fs::rename(fresh.keep(), &dir)?;
    }
    drop(lock);
    Ok(dir)
}

/// Builds and deploys, with parameters of `Parameters.sol`.
pub(crate) async fn run(anvil: &Anvil, parameters: &[(&str, String)]) -> Result<AddressBook> {
    let root = paths::repo_root()?;
    ensure!(root.join(SCRIPT).is_file(), "{SCRIPT} is missing");
    let key = hex::encode(anvil.key(0).to_bytes());
    // Scripts may write below `target/` only.
    let scratch = root.join("target");
    fs::create_dir_all(&scratch)?;
    let scratch = tempfile::Builder::new().prefix("devnet-").tempdir_in(&scratch)?;
    let addresses = scratch.path().join("addresses.json");
    let output = tokio::process::Command::new(paths::foundry("forge")?)
        .current_dir(&root)
        .args(["script", SCRIPT, "--broadcast", "--slow", "--rpc-url", &anvil.url(), "--private-key", &key])
        .env("ADDRESS_BOOK", &addresses)
        .env("DEVNET", "true")
        .env("FOUNDRY_DISABLE_NIGHTLY_WARNING", "1")
        .env("FOUNDRY_PROFILE", "deploy")
        .envs(parameters.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .output()
        .await?;
    if !output.status.success() || !addresses.is_file() {
        let text =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        bail!("the deployment failed:\n{text}");
    }
    Ok(AddressBook::load(&addresses)?)
}

/// Names and contents of all files that the deployment depends on.
fn contracts_hash(root: &Path) -> Result<String> {
    let mut files = Vec::new();
    for input in INPUTS {
        collect(&root.join(input), &mut files)?;
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let mut text = Vec::new();
        File::open(&file)?.read_to_end(&mut text)?;
        hash.update(file.strip_prefix(root)?.to_string_lossy().as_bytes());
        hash.update(text.len().to_be_bytes());
        hash.update(text);
    }
    Ok(hex::encode(&hash.finalize()[..12]))
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            collect(&entry?.path(), files)?;
        }
    } else {
        files.push(path.to_owned());
    }
    Ok(())
}
