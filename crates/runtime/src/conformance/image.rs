//! The image that the suite's workloads run: all of busybox, and a program that sends datagrams back. Built on the spot, since
//! no registry can be counted on.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The image's name.
pub const NAME: &str = "iono-test/busybox:2";

/// Makes sure that the Docker engine has it: one process builds it, the others wait.
///
/// # Panics
/// When it cannot be built.
pub fn ensure() {
    let lock = std::fs::File::create(std::env::temp_dir().join("iono-test-image.lock")).expect("a lock");
    lock.lock().expect("the lock");
    if output("docker", &["image", "inspect", "-f", "{{.Id}}", NAME]).trim().is_empty() {
        build(NAME, &[]);
    }
}

/// What a program prints; empty when it fails.
#[allow(clippy::must_use_candidate, reason = "many run a program for what it does")]
pub fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).stderr(Stdio::null()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

/// A static program from the C file beside this one.
fn udp_echo() -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a part of the image");
    let (source, program) = (dir.path().join("udp_echo.c"), dir.path().join("udp-echo"));
    std::fs::write(&source, include_str!("udp_echo.c")).expect("a part of the image");
    let made = Command::new("cc")
        .args(["-static", "-O1", "-o"])
        .args([&program, &source])
        .status()
        .expect("a part of the image");
    assert!(made.success());
    std::fs::read(program).expect("a part of the image")
}

/// Makes an image of busybox and the echo program from a tar of its root, with these changes to its configuration.
///
/// # Panics
/// When it cannot be built.
pub fn build(name: &str, changes: &[&str]) {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().map(PathBuf::from).find(|path| path.exists());
    let busybox = std::fs::read(busybox.expect("busybox-static is installed")).expect("a part of the image");
    let applets = output("busybox", &["--list"]);
    let mut builder = tar::Builder::new(Vec::new());
    let mut entry = |name: &str, mode: u32, kind: tar::EntryType, data: &[u8], link: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(data.len() as u64);
        match kind {
            tar::EntryType::Symlink => {
                builder.append_link(&mut header, name, link).expect("a part of the image")
            }
            _ => builder.append_data(&mut header, name, data).expect("a part of the image"),
        }
    };
    entry("bin/busybox", 0o755, tar::EntryType::Regular, &busybox, "");
    entry("bin/udp-echo", 0o755, tar::EntryType::Regular, &udp_echo(), "");
    entry("tmp/", 0o1777, tar::EntryType::Directory, &[], "");
    for applet in applets.lines().filter(|applet| *applet != "busybox") {
        entry(&format!("bin/{applet}"), 0o777, tar::EntryType::Symlink, &[], "busybox");
    }
    let archive = builder.into_inner().expect("a part of the image");
    let mut command = Command::new("docker");
    command.arg("import").arg("--change").arg("ENV PATH=/bin");
    for change in changes {
        command.arg("--change").arg(change);
    }
    let mut import = command
        .arg("-")
        .arg(name)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("a part of the image");
    import.stdin.take().expect("a part of the image").write_all(&archive).expect("a part of the image");
    assert!(import.wait().expect("a part of the image").success());
}
