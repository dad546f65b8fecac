//! The Docker engine of the machine as the backend under test; what is left of a lease is asked with other means than
//! the runtime's own.

#![allow(dead_code, reason = "each test file uses its part")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use iono_primitives::{LeaseId, ProviderId};
use iono_runtime::conformance::Harness;
use iono_runtime::{Owner, Runtime, Vault};
use iono_runtime_docker::{DockerConfig, DockerRuntime};

pub(crate) const IMAGE: &str = "iono-test/busybox:2";

pub(crate) struct Docker {
    pub(crate) dir: tempfile::TempDir,
    runtime: Arc<DockerRuntime>,
}

/// The owner of everything that this process makes: one owner has one runtime at a time.
pub(crate) fn owner() -> Owner {
    // A child process that is to be killed works for its parent's owner.
    let provider = std::env::var("IONO_TEST_PROVIDER").ok().and_then(|id| id.parse().ok());
    let provider = provider.unwrap_or_else(std::process::id);
    Owner { chain_id: 31_337, registry: [0xd0; 20].into(), provider: ProviderId(provider) }
}

pub(crate) fn vault() -> Vault {
    Vault::new(&[9; 32], owner())
}

pub(crate) fn config(data_dir: &Path) -> DockerConfig {
    DockerConfig {
        quota_interval: Duration::from_millis(500),
        log_mib: 1,
        ..DockerConfig::new(vault(), data_dir)
    }
}

/// What a program prints; empty when it fails.
pub(crate) fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).stderr(Stdio::null()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

/// A static program from the C file beside this one.
fn udp_echo() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let (source, program) = (dir.path().join("udp_echo.c"), dir.path().join("udp-echo"));
    std::fs::write(&source, include_str!("udp_echo.c")).unwrap();
    let made = Command::new("cc").args(["-static", "-O1", "-o"]).args([&program, &source]).status().unwrap();
    assert!(made.success());
    std::fs::read(program).unwrap()
}

/// Makes an image of busybox and the echo program from a tar of its root.
pub(crate) fn build_image(name: &str, changes: &[&str]) {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().map(PathBuf::from).find(|path| path.exists());
    let busybox = std::fs::read(busybox.expect("busybox-static is installed")).unwrap();
    let applets = output("busybox", &["--list"]);
    let mut builder = tar::Builder::new(Vec::new());
    let mut entry = |name: &str, mode: u32, kind: tar::EntryType, data: &[u8], link: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(data.len() as u64);
        match kind {
            tar::EntryType::Symlink => builder.append_link(&mut header, name, link).unwrap(),
            _ => builder.append_data(&mut header, name, data).unwrap(),
        }
    };
    entry("bin/busybox", 0o755, tar::EntryType::Regular, &busybox, "");
    entry("bin/udp-echo", 0o755, tar::EntryType::Regular, &udp_echo(), "");
    entry("tmp/", 0o1777, tar::EntryType::Directory, &[], "");
    for applet in applets.lines().filter(|applet| *applet != "busybox") {
        entry(&format!("bin/{applet}"), 0o777, tar::EntryType::Symlink, &[], "busybox");
    }
    let archive = builder.into_inner().unwrap();
    let mut command = Command::new("docker");
    command.arg("import").arg("--change").arg("ENV PATH=/bin");
    for change in changes {
        command.arg("--change").arg(change);
    }
    let mut import = command.arg("-").arg(name).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    import.stdin.take().unwrap().write_all(&archive).unwrap();
    assert!(import.wait().unwrap().success());
}

impl Docker {
    pub(crate) fn new() -> Self {
        // One process builds it, the others wait.
        let lock = std::fs::File::create(std::env::temp_dir().join("iono-test-image.lock")).unwrap();
        lock.lock().unwrap();
        if output("docker", &["image", "inspect", "-f", "{{.Id}}", IMAGE]).trim().is_empty() {
            build_image(IMAGE, &[]);
        }
        let dir = tempfile::tempdir().unwrap();
        let runtime = Arc::new(DockerRuntime::new(config(dir.path())));
        Self { dir, runtime }
    }
}

#[async_trait]
impl Harness for Docker {
    fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::clone(&self.runtime) as Arc<dyn Runtime>
    }

    fn forgetful(&self) -> Arc<dyn Runtime> {
        Arc::new(DockerRuntime::new(config(&self.dir.path().join("empty"))))
    }

    fn unreachable(&self) -> Arc<dyn Runtime> {
        let socket = PathBuf::from("/nowhere/docker.sock");
        Arc::new(DockerRuntime::new(DockerConfig { socket, ..config(self.dir.path()) }))
    }

    fn image(&self) -> String {
        IMAGE.to_owned()
    }

    async fn leftovers(&self, lease: LeaseId) -> Vec<String> {
        let (filter, format) = (format!("label=network.ionosphere.lease={lease}"), "{{json .}}");
        let mut found = String::new();
        for what in ["container", "network", "volume"] {
            let all: &[&str] = if what == "container" { &["-a"] } else { &[] };
            let args =
                [&[what, "ls"], all, &["--no-trunc", "--filter", &filter, "--format", format]].concat();
            let args: Vec<&str> =
                args.into_iter().filter(|arg| what != "volume" || *arg != "--no-trunc").collect();
            found += &output("docker", &args);
        }
        let (part, end) = (format!("/{lease}/"), format!("/{lease}"));
        let ours = |line: &&str| line.contains(&part) || line.ends_with(&end);
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        found.extend(mounts.lines().filter(ours).map(|line| format!("mount {line}\n")));
        for root in [self.dir.path().to_str().unwrap(), "/run/ionosphere", "/dev/shm/ionosphere"] {
            let files = output("find", &[root]);
            found.extend(files.lines().filter(ours).map(|line| format!("file {line}\n")));
        }
        let loops = output("losetup", &["-a", "-l", "-n", "-O", "BACK-FILE"]);
        found.extend(loops.lines().filter(ours).map(|line| format!("loop {line}\n")));
        found.lines().map(str::to_owned).collect()
    }
}
