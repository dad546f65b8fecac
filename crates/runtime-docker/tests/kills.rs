//! The process dies by SIGKILL at each of this crate's fail-points; the next one finishes what it began.

#![allow(clippy::unwrap_used)]

mod common;

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::{Docker, config, output};
use iono_primitives::LeaseId;
use iono_runtime::api::NoSwitchboard;
use iono_runtime::conformance::{Harness, with_lease};
use iono_runtime::{Port, Protocol, Runtime, Secret, Service, Volume, VolumeKind, Workload};
use iono_runtime_docker::{DockerRuntime, FAIL_POINTS};
use rstest::rstest;

fn desired(lease: LeaseId, generation: &str) -> Workload {
    let mut service = Service::new("web", common::IMAGE);
    service.command = ["/bin/sh", "-c", "exec httpd -f -p 8080 -h /"].map(str::to_owned).to_vec();
    service.replicas = 2;
    service.env.insert("GENERATION".to_owned(), Secret::from(generation));
    service.limits.memory_mib = 32;
    service.ready_within = Duration::from_secs(30);
    service.ports = vec![Port::new(8080, Protocol::Tcp)];
    let kind = VolumeKind::Ephemeral;
    service.volumes =
        vec![Volume { name: "tmp".into(), path: "/data".into(), size_mib: 4, kind, read_only: false }];
    Workload { lease, manifest_hash: generation.to_owned(), services: vec![service] }
}

/// What the child process does; not a test of its own.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the tests of this file in a process of its own"]
async fn child() {
    let var = |name: &str| std::env::var(name).unwrap();
    let lease = LeaseId(var("IONO_TEST_LEASE").parse().unwrap());
    let runtime = DockerRuntime::new(config(Path::new(&var("IONO_TEST_DIR"))));
    match var("IONO_TEST_DO").as_str() {
        "apply" => runtime.apply(&desired(lease, "one"), &NoSwitchboard).await.unwrap(),
        "update" => runtime.apply(&desired(lease, "two"), &NoSwitchboard).await.unwrap(),
        "remove" => runtime.remove(lease).await.unwrap(),
        "store" => runtime.store_manifest(lease, b"two").await.unwrap(),
        other => panic!("{other}"),
    }
}

fn killed_at(point: &str, what: &str, lease: LeaseId, dir: &Path) {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--test-threads=1"])
        .env("IONO_FAILPOINT", point)
        .env("IONO_TEST_PROVIDER", common::owner().provider.to_string())
        .env("IONO_TEST_LEASE", lease.to_string())
        .env("IONO_TEST_DIR", dir)
        .env("IONO_TEST_DO", what)
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.signal(), Some(9), "it did not die at {point}: {status}");
}

fn listed(what: &str, lease: LeaseId) -> usize {
    let filter = format!("label=network.ionosphere.lease={lease}");
    let args: &[&str] = if what == "container" {
        &["container", "ls", "-aq", "--filter"]
    } else {
        &[what, "ls", "-q", "--filter"]
    };
    output("docker", &[args, &[filter.as_str()]].concat()).lines().count()
}

#[rstest]
#[case("docker.after_volume", "apply")]
#[case("docker.after_network", "apply")]
#[case("docker.after_create", "apply")]
#[case("docker.after_create:2", "apply")]
#[case("docker.after_start", "apply")]
#[case("docker.after_create", "update")]
#[case("docker.mid_update", "update")]
#[case("docker.mid_update:2", "update")]
#[case("docker.mid_remove", "remove")]
#[case("docker.after_manifest", "store")]
#[tokio::test(flavor = "multi_thread")]
async fn goes_on_after_a_kill(#[case] point: &str, #[case] what: &str) {
    assert!(FAIL_POINTS.contains(&point.split(':').next().unwrap()));
    let docker = Docker::new();
    with_lease(&docker, async |lease| kill_and_go_on(&docker, lease, point, what).await).await;
}

async fn kill_and_go_on(docker: &Docker, lease: LeaseId, point: &str, what: &str) {
    let before = docker.runtime();
    if what != "apply" {
        before.store_manifest(lease, b"one").await.unwrap();
        before.apply(&desired(lease, "one"), &NoSwitchboard).await.unwrap();
    }
    drop(before);
    killed_at(point, what, lease, docker.dir.path());
    let after = DockerRuntime::new(config(docker.dir.path()));
    if what == "remove" {
        let observed = after.observe().await.unwrap();
        assert!(observed.iter().any(|observed| observed.lease == lease), "what is left is still known");
    } else {
        let generation = if what == "apply" { "one" } else { "two" };
        let want = desired(lease, generation);
        after.apply(&want, &NoSwitchboard).await.unwrap();
        let observed = after.observe().await.unwrap();
        let own = observed.iter().find(|observed| observed.lease == lease).unwrap();
        assert!(own.is_ready() && own.manifest_hash == generation, "{own:?}");
        assert_eq!((listed("container", lease), listed("network", lease)), (2, 1));
    }
    if what == "store" {
        assert_eq!(after.load_manifest(lease).await.unwrap().unwrap(), b"two");
        after.store_manifest(lease, b"three").await.unwrap();
        assert_eq!(listed("volume", lease), 1);
    }
    let filter = format!("label=network.ionosphere.lease={lease}");
    let network = output("docker", &["network", "ls", "-q", "--filter", &filter]);
    let format = "{{index .Options \"com.docker.network.bridge.name\"}}";
    let bridge = output("docker", &["network", "inspect", "-f", format, network.trim()]);
    after.remove(lease).await.unwrap();
    assert_eq!(docker.leftovers(lease).await, Vec::<String>::new());
    let rules = output("iptables-save", &[]);
    assert!(!bridge.trim().is_empty() && !rules.contains(bridge.trim()), "{bridge} in {rules}");
}
