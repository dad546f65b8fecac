//! Images from a real registry that asks for a login: credentials, digests, pull policies, and a tag that moves. The test
//! cluster's node takes plain HTTP from one place alone, so that one test at a time can be there.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use common::{Cluster, kubectl, settings};
use iono_primitives::LeaseId;
use iono_runtime::api::NoSwitchboard;
use iono_runtime::conformance::image::{build, output};
use iono_runtime::conformance::support::{eventually, replicas};
use iono_runtime::conformance::{Harness, with_lease};
use iono_runtime::{Credentials, PullPolicy, Replica, ReplicaState, RuntimeError, Secret, Service, Workload};
use iono_runtime_kubernetes::Names;

/// Where the node's engine looks for a registry without TLS.
const HOST: &str = "localhost:5000";
/// `user` with `pass-word` (bcrypt).
const USERS: &str = "user:$2y$05$abcdefghijklmnopqrstuulQElbHkP7vjLqXxb3Lzm18cJsfRyGH6\n";
/// Seconds within which a refusal comes that needs nothing but the registry's word.
const AT_ONCE: u64 = 5;

struct Registry {
    dir: tempfile::TempDir,
    process: Child,
    /// Of this process alone: nodes remember images.
    image: String,
    _lock: File,
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Registry {
    fn start() -> Self {
        let lock = File::create(std::env::temp_dir().join("iono-test-registry-5000.lock")).unwrap();
        lock.lock().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let image = format!("{HOST}/private/app-{}:1", std::process::id());
        Self { process: serve(dir.path()), dir, image, _lock: lock }
    }

    /// Ends it; it forgets nothing.
    fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Builds an image, pushes it under the one tag, and forgets it here.
    fn push(&self, generation: &str) {
        build(&self.image, &[&format!("LABEL generation={generation}-{}", std::process::id())]);
        let config = self.dir.path().to_str().unwrap();
        let login = ["--config", config, "login", "-u", "user", "-p", "pass-word", HOST];
        assert!(output("docker", &login).contains("Succeeded"));
        assert!(output("docker", &["--config", config, "push", &self.image]).contains("digest"));
        output("docker", &["rmi", &self.image]);
    }
}

fn serve(dir: &Path) -> Child {
    std::fs::write(dir.join("users"), USERS).unwrap();
    let config = format!(
        "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {dir}/data\nhttp:\n  \
         addr: 127.0.0.1:5000\nauth:\n  htpasswd:\n    realm: test\n    path: {dir}/users\n",
        dir = dir.display()
    );
    std::fs::write(dir.join("config.yml"), config).unwrap();
    assert!(std::net::TcpStream::connect(HOST).is_err(), "somebody else is at {HOST}");
    let process = Command::new("docker-registry")
        .arg("serve")
        .arg(dir.join("config.yml"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the Debian package docker-registry is installed");
    while std::net::TcpStream::connect(HOST).is_err() {
        std::thread::yield_now();
    }
    process
}

fn workload(lease: LeaseId, hash: &str, image: &str, password: &str, pull: PullPolicy) -> Workload {
    let mut service = Service::new("app", image);
    service.command = ["/bin/sleep", "1000"].map(str::to_owned).to_vec();
    service.pull = pull;
    service.drain = std::time::Duration::from_secs(1);
    service.limits.cpu_millis = 100;
    service.limits.memory_mib = 32;
    service.credentials = Some(Credentials {
        host: HOST.to_owned(),
        username: Secret::from("user"),
        password: Secret::from(password),
    });
    Workload { lease, manifest_hash: hash.to_owned(), services: vec![service] }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_image_needs_its_login_and_keeps_its_digest() {
    let cluster = Cluster::new();
    let mut registry = Registry::start();
    registry.push("1");
    with_lease(&cluster, async |lease| {
        let runtime = cluster.runtime();
        let image = registry.image.clone();
        let apply = async |hash: &str, password: &str, pull| {
            runtime.apply(&workload(lease, hash, &image, password, pull), &NoSwitchboard).await
        };
        let only = async || -> Replica {
            eventually("one replica runs", async || {
                let mut all = replicas(&*runtime, lease, "app").await;
                all.retain(|one| one.state == ReplicaState::Ready);
                (all.len() == 1).then(|| all.remove(0))
            })
            .await
        };
        for pull in [PullPolicy::IfNotPresent, PullPolicy::Always] {
            let start = Instant::now();
            let refused = apply("1", "wrong", pull).await.unwrap_err();
            let RuntimeError::ImageUnavailable { image: named, reason } = &refused else {
                panic!("{refused}")
            };
            assert!(named == &image && reason.contains("401"), "{refused}");
            assert!(start.elapsed().as_secs() < AT_ONCE, "{:?}", start.elapsed());
            // Nothing was made for it.
            assert_eq!(cluster.leftovers(lease).await, Vec::<String>::new());
        }
        apply("1", "pass-word", PullPolicy::Always).await.unwrap();
        let first = only().await;
        assert!(first.image_digest.starts_with("sha256:"), "{first:?}");
        let namespace = Names::new(settings(cluster.dir.path()).vault.owner()).namespace(lease);
        let asked = [
            "get",
            "deployment",
            "app",
            "-n",
            &namespace,
            "-o",
            "jsonpath={.spec.template.spec.containers[0].image}",
        ];
        assert_eq!(kubectl(&asked), format!("{image}@{}", first.image_digest));
        // The tag moves. What runs stays, and so do those that take its place: after a crash of a node, and on request.
        registry.push("2");
        apply("1", "pass-word", PullPolicy::Always).await.unwrap();
        assert_eq!(only().await.id, first.id);
        kubectl(&["delete", "pod", "-n", &namespace, "--all", "--grace-period=1"]);
        let second = only().await;
        assert_ne!(second.id, first.id);
        assert_eq!(second.image_digest, first.image_digest);
        runtime.restart(lease, Some("app"), &NoSwitchboard).await.unwrap();
        let third = only().await;
        assert_ne!(third.id, second.id);
        assert_eq!(third.image_digest, first.image_digest);
        // Whoever remembers nothing finds it as it is, and so does a new manifest that does not ask.
        cluster
            .forgetful()
            .apply(&workload(lease, "1", &image, "pass-word", PullPolicy::Always), &NoSwitchboard)
            .await
            .unwrap();
        assert_eq!(only().await.id, third.id);
        apply("2", "pass-word", PullPolicy::IfNotPresent).await.unwrap();
        assert_eq!(only().await.image_digest, first.image_digest);
        // A new manifest that asks for it gets the new one.
        apply("3", "pass-word", PullPolicy::Always).await.unwrap();
        let fourth = only().await;
        assert_ne!(fourth.image_digest, first.image_digest);
        // Without its registry the lease is as it was.
        registry.stop();
        apply("3", "pass-word", PullPolicy::Always).await.unwrap();
        kubectl(&["delete", "pod", "-n", &namespace, "--all", "--grace-period=1"]);
        let fifth = only().await;
        assert_ne!(fifth.id, fourth.id);
        assert_eq!(fifth.image_digest, fourth.image_digest);
        assert!(!cluster.leftovers(lease).await.join("\n").contains("pass-word"));
    })
    .await;
}
