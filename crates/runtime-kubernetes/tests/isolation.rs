//! What tenants may try, tried on a real cluster from inside their pods. Each attempt fails, and the test names what refused
//! it.
//!
//! Others are made elsewhere: hostile manifests in `hostile.rs`, a host name that belongs to another lease in the router's
//! tests (`hosts_and_ports_belong_to_one_lease`), an image that changes behind its tag in `registry.rs`, what a reader gets
//! of a flood of lines in the conformance suite.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::attempts::{Attempts, Layer, SILENCE};
use common::outside::{Free, METADATA, Metadata, kubectl_with, listen, told};
use common::{Cluster, kubectl, settings};
use futures::future::join_all;
use iono_primitives::LeaseId;
use iono_runtime::api::NoSwitchboard;
use iono_runtime::conformance::support::{
    PORT, Ran, eventually, get, job, log_text, replicas, run, shell, web, workload,
};
use iono_runtime::conformance::{Harness, with_lease};
use iono_runtime::{Runtime, Workload};
use iono_runtime_kubernetes::Names;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// Pod Security admission is on by default from this minor version.
const POD_SECURITY: u32 = 23;

/// Gives itself more memory, in either of the two forms that a kernel has for it.
const LIMIT: &str = "file=/sys/fs/cgroup/memory/memory.limit_in_bytes; [ -e $file ] || file=/sys/fs/cgroup/memory.max; \
                     echo 8000000000 > $file";

fn space(cluster: &Cluster, lease: LeaseId) -> String {
    Names::new(settings(cluster.dir.path()).vault.owner()).namespace(lease)
}

/// A command of a tenant in its service `app`.
async fn inside(runtime: &Arc<dyn Runtime>, lease: LeaseId, line: &str) -> Ran {
    run(&**runtime, lease, "app", line, "").await
}

async fn apply(runtime: &Arc<dyn Runtime>, workload: Workload) {
    runtime.apply(&workload, &NoSwitchboard).await.unwrap();
}

/// What kubectl, as the cluster's administrator, says on standard error when it is refused.
fn refusal(args: &[&str], object: &Value) -> String {
    let output = kubectl_with(args, &object.to_string());
    assert!(!output.status.success(), "it was taken: {object}");
    String::from_utf8(output.stderr).unwrap()
}

fn pod(name: &str, spec: &Value) -> Value {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
        // It must not run: what counts is whether it may be.
        "nodeSelector": {"iono-test": "nowhere"},
        "containers": [{"name": "app", "image": "app", "resources": {"limits": limits("10m")}}]
    }});
    for (key, value) in spec.as_object().unwrap() {
        pod["spec"][key] = value.clone();
    }
    pod
}

fn limits(cpu: &str) -> Value {
    json!({"cpu": cpu, "memory": "8Mi", "ephemeral-storage": "8Mi"})
}

/// Every way is tried by one lease while it reaches its own service, and by a pod without policies, which must get through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_leases_and_the_host_are_silent() {
    let cluster = Cluster::new();
    let metadata = Metadata::new();
    listen(METADATA, 80);
    let lan = listen("172.17.0.1", 0);
    let free = Free::new(&cluster);
    with_lease(&cluster, async |victim| {
        with_lease(&cluster, async |lease| {
            let runtime = cluster.runtime();
            let own = workload(lease, vec![web(&cluster, "own"), shell(&cluster, "app", "exec sleep 1000")]);
            let other = workload(victim, vec![web(&cluster, "secret")]);
            tokio::join!(apply(&runtime, own), apply(&runtime, other));
            let reach = async |to: &str, port: u16| {
                inside(&runtime, lease, &format!("timeout 2 nc {to} {port} </dev/null")).await
            };
            // The enforcer has let them in once they reach their own.
            eventually("it reaches its own", async || (reach("web", PORT).await.code == 0).then_some(()))
                .await;
            let node = told(&["get", "nodes", "-o", "jsonpath={.items[0].status.addresses[0].address}"]);
            let api = told(&["get", "service", "kubernetes", "-o", "jsonpath={.spec.clusterIP}"]);
            let behind =
                told(&["get", "endpoints", "kubernetes", "-o", "jsonpath={.subsets[0].addresses[0].ip}"]);
            let places: [(&'static str, &str, u16); 8] = [
                ("the kubelet", &node, 10_250),
                ("the kubelet at the machine's address", &behind, 10_250),
                ("the API server's service", &api, 443),
                ("the API server at the node", &node, 6_443),
                ("the API server at the machine's address", &behind, 6_443),
                ("another address of this machine", "172.17.0.1", lan),
                ("the machine's metadata", METADATA, 80),
                ("the node's proxy of services", &node, 10_256),
            ];
            let mut attempts = Attempts::default();
            // The node itself is an allowed place: requests come from there.
            let theirs = space(&cluster, victim);
            let address = replicas(&*runtime, victim, "web").await.remove(0).address.unwrap();
            let service = told(&["get", "service", "web", "-n", &theirs, "-o", "jsonpath={.spec.clusterIP}"]);
            for known in [address, service.parse::<IpAddr>().unwrap()] {
                // A service leads to its pods a moment after they are ready.
                eventually("an answer to the node", async || {
                    let answer = get(SocketAddr::new(known, PORT), "x").await.ok()?;
                    (answer.1 == "body-secret\n").then_some(())
                })
                .await;
            }
            let name = format!("web.{theirs}.svc.cluster.local");
            let found = inside(&runtime, lease, &format!("nslookup {name}")).await;
            assert!(found.out.contains(&service), "a name that leads nowhere is no attempt: {}", found.out);
            let address = address.to_string();
            let others = [
                ("another lease's pod", address.as_str(), PORT),
                ("another lease's service", &service, PORT),
                ("another lease's service by its name", &name, PORT),
            ];
            for (_, to, port) in places {
                free.reaches(to, port).await;
            }
            let all = places.into_iter().chain(others).map(async |(what, to, port)| {
                let ran = reach(to, port).await;
                (what, format!("nc {to} {port}"), ran)
            });
            let mut leaks = Vec::new();
            for (what, how, ran) in join_all(all).await {
                match silence(&ran) {
                    Some(evidence) => attempts.refused(what, how, Layer::PolicyEnforcer, evidence),
                    None => leaks.push(format!("{what} ({how}): {} {} {}", ran.code, ran.out, ran.err)),
                }
            }
            assert_eq!(reach("web", PORT).await.code, 0, "meanwhile it reaches its own");
            attempts.print();
            assert!(leaks.is_empty(), "reached:\n{}", leaks.join("\n"));
        })
        .await;
    })
    .await;
    drop(metadata);
}

/// The words for packets that vanished: neither an answer nor a refusal before the time was over.
fn silence(ran: &Ran) -> Option<&'static str> {
    let is_silent = ran.code == 143 && ran.out.is_empty() && !ran.err.contains("refused");
    is_silent.then_some(SILENCE)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_has_no_right_and_no_identity() {
    let cluster = Cluster::new();
    with_lease(&cluster, async |lease| {
        let runtime = cluster.runtime();
        let service = shell(&cluster, "app", "exec sleep 1000");
        apply(&runtime, workload(lease, vec![service])).await;
        let mut attempts = Attempts::default();
        let tries: [(&'static str, &str, Layer); 10] = [
            ("a token of the cluster", "ls /var/run/secrets/kubernetes.io/serviceaccount", Layer::NoToken),
            ("forged packets", "arping -c 1 -w 1 10.245.0.1", Layer::Kernel),
            ("packets of its own making", "ping -c 1 -W 1 10.245.0.1", Layer::Kernel),
            ("another address", "ip addr add 10.244.0.1/32 dev eth0", Layer::Kernel),
            ("another way for packets", "ip route add 10.0.0.0/8 dev eth0", Layer::Kernel),
            ("a mount", "mount -t tmpfs none /tmp", Layer::Kernel),
            ("a device of the node", "mknod /tmp/disk b 253 0", Layer::Kernel),
            ("another view of the machine", "unshare -m true", Layer::Kernel),
            ("the kernel's switches", "echo 1 > /proc/sys/kernel/panic", Layer::Mounts),
            ("its own limits", LIMIT, Layer::Mounts),
        ];
        for (what, line, layer) in tries {
            let ran = inside(&runtime, lease, line).await;
            assert_ne!(ran.code, 0, "{line}: {}", ran.out);
            attempts.refused(what, line, layer, format!("{}{}", ran.out, ran.err));
        }
        let server = told(&["config", "view", "-o", "jsonpath={.clusters[0].cluster.server}"]);
        let stranger = [
            "--kubeconfig=/dev/null",
            "--token=none",
            "--insecure-skip-tls-verify",
            "get",
            "pods",
            "--server",
            &server,
        ];
        let said = std::process::Command::new("kubectl").args(stranger).output().unwrap();
        let said = String::from_utf8(said.stderr).unwrap();
        attempts.refused(
            "the API server, if it were reached",
            "kubectl with a made-up token",
            Layer::NoIdentity,
            said,
        );
        admission(&cluster, lease, &mut attempts);
        attempts.print();
    })
    .await;
}

/// Pods that no manifest can describe, made in the lease's namespace by the administrator himself. The namespace asks for
/// Pod Security; where the cluster is too old to know that, what keeps a tenant from it is that it has no identity there.
fn admission(cluster: &Cluster, lease: LeaseId, attempts: &mut Attempts) {
    let space = space(cluster, lease);
    let namespace: Value = serde_json::from_str(&told(&["get", "namespace", &space, "-o", "json"])).unwrap();
    assert_eq!(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "baseline");
    let version: Value = serde_json::from_str(&told(&["get", "--raw", "/version"])).unwrap();
    let digits: String =
        version["minor"].as_str().unwrap().chars().take_while(char::is_ascii_digit).collect();
    let knows_pod_security = digits.parse::<u32>().unwrap() >= POD_SECURITY;
    let privileged = json!([{
        "name": "app", "image": "app", "securityContext": {"privileged": true},
        "resources": {"limits": limits("10m")},
    }]);
    for (what, spec) in [
        ("a privileged pod", json!({"containers": privileged})),
        ("a pod with the node's files", json!({"volumes": [{"name": "root", "hostPath": {"path": "/"}}]})),
        ("a pod in the node's network", json!({"hostNetwork": true})),
    ] {
        let args = ["create", "-n", &space, "--dry-run=server", "-f", "-"];
        let object = pod("hostile", &spec);
        if knows_pod_security {
            attempts.refused(what, "kubectl create", Layer::Admission, refusal(&args, &object));
        } else {
            let made = kubectl_with(&args, &object.to_string());
            assert!(made.status.success(), "something refuses it, and the table should name it: {made:?}");
            let asked = [
                "--as=system:serviceaccount:none:none",
                "create",
                "-n",
                &space,
                "--dry-run=server",
                "-f",
                "-",
            ];
            attempts.refused(
                what,
                "kubectl create as a service account",
                Layer::NoIdentity,
                refusal(&asked, &object),
            );
            eprintln!(
                "{what}: this cluster is older than Pod Security; a tenant has no identity to ask for it with"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_taken_that_is_not_paid_for() {
    let cluster = Cluster::new();
    with_lease(&cluster, async |lease| {
        let runtime = cluster.runtime();
        apply(&runtime, workload(lease, vec![shell(&cluster, "app", "exec sleep 1000")])).await;
        let space = space(&cluster, lease);
        let create = ["create", "-n", &space, "-f", "-"];
        // Room for the next generation of its one replica, and no more.
        let made = kubectl_with(&create, &pod("second", &json!({})).to_string());
        assert!(made.status.success(), "{made:?}");
        eventually("the quota has counted", async || {
            let used = ["get", "resourcequota", "lease", "-n", &space, "-o", "jsonpath={.status.used.pods}"];
            (kubectl(&used) == "2").then_some(())
        })
        .await;
        let mut attempts = Attempts::default();
        let service = |kind| {
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "door"},
                "spec": {"type": kind, "selector": {"a": "b"}, "ports": [{"port": 80}]}})
        };
        let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "disk"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}});
        let with = |limits: Value| {
            json!({"containers": [{"name": "app", "image": "app", "resources": {"limits": limits}}]})
        };
        let mut card = limits("10m");
        card["nvidia.com/gpu"] = "1".into();
        let tries = [
            ("one more pod", pod("third", &json!({})), Layer::Quota, "requested: pods=1,"),
            ("a port of the node", service("NodePort"), Layer::Quota, "services.nodeports=1"),
            ("an address of its own", service("LoadBalancer"), Layer::Quota, "services.loadbalancers=1"),
            ("a disk", claim, Layer::Quota, "persistentvolumeclaims=1"),
            ("a card", pod("third", &with(card)), Layer::Quota, "requests.nvidia.com/gpu=1"),
            ("a container larger than the lease", pod("third", &with(limits("201m"))), Layer::Bounds, "maximum cpu"),
        ];
        for (what, object, layer, resource) in tries {
            let said = refusal(&create, &object);
            assert!(said.contains(resource), "{what}: {said}");
            attempts.refused(what, format!("kubectl create {}", object["kind"]), layer, said);
        }
        attempts.print();
    })
    .await;
}

/// Asks ten times a second until it is over; the number of answers, and the longest wait for one.
async fn ask_until(over: CancellationToken, address: SocketAddr) -> (u32, Duration) {
    let (mut answers, mut slowest) = (0, Duration::ZERO);
    while !over.is_cancelled() {
        let start = Instant::now();
        let answer = tokio::time::timeout(Duration::from_secs(5), get(address, "x")).await;
        assert_eq!(answer.expect("an answer within 5 s").expect("an answer").1, "body-alive\n");
        (answers, slowest) = (answers + 1, slowest.max(start.elapsed()));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    (answers, slowest)
}

/// Four pods do their worst at once; another lease beside them is asked all the time and answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bombs_meet_their_limits_and_the_neighbour_serves() {
    let cluster = Cluster::new();
    with_lease(&cluster, async |neighbour| {
        with_lease(&cluster, async |lease| {
            let runtime = cluster.runtime();
            apply(&runtime, workload(neighbour, vec![web(&cluster, "alive")])).await;
            let address = replicas(&*runtime, neighbour, "web").await.remove(0).address.unwrap();
            let over = CancellationToken::new();
            let asked = tokio::spawn(ask_until(over.clone(), SocketAddr::new(address, PORT)));
            let bombs = vec![
                // Each makes two of itself.
                job(&cluster, "forks", "bomb() { bomb | bomb & }; bomb; exec sleep 1000"),
                // The sleep leaves the engine the time to hear of the kill before the container ends.
                job(
                    &cluster,
                    "memory",
                    "dd if=/dev/zero of=/dev/null bs=200M count=1; code=$?; sleep 2; exit $code",
                ),
                job(&cluster, "disk", "sleep 3; dd if=/dev/zero of=/filled bs=1M count=150; exec sleep 1000"),
                // What is logged is on the node's disk. Not to be compressed away.
                job(
                    &cluster,
                    "lines",
                    "sleep 3; head -c 110000000 /dev/urandom | base64 -w 4000; exec sleep 1000",
                ),
            ];
            // One of them may end before it is seen to run.
            drop(runtime.apply(&workload(lease, bombs), &NoSwitchboard).await);
            let mut attempts = Attempts::default();
            let ended = async |service: &str| {
                eventually(&format!("{service} is stopped"), async || {
                    let replica = replicas(&*runtime, lease, service).await.into_iter().next()?;
                    replica.last_exit.map(|exit| format!("{:?}, code {}", exit.reason, exit.code))
                })
                .await
            };
            let forks = eventually("no more processes", async || {
                let text = log_text(&*runtime, lease, "forks").await;
                text.lines().find(|line| line.contains("can't fork")).map(str::to_owned)
            })
            .await;
            attempts.refused("every process of the node", "a fork bomb", Layer::ProcessLimit, forks);
            attempts.refused("the node's memory", "dd bs=200M", Layer::MemoryLimit, ended("memory").await);
            attempts.refused("the node's disk", "dd of=/filled", Layer::Eviction, ended("disk").await);
            attempts.refused(
                "the node's disk by lines",
                "a flood of lines",
                Layer::Eviction,
                ended("lines").await,
            );
            over.cancel();
            let (answers, slowest) = asked.await.unwrap();
            attempts.print();
            eprintln!("the neighbour answered {answers} requests, the slowest in {slowest:?}");
        })
        .await;
    })
    .await;
}
