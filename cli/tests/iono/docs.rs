//! Every block of `docs/tenant.md`, `docs/cli.md` and `docs/provider.md` that is marked `sh run` is run, in order, in one
//! shell, as a reader would: on a market with one provider, in an empty folder with the repository's examples beside it.

use std::process::{Command, Stdio};

use crate::host::{Host, Manners};
use crate::person::{IONO, market, repository};

/// Text between "```sh run" and "```".
fn blocks(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() == "```sh run" {
            found.push(lines.by_ref().take_while(|line| line.trim() != "```").collect::<Vec<_>>().join("\n"));
        }
    }
    found
}

async fn follow(page: &str) {
    let devnet = market().await;
    let _host = Host::start(&devnet, 1, Manners::default()).await;
    let text = std::fs::read_to_string(repository(page)).unwrap();
    let blocks = blocks(&text);
    assert!(!blocks.is_empty(), "{page} has no block marked `sh run`");
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(repository("examples"), folder.path().join("examples")).unwrap();
    let bin = folder.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(IONO, bin.join("iono")).unwrap();
    let script = blocks
        .join("\n")
        .replace("http://127.0.0.1:8545", &devnet.anvil.url())
        .replace("target/devnet.json", devnet.book_path().to_str().unwrap());
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-euxo", "pipefail", "-c", &script])
        .current_dir(folder.path())
        .env("PATH", path)
        .env("IONO_HOME", folder.path().join("home"))
        .env_remove("IONO_PASSPHRASE_FILE")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{page}: {}\n{stdout}\n{stderr}", output.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tenants_guide_works_as_written() {
    follow("docs/tenant.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_reference_works_as_written() {
    follow("docs/cli.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_keys_are_made_as_written() {
    follow("docs/provider.md").await;
}
