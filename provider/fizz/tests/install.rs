//! The installer, below a folder of its own, and the commands of an owner's first hour that need no chain.
#![allow(clippy::unwrap_used, missing_docs)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

const FIZZ: &str = env!("CARGO_BIN_EXE_fizz");

fn install(root: &Path) -> Output {
    let script = iono_testkit::repo_root().unwrap().join("tools/install-fizz");
    Command::new(script).arg("--binary").arg(FIZZ).arg("--root").arg(root).output().unwrap()
}

#[test]
fn installs_and_upgrades_without_touching_the_configuration() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let first = install(root);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let config = root.join("etc/ionosphere/fizz.toml");
    assert!(root.join("etc/systemd/system/fizz.service").is_file());
    assert!(root.join("usr/share/bash-completion/completions/fizz").metadata().unwrap().len() > 1_000);
    let mine = format!("# mine\n{}", std::fs::read_to_string(&config).unwrap());
    std::fs::write(&config, &mine).unwrap();
    let second = install(root);
    assert!(second.status.success(), "{}", String::from_utf8_lossy(&second.stderr));
    assert_eq!(std::fs::read_to_string(&config).unwrap(), mine);
    assert!(root.join("usr/local/bin/fizz.previous").is_file());
    assert!(String::from_utf8_lossy(&second.stdout).contains("fizz check"));
}

#[test]
fn the_key_is_made_once_for_its_owner_alone_and_its_pin_shown() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("fizz.toml");
    let fizz = |args: &[&str]| {
        let mut command = Command::new(FIZZ);
        command.arg("--config").arg(&config).args(args);
        command.arg("--set").arg(format!("data_dir=\"{}\"", dir.path().join("data").display()));
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    assert!(fizz(&["pin"]).2.contains("fizz init"), "there is no configuration yet");
    assert!(fizz(&["init"]).0);
    let (done, _, said) = fizz(&["init"]);
    assert!(!done && said.contains("--force"), "replaced a configuration: {said}");
    let pin = fizz(&["pin"]).1;
    assert!(pin.starts_with("sha256//"), "{pin}");
    assert_eq!(fizz(&["pin"]).1, pin);
    let json: serde_json::Value = serde_json::from_str(&fizz(&["pin", "--json"]).1).unwrap();
    assert_eq!((json["pin"].as_str(), json["hex"].as_str().map(str::len)), (Some(pin.trim()), Some(66)));
    let mode = |name: &str| dir.path().join(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("data"), mode("data/tls.pem")), (0o700, 0o600));
    // Nothing answers anywhere: every line says so, and the exit code too.
    let (done, lines, _) = fizz(&["check"]);
    assert!(!done && lines.contains("MISSING gateway") && lines.contains("MISSING chain"), "{lines}");
}
