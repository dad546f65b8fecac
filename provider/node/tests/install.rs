//! The installer, below a folder of its own: what it puts where, and that an upgrade keeps the owner's configuration; the
//! configuration that `provider init` writes, and what is said of a wrong one.
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
fn a_configuration_is_written_once_and_an_error_in_it_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("provider.toml");
    let provider = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_provider"));
        let output = command.arg("--config").arg(&config).args(args).output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    assert!(provider(&["init"]).0);
    let (done, said) = provider(&["init"]);
    assert!(!done && said.contains("--force"), "replaced a configuration: {said}");
    let text = std::fs::read_to_string(&config).unwrap();
    // Nothing kept for the owner is a choice.
    std::fs::write(&config, text.replace("cpu = \"0.5\"", "cpu = \"0\"")).unwrap();
    let (done, said) = provider(&["--set", "runtime.storage_path=/", "hardware"]);
    assert!(done, "{said}");
    std::fs::write(&config, text.replace("cpu = \"0.5\"", "cpu = \"half\"")).unwrap();
    let told = |said: &str, what: &str| said.matches(what).count();
    for command in ["hardware", "check", "run"] {
        let (done, said) = provider(&[command]);
        assert!(!done);
        for what in ["error:", "provider.toml", "`half` is no CPU quantity"] {
            assert_eq!(told(&said, what), 1, "{what} in: {said}");
        }
    }
    std::fs::write(&config, text).unwrap();
    let (done, said) = provider(&["--set", "reserve.cpu=half", "hardware"]);
    assert!(!done);
    assert_eq!((told(&said, "`half`"), told(&said, "reserve.cpu")), (1, 1), "{said}");
}
