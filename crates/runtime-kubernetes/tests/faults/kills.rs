//! The process dies by SIGKILL at each of this crate's fail-points; the next one finishes what it began, and what served
//! before serves all the time.

use std::net::{IpAddr, SocketAddr};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use iono_primitives::LeaseId;
use iono_runtime::conformance::support::Routed;
use iono_runtime::conformance::{Harness, with_lease};
use iono_runtime::{Runtime, Switchboard, Workload};
use iono_runtime_kubernetes::FAIL_POINTS;
use rstest::rstest;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use crate::common::{Cluster, owner};
use crate::support::{Client, fresh, is_exactly, lease_of, objects, pods, small};

/// The router lives in the parent: it must not die with the child.
struct Remote(SocketAddr);

#[async_trait]
impl Switchboard for Remote {
    async fn route(&self, _: LeaseId, service: &str, replicas: &[IpAddr], drain: Duration) {
        let mut stream = TcpStream::connect(self.0).await.unwrap();
        let word = json!([service, replicas, drain.as_secs()]).to_string() + "\n";
        stream.write_all(word.as_bytes()).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'.');
    }
}

/// Does what the child's switchboard is told.
async fn obey(listener: TcpListener, lease: LeaseId, routed: Arc<Routed>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut word = String::new();
        stream.read_line(&mut word).await.unwrap();
        let (service, replicas, drain): (String, Vec<IpAddr>, u64) = serde_json::from_str(&word).unwrap();
        routed.route(lease, &service, &replicas, Duration::from_secs(drain)).await;
        drop(stream.write_all(b".").await);
    }
}

fn desired(cluster: &Cluster, lease: LeaseId, generation: &str, replicas: u32) -> Workload {
    let mut service = small(cluster, generation);
    service.replicas = replicas;
    lease_of(lease, generation, service)
}

/// What the child process does; not a test of its own.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the tests of this file in a process of its own"]
async fn child() {
    let var = |name: &str| std::env::var(name).unwrap();
    let lease = LeaseId(var("IONO_TEST_LEASE").parse().unwrap());
    let replicas = var("IONO_TEST_REPLICAS").parse().unwrap();
    let switch = Remote(var("IONO_TEST_ROUTER").parse().unwrap());
    let cluster = Cluster::new();
    let runtime = fresh(&cluster.config, Path::new(&var("IONO_TEST_DIR")));
    let desired = |generation| desired(&cluster, lease, generation, replicas);
    match var("IONO_TEST_DO").as_str() {
        "apply" => runtime.apply(&desired("one"), &switch).await.unwrap(),
        "update" => runtime.apply(&desired("two"), &switch).await.unwrap(),
        "restart" => runtime.restart(lease, None, &switch).await.unwrap(),
        "remove" => runtime.remove(lease).await.unwrap(),
        "store" => runtime.store_manifest(lease, b"two").await.unwrap(),
        other => panic!("{other}"),
    }
}

#[rstest]
#[case("kubernetes.after_space", "apply", 1)]
#[case("kubernetes.mid_send", "apply", 1)]
#[case("kubernetes.before_sign", "apply", 1)]
#[case("kubernetes.mid_send", "update", 1)]
#[case("kubernetes.before_sign", "update", 1)]
#[case("kubernetes.mid_update", "update", 1)]
#[case("kubernetes.mid_update:2", "update", 2)]
#[case("kubernetes.mid_restart", "restart", 1)]
#[case("kubernetes.mid_remove", "remove", 1)]
#[case("kubernetes.after_pods", "remove", 1)]
#[case("kubernetes.after_manifest", "store", 1)]
#[tokio::test(flavor = "multi_thread")]
async fn goes_on_after_a_kill(#[case] point: &str, #[case] what: &str, #[case] replicas: u32) {
    let cluster = Cluster::new();
    with_lease(&cluster, async |lease| {
        Kill { cluster: &cluster, lease, point, what, replicas }.survived().await
    })
    .await;
}

struct Kill<'a> {
    cluster: &'a Cluster,
    lease: LeaseId,
    point: &'a str,
    what: &'a str,
    replicas: u32,
}

impl Kill<'_> {
    async fn survived(&self) {
        let (dir, config, lease) = (self.cluster.dir.path(), &self.cluster.config, self.lease);
        let routed = Arc::new(Routed::new(lease, Vec::new()).await);
        let one = desired(self.cluster, lease, "one", self.replicas);
        if self.what != "apply" {
            let before = fresh(config, dir);
            before.store_manifest(lease, b"one").await.unwrap();
            before.apply(&one, &*routed).await.unwrap();
        }
        let client = matches!(self.what, "update" | "restart").then(|| Client::new(&routed));
        self.die(&routed).await;
        let left = pods(lease);
        let after = fresh(config, dir);
        let seen = after.observe().await.unwrap();
        assert!(seen.iter().any(|seen| seen.lease == lease), "what is left is still known");
        if client.is_some() {
            // Who was cut off may come back late: nothing of the old ends before somebody goes on.
            tokio::time::sleep(Duration::from_secs(3)).await;
            assert!(pods(lease).is_superset(&left));
        }
        let two = desired(self.cluster, lease, "two", self.replicas);
        match self.what {
            "apply" => after.apply(&one, &*routed).await.unwrap(),
            "update" => after.apply(&two, &*routed).await.unwrap(),
            "restart" => after.restart(lease, None, &*routed).await.unwrap(),
            "remove" => after.remove(lease).await.unwrap(),
            "store" => after.store_manifest(lease, b"two").await.unwrap(),
            other => panic!("{other}"),
        }
        let requests = match client {
            Some(client) => client.end().await,
            None => 0,
        };
        if self.what == "remove" {
            assert_eq!(self.cluster.leftovers(lease).await, Vec::<String>::new());
            assert!(after.observe().await.unwrap().iter().all(|seen| seen.lease != lease));
        } else {
            let (want, body) = if self.what == "update" { (two, "body-two\n") } else { (one, "body-one\n") };
            if self.what == "store" {
                assert_eq!(after.load_manifest(lease).await.unwrap().unwrap(), b"two");
            }
            drop(after);
            is_exactly(self.cluster, &want).await;
            assert_eq!(routed.get().await.unwrap(), (200, body.to_owned()));
        }
        self.record(requests);
    }

    /// A child does it, and dies of it.
    async fn die(&self, routed: &Arc<Routed>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let router = listener.local_addr().unwrap();
        let obeys = tokio::spawn(obey(listener, self.lease, Arc::clone(routed)));
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kills::child", "--ignored", "--test-threads=1"])
            .env("IONO_FAILPOINT", self.point)
            .env("IONO_TEST_PROVIDER", owner().provider.to_string())
            .env("IONO_TEST_LEASE", self.lease.to_string())
            .env("IONO_TEST_REPLICAS", self.replicas.to_string())
            .env("IONO_TEST_ROUTER", router.to_string())
            .env("IONO_TEST_DIR", self.cluster.dir.path())
            .env("IONO_TEST_DO", self.what)
            .stdout(std::process::Stdio::null())
            .status()
            .await
            .unwrap();
        obeys.abort();
        assert_eq!(status.signal(), Some(9), "it did not die at {}: {status}", self.point);
    }

    fn record(&self, requests: usize) {
        let name = self.point.split(':').next().unwrap();
        assert!(FAIL_POINTS.contains(&name));
        let found = json!({"call": self.what, "objects": objects(self.lease).len(), "requests": requests});
        iono_testkit::faults::record("kubernetes", name, &found).unwrap();
    }
}

#[test]
fn every_fail_point_is_in_one_of_these_tests() {
    let tests = include_str!("kills.rs");
    for point in FAIL_POINTS {
        assert!(tests.contains(&format!("#[case(\"{point}\"")), "nothing is killed at {point}");
    }
}
