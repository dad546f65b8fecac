//! The installer, below a folder of its own: what it puts where, and that an upgrade keeps the owner's configuration.
#![allow(clippy::unwrap_used, missing_docs)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

fn install(root: &Path) -> std::process::Output {
    let script = iono_testkit::repo_root().unwrap().join("tools/install-provider");
    let provider = env!("CARGO_BIN_EXE_provider");
    Command::new(script).arg("--binary").arg(provider).arg("--root").arg(root).output().unwrap()
}

#[test]
fn installs_and_upgrades_without_touching_the_configuration() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let first = install(root);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let config = root.join("etc/ionosphere/provider.toml");
    assert_eq!(std::fs::metadata(root.join("etc/ionosphere")).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(root.join("etc/systemd/system/provider.service").is_file());
    assert!(root.join("usr/share/bash-completion/completions/provider").metadata().unwrap().len() > 1_000);

    let mine = format!("# mine\n{}", std::fs::read_to_string(&config).unwrap());
    std::fs::write(&config, &mine).unwrap();
    let second = install(root);
    assert!(second.status.success(), "{}", String::from_utf8_lossy(&second.stderr));
    assert_eq!(std::fs::read_to_string(&config).unwrap(), mine);
    assert!(root.join("usr/local/bin/provider.previous").is_file());
    let said = String::from_utf8_lossy(&second.stdout).into_owned();
    assert!(said.contains("provider check"), "{said}");
}

#[test]
fn hardware_is_what_the_system_says() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("provider.toml");
    let provider = |args: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_provider")).arg("--config").arg(&config).args(args).output().unwrap()
    };
    assert!(provider(&["init"]).status.success());
    assert!(!provider(&["init"]).status.success(), "replaced a configuration");
    let storage = format!("runtime.storage_path={}", dir.path().display());
    let output = provider(&["--set", &storage, "hardware", "--json"]);
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let nproc = String::from_utf8(Command::new("nproc").output().unwrap().stdout).unwrap();
    assert_eq!(found["machine"]["cpu"]["threads"], nproc.trim().parse::<u64>().unwrap());
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap();
    let kib: u64 = total.trim().trim_end_matches(" kB").parse().unwrap();
    assert_eq!(found["machine"]["memory"]["total"], kib * 1_024);
    let reserve = 1_024;
    let offered = found["offered"]["memory"].as_u64().unwrap();
    let usable = found["machine"]["memory"]["usable"].as_u64().unwrap() >> 20;
    assert_eq!(offered, usable - reserve);
}
