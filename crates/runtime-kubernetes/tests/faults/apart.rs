//! A cluster whose store was wiped is another cluster, whatever its address and its certificate say. It has an API server of
//! its own for this, without nodes: objects are kept there, and no pod ever runs.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use iono_primitives::LeaseId;
use iono_runtime::api::NoSwitchboard;
use iono_runtime::conformance::image::output;
use iono_runtime::conformance::support::{eventually, shell};
use iono_runtime::{Observed, Runtime, Workload};
use kube::Config;
use tempfile::TempDir;

use crate::common::{Cluster, config_of};
use crate::support::{fresh, lease_of, namespace, unreachable};

struct Apart {
    dir: TempDir,
    port: u16,
}

impl Apart {
    fn new() -> Self {
        // Three ports in a row that nobody listens at.
        let free = |port: &u16| (*port..port + 3).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
        let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
        let port = (first..first + 1_000).step_by(3).find(free).unwrap();
        let apart = Self { dir: tempfile::tempdir().unwrap(), port };
        apart.up();
        apart
    }

    fn script(&self, what: &str, more: &[&str]) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/testbed/apart");
        let status = Command::new(script).arg(what).arg(self.dir.path()).args(more).status().unwrap();
        assert!(status.success(), "deploy/testbed/apart {what}");
    }

    fn up(&self) {
        self.script("up", &[&self.port.to_string()]);
    }

    fn down(&self) {
        self.script("down", &[]);
    }

    /// The store is lost, and the API server begins with an empty one.
    fn wipe(&self) {
        self.down();
        self.script("wipe", &[]);
        self.up();
    }

    fn config(&self) -> Config {
        config_of(&self.dir.path().join("admin.conf"))
    }

    fn kubectl(&self, args: &[&str]) -> String {
        let config = format!("--kubeconfig={}", self.dir.path().join("admin.conf").display());
        output("kubectl", &[&[config.as_str()], args].concat())
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        self.down();
    }
}

/// All its objects are sent; that no replica comes of them is told a minute later, which nobody waits for.
async fn send(runtime: &dyn Runtime, workload: &Workload) {
    let signed = eventually("the lease is signed", async || {
        let seen = runtime.observe().await.unwrap();
        seen.iter().any(|one| one.manifest_hash == workload.manifest_hash).then_some(())
    });
    tokio::select! {
        result = runtime.apply(workload, &NoSwitchboard) => panic!("{result:?}"),
        () = signed => {}
    }
}

/// The same is seen as before, soon after the API server is back.
async fn sees(runtime: &dyn Runtime, before: &[Observed]) {
    let begin = Instant::now();
    let seen = eventually("an answer", async || runtime.observe().await.ok()).await;
    assert!(begin.elapsed() < Duration::from_secs(5), "the truth took {:?}", begin.elapsed());
    assert_eq!(seen, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_store_is_another_cluster() {
    let (apart, dir, lease) = (Apart::new(), tempfile::tempdir().unwrap(), LeaseId(1));
    let runtime = fresh(&apart.config(), dir.path());
    runtime.store_manifest(lease, b"sealed").await.unwrap();
    let desired = lease_of(lease, "a", shell(&Cluster::new(), "app", "exec sleep 1000"));
    send(&runtime, &desired).await;
    let before = runtime.observe().await.unwrap();
    assert!(before.len() == 1 && before[0].has_manifest && before[0].services.len() == 1, "{before:?}");

    // Only restarted: the same cluster.
    apart.down();
    unreachable("observe", runtime.observe()).await;
    apart.up();
    sees(&runtime, &before).await;

    apart.wipe();
    // Something with the lease's names is there, as when the configuration leads to somebody else's cluster.
    apart.kubectl(&["create", "namespace", &namespace(lease)]);
    let words = eventually("an answer of the new one", async || {
        let words = unreachable("observe", runtime.observe()).await;
        words.contains("another cluster").then_some(words)
    })
    .await;
    unreachable("apply", runtime.apply(&desired, &NoSwitchboard)).await;
    unreachable("remove", runtime.remove(lease)).await;
    unreachable("load_manifest", runtime.load_manifest(lease)).await;
    assert!(apart.kubectl(&["get", "namespace", &namespace(lease)]).contains("Active"), "nothing is removed");
    let born_anew = fresh(&apart.config(), dir.path());
    assert!(
        unreachable("observe", born_anew.observe()).await.contains("another cluster"),
        "also after a restart"
    );

    // Who lost this machine's disk together with the cluster's store cannot know that there was one: no lease is seen, and
    // the provider learns from the chain alone what it has to bring back.
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(fresh(&apart.config(), empty.path()).observe().await.unwrap(), []);

    let (_, file) = words.split_once("remove ").unwrap();
    assert!(file.starts_with(dir.path().to_str().unwrap()), "{words}");
    std::fs::remove_file(file).unwrap();
    sees(&runtime, &[]).await;
    runtime.store_manifest(lease, b"again").await.unwrap();
    assert_eq!(runtime.load_manifest(lease).await.unwrap().as_deref(), Some(&b"again"[..]));
    send(&runtime, &Workload { lease: LeaseId(2), ..desired }).await;
}
