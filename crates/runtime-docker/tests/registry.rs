//! Images from a real registry that asks for a login: credentials, digests, pull policies.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::{Docker, output};
use iono_primitives::LeaseId;
use iono_runtime::api::NoSwitchboard;
use iono_runtime::conformance::image::build as build_image;
use iono_runtime::conformance::{Harness, with_lease};
use iono_runtime::{Credentials, PullPolicy, RuntimeError, Secret, Service, Workload};

/// `user` with `pass-word` (bcrypt).
const USERS: &str = "user:$2y$05$abcdefghijklmnopqrstuulQElbHkP7vjLqXxb3Lzm18cJsfRyGH6\n";

struct Registry {
    host: String,
    process: Child,
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Registry {
    fn start(dir: &Path) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        std::fs::write(dir.join("users"), USERS).unwrap();
        let config = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {dir}/data\nhttp:\n  addr: 127.0.0.1:{port}\n\
             auth:\n  htpasswd:\n    realm: test\n    path: {dir}/users\n",
            dir = dir.display()
        );
        std::fs::write(dir.join("config.yml"), config).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(dir.join("config.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the Debian package docker-registry is installed");
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::yield_now();
        }
        Self { host: format!("127.0.0.1:{port}"), process }
    }

    /// Builds an image, pushes it, and forgets it here.
    fn push(&self, config: &Path, generation: &str) -> String {
        let image = format!("{}/private/app:1", self.host);
        build_image(&image, &[&format!("LABEL generation={generation}")]);
        let config = config.to_str().unwrap();
        let login = ["--config", config, "login", "-u", "user", "-p", "pass-word", &self.host];
        assert!(output("docker", &login).contains("Succeeded"));
        assert!(output("docker", &["--config", config, "push", &image]).contains("digest"));
        output("docker", &["rmi", &image]);
        image
    }
}

fn workload(lease: LeaseId, hash: &str, image: &str, password: &str, pull: PullPolicy) -> Workload {
    let mut service = Service::new("app", image);
    service.command = ["/bin/sleep", "1000"].map(str::to_owned).to_vec();
    service.pull = pull;
    service.credentials = Some(Credentials {
        host: image.split('/').next().unwrap().to_owned(),
        username: Secret::from("user"),
        password: Secret::from(password),
    });
    Workload { lease, manifest_hash: hash.to_owned(), services: vec![service] }
}

#[tokio::test(flavor = "multi_thread")]
async fn pulls_with_credentials_and_pins_the_digest() {
    let docker = Docker::new();
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::start(dir.path());
    let image = registry.push(dir.path(), "1");
    with_lease(&docker, async |lease| {
        let runtime = docker.runtime();
        let apply = async |hash: &str, password: &str, pull| {
            runtime.apply(&workload(lease, hash, &image, password, pull), &NoSwitchboard).await
        };
        let digest = async || {
            let all = runtime.observe().await.unwrap();
            all.into_iter().find(|seen| seen.lease == lease).unwrap().services[0].replicas[0]
                .image_digest
                .clone()
        };
        let refused = apply("1", "wrong", PullPolicy::IfNotPresent).await;
        assert!(matches!(refused, Err(RuntimeError::ImageUnavailable { .. })), "{refused:?}");
        apply("1", "pass-word", PullPolicy::Always).await.unwrap();
        let first = digest().await;
        assert!(first.starts_with("sha256:"));
        let id = output("docker", &["inspect", "-f", "{{.Image}}", &registry.container(lease)]);
        assert_ne!(first, id.trim(), "the registry's digest is no image id");
        // The tag moves: what runs stays until there is a new manifest that asks for it.
        registry.push(dir.path(), "2");
        apply("1", "pass-word", PullPolicy::Always).await.unwrap();
        assert_eq!(digest().await, first);
        apply("2", "pass-word", PullPolicy::IfNotPresent).await.unwrap();
        assert_eq!(digest().await, first);
        apply("3", "pass-word", PullPolicy::Always).await.unwrap();
        assert_ne!(digest().await, first);
        // No password in what anyone can list.
        assert!(!docker.leftovers(lease).await.join("\n").contains("pass-word"));
    })
    .await;
    for id in output("docker", &["images", "-q", image.trim_end_matches(":1")]).lines() {
        output("docker", &["rmi", "-f", id]);
    }
}

impl Registry {
    fn container(&self, lease: LeaseId) -> String {
        let filter = format!("label=network.ionosphere.lease={lease}");
        output("docker", &["container", "ls", "-q", "--filter", &filter]).trim().to_owned()
    }
}
