//! What happens to a lease when its machine loses power, when the engine crashes, and when somebody flushes the
//! firewall; on an engine of this test's own, in namespaces of its own, so that everything in memory goes with them.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Docker, IMAGE, config, output};
use iono_primitives::LeaseId;
use iono_runtime::api::NoSwitchboard;
use iono_runtime::{Port, Protocol, Runtime, Service, Workload};
use iono_runtime_docker::{DockerConfig, DockerRuntime};

/// The first process of the machine: starts the engine, and again when it dies.
const INIT: &str = r#"
mount -t tmpfs tmpfs /run
mkdir /run/docker
ip link set lo up
while :; do
    dockerd --data-root "$1/docker" --exec-root /run/docker --pidfile /run/docker.pid --host "unix://$1/docker.sock" \
        --bridge none --cgroup-parent "$2" --log-level error >>"$1/log" 2>&1
    sleep 0.1
done
"#;

/// A machine with a disk, which survives, and everything else, which does not.
struct Machine {
    dir: tempfile::TempDir,
    cgroup: String,
    unshare: Child,
}

impl Machine {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let cgroup = format!("/iono-test-{}", std::process::id());
        let machine = Self { unshare: Self::boot(dir.path(), &cgroup), dir, cgroup };
        machine.wait("the engine answers", || machine.answers()).await;
        machine
    }

    fn boot(dir: &Path, cgroup: &str) -> Child {
        let namespaces = ["--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"];
        let mut command = Command::new("unshare");
        command.args(namespaces).args(["sh", "-c", INIT, "init"]).arg(dir).arg(cgroup);
        command.stdin(Stdio::null()).spawn().unwrap()
    }

    /// Every process, mount, rule and file in memory is gone; then it starts again.
    async fn power_cycle(&mut self) {
        self.unshare.kill().unwrap();
        self.unshare.wait().unwrap();
        std::fs::remove_file(self.socket()).unwrap();
        self.unshare = Self::boot(self.dir.path(), &self.cgroup);
        self.wait("the engine answers again", || self.answers()).await;
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("docker.sock")
    }

    async fn wait(&self, what: &str, mut done: impl FnMut() -> bool) {
        let start = Instant::now();
        while !done() {
            let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            assert!(start.elapsed() < Duration::from_secs(60), "not within a minute: {what}\n{log}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn docker(&self, args: &[&str]) -> String {
        let host = format!("unix://{}", self.socket().display());
        output("docker", &[&["--host", host.as_str()], args].concat()).trim().to_owned()
    }

    /// A command in the machine's namespaces.
    fn inside(&self) -> Command {
        let unshare = self.unshare.id();
        let children = std::fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children")).unwrap();
        let mut command = Command::new("nsenter");
        command.args(["--target", children.trim(), "--mount", "--net", "--pid", "--"]);
        command
    }

    fn shell(&self, line: &str) -> String {
        let output = self.inside().args(["sh", "-c", line]).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs the provider's part in a process in the machine.
    fn provider(&self, what: &str) {
        let mut command = self.inside();
        command.arg(std::env::current_exe().unwrap()).args([
            "--exact",
            "child",
            "--ignored",
            "--test-threads=1",
        ]);
        command.env("IONO_TEST_DIR", self.dir.path()).env("IONO_TEST_DO", what);
        command.env("IONO_TEST_PROVIDER", common::owner().provider.to_string());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stdout));
    }

    fn answers(&self) -> bool {
        !self.docker(&["version", "-f", "{{.Server.Version}}"]).is_empty()
    }

    fn running(&self, name: &str) -> bool {
        !self.docker(&["ps", "-q", "--filter", &format!("name={name}")]).is_empty()
    }

    /// What the web server gets from the database.
    fn asks(&self) -> String {
        let web = self.docker(&["ps", "-q", "--filter", "label=network.ionosphere.service=web"]);
        self.docker(&["exec", &web, "timeout", "2", "wget", "-q", "-O", "-", "http://db/"])
    }

    fn is_guarded(&self) -> bool {
        let rules = self.shell("iptables-save");
        ["FORWARD -j DOCKER-USER", "DOCKER-USER -i iono+ -j IONO-EGRESS", "INPUT -i iono+ -j IONO-HOST"]
            .iter()
            .all(|rule| rules.contains(&format!("-A {rule}\n")))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.unshare.kill());
        drop(self.unshare.wait());
        // The kernel keeps the groups of processes that are gone.
        output(
            "sh",
            &[
                "-c",
                &format!("find /sys/fs/cgroup -depth -type d -path '*{}*' -exec rmdir {{}} +", self.cgroup),
            ],
        );
    }
}

fn desired() -> Workload {
    let service = |name: &str, line: &str| {
        let mut service = Service::new(name, IMAGE);
        service.command = ["/bin/sh", "-c", line].map(str::to_owned).to_vec();
        service.limits.memory_mib = 32;
        service
    };
    let line = "mkdir -p /www; echo kept > /www/index.html; exec httpd -f -p 8080 -h /www";
    let mut db = service("db", line);
    db.ports = vec![Port { external: 80, to: vec!["web".to_owned()], ..Port::new(8080, Protocol::Tcp) }];
    let services = vec![db, service("web", "exec sleep 1000")];
    Workload { lease: LeaseId(1), manifest_hash: "1".to_owned(), services }
}

/// What the provider does in the machine; not a test of its own.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the tests of this file in a process of its own"]
async fn child() {
    let var = |name: &str| std::env::var(name).unwrap();
    let dir = PathBuf::from(var("IONO_TEST_DIR"));
    let runtime = DockerRuntime::new(DockerConfig { socket: dir.join("docker.sock"), ..config(&dir) });
    if var("IONO_TEST_DO") == "apply" {
        runtime.apply(&desired(), &NoSwitchboard).await.unwrap();
    }
    // By itself it looks after the rules as soon as it starts.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(runtime.observe().await.unwrap().iter().all(iono_runtime::Observed::is_ready));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_comes_back_behind_its_guard() {
    // It is not used, but makes the image.
    drop(Docker::new());
    let mut machine = Machine::new().await;
    let archive = machine.dir.path().join("image.tar");
    output("docker", &["save", "-o", archive.to_str().unwrap(), IMAGE]);
    machine.docker(&["load", "-i", archive.to_str().unwrap()]);
    // Somebody else's container, which the engine starts again whatever happens.
    let plain = format!("run -d --name plain --restart always --network none {IMAGE} sleep 1000");
    machine.docker(&plain.split(' ').collect::<Vec<_>>());
    machine.provider("apply");
    let own = machine.docker(&["ps", "-q", "--no-trunc", "--filter", "label=network.ionosphere.lease=1"]);
    assert_eq!((own.lines().count(), machine.asks().as_str(), machine.is_guarded()), (2, "kept", true));

    // A crash of the engine leaves the rules, so it may start everything again by itself.
    machine.shell("kill -9 $(cat /run/docker.pid)");
    machine.wait("the engine is back", || machine.running("plain") && machine.asks() == "kept").await;
    assert!(machine.is_guarded());

    // Somebody flushes the firewall: the provider mends it, with the lease's own rules.
    machine.shell("iptables -F; iptables -t nat -F PREROUTING");
    assert_eq!((machine.asks().as_str(), machine.is_guarded()), ("", false));
    machine.provider("look");
    assert_eq!((machine.asks().as_str(), machine.is_guarded()), ("kept", true));

    // After a reboot nothing of the lease runs until the provider has put the guard back.
    machine.power_cycle().await;
    machine.wait("other containers are back", || machine.running("plain")).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ours = machine.docker(&["ps", "-q", "--filter", "label=network.ionosphere.lease=1"]);
    assert_eq!((ours.as_str(), machine.is_guarded()), ("", false));
    machine.provider("apply");
    assert_eq!((machine.asks().as_str(), machine.is_guarded()), ("kept", true));
    let again = machine.docker(&["ps", "-q", "--no-trunc", "--filter", "label=network.ionosphere.lease=1"]);
    let sorted = |ids: &str| ids.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(sorted(&again), sorted(&own), "the same containers");
}
