//! The installer, below a folder of its own, and the unit: what the service's user is given is enough to run with, and
//! nothing else of `/etc/ionosphere` is needed.
#![allow(clippy::unwrap_used, missing_docs)]

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};

use alloy::primitives::hex;
use iono_bls::SecretKey;
use iono_identity::{Passphrase, bls_keystore, keystore};
use iono_testkit::Devnet;
use serde_json::Value;

/// Nobody, in place of the user that systemd makes up.
const USER: u32 = 65_534;

fn install(root: &Path) -> Output {
    let script = iono_testkit::repo_root().unwrap().join("tools/install-matchmaker");
    let binary = env!("CARGO_BIN_EXE_matchmaker");
    let installed =
        Command::new(script).arg("--binary").arg(binary).arg("--root").arg(root).output().unwrap();
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    installed
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn installs_and_upgrades_without_touching_the_configuration() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    install(root);
    let etc = root.join("etc/ionosphere");
    let config = etc.join("matchmaker.toml");
    assert_eq!((mode(&etc), mode(&config)), (0o700, 0o600));
    assert!(root.join("etc/systemd/system/matchmaker.service").is_file());
    assert!(root.join("usr/share/bash-completion/completions/matchmaker").metadata().unwrap().len() > 1_000);

    let mine = format!("# mine\n{}", std::fs::read_to_string(&config).unwrap());
    std::fs::write(&config, &mine).unwrap();
    let said = String::from_utf8_lossy(&install(root).stdout).into_owned();
    assert_eq!(std::fs::read_to_string(&config).unwrap(), mine);
    assert!(root.join("usr/local/bin/matchmaker.previous").is_file());
    assert!(said.contains("matchmaker check"), "{said}");
}

/// Values of a key of the installed unit.
fn unit(root: &Path, key: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root.join("etc/systemd/system/matchmaker.service")).unwrap();
    let value = |line: &str| line.strip_prefix(key)?.strip_prefix('=').map(str::to_owned);
    text.lines().filter_map(value).collect()
}

/// What systemd does with `LoadCredential=`: copies that the service's user alone can read.
fn load_credentials(root: &Path, folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    for credential in unit(root, "LoadCredential") {
        let (id, path) = credential.split_once(':').unwrap();
        let copy = folder.join(id);
        std::fs::copy(root.join(path.trim_start_matches('/')), &copy).unwrap();
        set_mode(&copy, 0o400);
        chown(&copy, Some(USER), Some(USER)).unwrap();
    }
    set_mode(folder, 0o500);
    chown(folder, Some(USER), Some(USER)).unwrap();
}

#[tokio::test]
async fn the_units_user_has_all_that_it_needs() {
    let net = Devnet::start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    set_mode(dir.path(), 0o755);
    let root = &dir.path().join("root");
    install(root);
    let etc = root.join("etc/ionosphere");
    let config = std::fs::read_to_string(etc.join("matchmaker.toml")).unwrap();
    std::fs::write(etc.join("matchmaker.toml"), config.replace("http://127.0.0.1:8545", &net.anvil.url()))
        .unwrap();
    std::fs::copy(net.book_path(), etc.join("addresses.json")).unwrap();
    std::fs::write(etc.join("matchmaker-key.passphrase"), "secret\n").unwrap();
    let key = hex::encode(net.anvil.key(5).to_bytes());
    keystore::import_key(&etc.join("matchmaker-key.json"), &key, &Passphrase::new("secret")).await.unwrap();

    // An operator's drop-in hands over two files more.
    let dropin = iono_testkit::repo_root().unwrap().join("deploy/systemd/matchmaker-operator.conf");
    let service = root.join("etc/systemd/system/matchmaker.service");
    let merged =
        format!("{}{}", std::fs::read_to_string(&service).unwrap(), std::fs::read_to_string(dropin).unwrap());
    std::fs::write(&service, merged).unwrap();
    let secret = SecretKey::derive(&[1; 32]);
    net.operator(&net.anvil.key(6), &secret, 10_000).await.unwrap();
    std::fs::write(etc.join("operator-bls.passphrase"), "bls secret\n").unwrap();
    bls_keystore::store(&etc.join("operator-bls.json"), secret, &Passphrase::new("bls secret"))
        .await
        .unwrap();

    let (credentials, state) = (dir.path().join("credentials"), dir.path().join("state"));
    load_credentials(root, &credentials);
    std::fs::create_dir(&state).unwrap();
    chown(&state, Some(USER), Some(USER)).unwrap();
    let here = |text: &str| text.replace("%d", credentials.to_str().unwrap());
    let start = here(&unit(root, "ExecStart")[0]);
    let mut words = start.split(' ');
    let binary = root.join(words.next().unwrap().trim_start_matches('/'));
    let args: Vec<&str> = words.map(|word| if word == "run" { "check" } else { word }).collect();
    let environment = unit(root, "Environment");
    let environment = environment.iter().map(|set| set.split_once('=').unwrap());
    let output = Command::new(binary)
        .args(args)
        .arg("--json")
        .env_clear()
        .envs(environment.map(|(name, value)| (name, here(value))))
        // In place of StateDirectory.
        .env("IONO_MATCHMAKER__DATA_DIR", &state)
        .uid(USER)
        .gid(USER)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let findings: Value = serde_json::from_str(&said)
        .unwrap_or_else(|_| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)));
    assert!(output.status.success(), "{findings:#}");
    let named = |name: &str| findings.as_array().unwrap().iter().find(|f| f["name"] == name).unwrap().clone();
    assert_eq!(named("key")["detail"], net.anvil.key(5).address().to_string());
    assert_eq!(named("gas money")["ok"], true);
    assert!(named("operator")["detail"].as_str().unwrap().contains("from the next era on"), "{findings:#}");
}
