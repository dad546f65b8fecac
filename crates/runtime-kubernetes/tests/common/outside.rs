//! Places that no lease may reach, with somebody there who would answer; and a pod that may reach them all.

use std::fs::File;
use std::io::Write;
use std::net::{IpAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use iono_runtime::conformance::Harness;
use serde_json::json;

use super::{Cluster, kubeconfig, kubectl};

/// Where clouds tell their machines' secrets.
pub(crate) const METADATA: &str = "169.254.169.254";

/// Runs kubectl with this input.
pub(crate) fn kubectl_with(args: &[&str], input: &str) -> Output {
    let mut child = Command::new("kubectl")
        .arg(format!("--kubeconfig={}", kubeconfig().display()))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// What kubectl prints, which must be something.
pub(crate) fn told(args: &[&str]) -> String {
    let output = kubectl_with(args, "");
    assert!(output.status.success() && !output.stdout.is_empty(), "kubectl {args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Answers connections at an address of this machine until it is dropped with the test.
pub(crate) fn listen(address: &str, port: u16) -> u16 {
    let listener = TcpListener::bind((address.parse::<IpAddr>().unwrap(), port)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            drop(stream.and_then(|mut stream| stream.write_all(b"hello\n")));
        }
    });
    port
}

/// The metadata address on this machine. It goes again even when the test is killed: somebody waits for its end.
pub(crate) struct Metadata {
    remover: Child,
    _lock: File,
}

impl Metadata {
    pub(crate) fn new() -> Self {
        let lock = File::create(std::env::temp_dir().join("iono-test-metadata.lock")).unwrap();
        lock.lock().unwrap();
        let line = format!("read -r _; ip addr del {METADATA}/32 dev lo");
        let mut remover = Command::new("sh");
        // Not of our group, which may be killed as a whole.
        remover.args(["-c", &line]).stdin(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let remover = remover.spawn().unwrap();
        let address = format!("{METADATA}/32");
        let added = Command::new("ip").args(["addr", "replace", &address, "dev", "lo"]).status().unwrap();
        assert!(added.success(), "these tests need the right to add an address");
        Self { remover, _lock: lock }
    }
}

impl Drop for Metadata {
    fn drop(&mut self) {
        drop(self.remover.stdin.take());
        drop(self.remover.wait());
    }
}

/// A pod without any policy: what it reaches can be reached, so that silence elsewhere is a policy's.
pub(crate) struct Free {
    space: String,
}

impl Free {
    pub(crate) fn new(cluster: &Cluster) -> Self {
        let free = Self { space: format!("iono-test-free-{}", std::process::id()) };
        let (space, image) = (&free.space, cluster.image());
        let limits = json!({"limits": {"cpu": "50m", "memory": "16Mi"}});
        let pod = json!({
            // It ends by itself if nobody is left to remove it.
            "activeDeadlineSeconds": 300,
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "containers": [{"name": "free", "image": image, "command": ["sleep", "1000"], "resources": limits}]
        });
        let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}},
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "free", "namespace": space}, "spec": pod},
        ]})
        .to_string();
        let made = kubectl_with(&["apply", "-f", "-"], &objects);
        assert!(made.status.success(), "{made:?}");
        let waited = told(&["wait", "-n", space, "--for=condition=Ready", "--timeout=60s", "pod/free"]);
        assert!(waited.contains("condition met"), "{waited}");
        free
    }

    /// Waits until it reaches a port: the enforcer lets nobody through whom it does not know yet.
    pub(crate) async fn reaches(&self, address: &str, port: u16) {
        let start = Instant::now();
        let port = port.to_string();
        loop {
            let words = ["exec", "-n", &self.space, "free", "--", "timeout", "2", "nc", address, &port];
            if kubectl_with(&words, "").status.success() {
                return;
            }
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "nobody reaches {address}:{port}, so it says nothing that a lease does not"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

impl Drop for Free {
    fn drop(&mut self) {
        kubectl(&["delete", "namespace", &self.space, "--wait=false"]);
    }
}
