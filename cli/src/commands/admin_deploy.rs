//! `iono admin deploy`: runs the repository's Foundry script, which writes the address book.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use iono_bindings::AddressBook;
use iono_identity::{Passphrase, keystore};
use serde_json::json;
use zeroize::Zeroizing;

use crate::args::admin::Deploy;
use crate::context::Context;
use crate::error::{Context as _, Failure, Kind, Result};
use crate::files;
use crate::output::{Report, facts};

/// The script, from the repository's root.
const SCRIPT: &str = "contracts/script/Deploy.s.sol";
/// Where Foundry lets scripts write, from the repository's root.
const WRITABLE: &str = "target/deployments";

pub(crate) async fn run(context: &Context, args: &Deploy) -> Result<Report> {
    let urls = if context.global.rpc.is_empty() { &context.config.rpc } else { &context.global.rpc };
    let rpc = urls.first().ok_or_else(|| Failure::new(Kind::Usage, "say which chain with --rpc URL"))?;
    let root = repository(args.repository.as_deref())?;
    let forge = forge(&root)?;
    let out =
        args.out.as_ref().or(context.global.address_book.as_ref()).or(context.config.address_book.as_ref());
    let out = out
        .ok_or_else(|| Failure::new(Kind::Usage, "say where the address book is written with --out FILE"))?;
    let out = std::path::absolute(out).or_fail(Kind::Setup, "cannot find the address book's folder")?;
    let key = deployer_key(context, args).await?;

    // The script may write below target/deployments only; an older book tells it where the chain's history starts.
    let draft = root.join(WRITABLE).join(format!("draft-{}.json", std::process::id()));
    prepare(&draft, &out)?;
    let mut command = tokio::process::Command::new(&forge);
    command
        .current_dir(&root)
        .args(["script", SCRIPT, "--slow", "--rpc-url", rpc.as_str()])
        .arg("--keystore")
        .arg(&key.file)
        .arg("--password-file")
        .arg(&key.passphrase)
        .arg("--sender")
        .arg(key.address.to_string())
        .env("ADDRESS_BOOK", &draft)
        .env("FOUNDRY_DISABLE_NIGHTLY_WARNING", "1")
        .env("FOUNDRY_PROFILE", "deploy")
        .stdin(Stdio::null());
    if !context.global.dry_run {
        command.arg("--broadcast");
    }
    if args.dev {
        command.env("DEVNET", "true");
    }
    let progress = context.output.progress();
    progress.wait("building and deploying the contracts");
    let output =
        command.output().await.or_fail(Kind::Setup, format_args!("cannot start {}", forge.display()))?;
    drop(progress);
    if !output.status.success() {
        let text =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        let _ = std::fs::remove_file(&draft);
        return Err(Failure::new(Kind::Refused, format!("the deployment failed:\n{}", tail(&text)))
            .hint("is the RPC right, and does the deployer have ether?"));
    }
    let book =
        AddressBook::load(&draft).map_err(|error| Failure::new(Kind::Setup, crate::error::chain(&error)));
    let text = std::fs::read(&draft).or_fail(Kind::Setup, "the script wrote no address book");
    let _ = std::fs::remove_file(&draft);
    let (book, text) = (book?, text?);
    if context.global.dry_run {
        context.output.note("dry run: nothing was sent and no address book was written");
    } else {
        if let Some(folder) = out.parent() {
            std::fs::create_dir_all(folder)
                .or_fail(Kind::Setup, format_args!("cannot create {}", folder.display()))?;
        }
        std::fs::write(&out, text).or_fail(Kind::Setup, format_args!("cannot write {}", out.display()))?;
        context.output.note(&format!("wrote {}", out.display()));
    }
    let mut pairs = vec![("chain", book.chain_id.to_string()), ("deployer", key.address.to_string())];
    pairs.extend(book.contracts().iter().map(|(name, address)| (*name, address.to_string())));
    let tokens: Vec<String> = book.tokens.keys().cloned().collect();
    pairs.push(("tokens", tokens.join(", ")));
    let json = json!({
        "address_book": out, "deployer": key.address, "dry_run": context.global.dry_run, "book": book,
    });
    Ok(Report::new(&json, facts(&pairs)))
}

/// A keystore for forge: a private key on its command line would be seen by every process of the machine.
struct DeployerKey {
    file: PathBuf,
    passphrase: PathBuf,
    address: alloy::primitives::Address,
    /// Removed when the deployment is over.
    _folder: Folder,
}

/// A private folder that goes with its owner.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn deployer_key(context: &Context, args: &Deploy) -> Result<DeployerKey> {
    let signer = match &args.private_key_file {
        Some(path) => {
            let text = Zeroizing::new(context.read(path, Kind::Setup)?);
            let bytes = text.trim().parse::<alloy::primitives::B256>();
            let bytes = bytes.or_fail(Kind::Setup, format_args!("{} holds no key", path.display()))?;
            alloy::signers::local::PrivateKeySigner::from_bytes(&bytes)
                .or_fail(Kind::Setup, format_args!("{} holds no key", path.display()))?
        }
        None => context.signer().await?,
    };
    let folder = std::env::temp_dir().join(format!("iono-deploy-{:032x}", rand::random::<u128>()));
    files::private_dir(&folder)?;
    let folder = Folder(folder);
    let secret = alloy::primitives::hex::encode(rand::random::<[u8; 32]>());
    let (file, passphrase) = (folder.0.join("deployer.json"), folder.0.join("passphrase"));
    files::write_private(&passphrase, secret.as_bytes())?;
    let hex = Zeroizing::new(alloy::primitives::hex::encode(signer.to_bytes()));
    keystore::import_key(&file, &hex, &Passphrase::new(secret))
        .await
        .or_fail(Kind::Setup, "cannot hand the key to forge")?;
    Ok(DeployerKey { file, passphrase, address: signer.address(), _folder: folder })
}

/// The repository: named, or found upwards from here.
fn repository(named: Option<&Path>) -> Result<PathBuf> {
    let start = match named {
        Some(path) => std::path::absolute(path),
        None => std::env::current_dir(),
    }
    .or_fail(Kind::Setup, "cannot find the repository")?;
    let found = if named.is_some() {
        start.join(SCRIPT).is_file().then(|| start.clone())
    } else {
        start.ancestors().find(|folder| folder.join(SCRIPT).is_file()).map(Path::to_owned)
    };
    found.ok_or_else(|| {
        Failure::new(
            Kind::Setup,
            format!("{} is not in the repository: {SCRIPT} is missing", start.display()),
        )
        .hint("run it there, or name the folder with --repository")
    })
}

/// Foundry as npm installed it, else the one in PATH.
fn forge(root: &Path) -> Result<PathBuf> {
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let local = root.join(format!("node_modules/@foundry-rs/forge-linux-{arch}/bin/forge"));
    if local.is_file() {
        return Ok(local);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join("forge")).find(|file| file.is_file()).ok_or_else(
        || Failure::new(Kind::Setup, "forge is missing").hint("`npm ci` in the repository installs it"),
    )
}

fn prepare(draft: &Path, out: &Path) -> Result<()> {
    if let Some(folder) = draft.parent() {
        std::fs::create_dir_all(folder)
            .or_fail(Kind::Setup, format_args!("cannot create {}", folder.display()))?;
    }
    if out.is_file() {
        std::fs::copy(out, draft).or_fail(Kind::Setup, format_args!("cannot read {}", out.display()))?;
    }
    Ok(())
}

/// The last lines: forge says the reason at the end.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_found_upwards_only_when_none_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let failure = repository(Some(dir.path())).unwrap_err();
        assert_eq!(failure.kind, Kind::Setup);
        std::fs::create_dir_all(dir.path().join("contracts/script")).unwrap();
        std::fs::write(dir.path().join(SCRIPT), "").unwrap();
        assert_eq!(repository(Some(dir.path())).unwrap(), dir.path());
        assert!(repository(Some(&dir.path().join("contracts"))).is_err());
    }

    #[test]
    fn the_end_of_a_long_output_is_kept() {
        let text: String = (0..100).map(|n| format!("line {n}\n")).collect();
        assert!(tail(&text).ends_with("line 99") && !tail(&text).contains("line 84\n"));
    }
}
