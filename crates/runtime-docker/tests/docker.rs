//! What is special about Docker: limits as the engine has them, pinned images, an engine that goes away and comes back.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{Docker, IMAGE, config, output};
use iono_primitives::LeaseId;
use iono_runtime::api::NoSwitchboard;
use iono_runtime::conformance::image::build as build_image;
use iono_runtime::conformance::{Harness, with_lease};
use iono_runtime::{
    ExitReason, Limit, Port, Protocol, ReplicaState, Runtime, RuntimeError, Service, Volume, VolumeKind,
    Workload,
};
use iono_runtime_docker::{DockerConfig, DockerRuntime};
use tokio::net::{UnixListener, UnixStream};

fn web(image: &str) -> Service {
    let mut service = Service::new("web", image);
    service.command = ["/bin/sh", "-c", "exec httpd -f -p 8080 -h /"].map(str::to_owned).to_vec();
    service.limits.memory_mib = 32;
    service.ports = vec![Port::new(8080, Protocol::Tcp)];
    service
}

fn workload(lease: LeaseId, hash: &str, service: Service) -> Workload {
    Workload { lease, manifest_hash: hash.to_owned(), services: vec![service] }
}

fn containers(lease: LeaseId) -> Vec<String> {
    let filter = format!("label=network.ionosphere.lease={lease}");
    output("docker", &["container", "ls", "-aq", "--filter", &filter]).lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sets_every_limit() {
    let docker = Docker::new();
    with_lease(&docker, async |lease| {
        let mut service = web(IMAGE);
        service.limits.cpu_millis = 250;
        service.limits.pids = 99;
        docker.runtime().apply(&workload(lease, "1", service), &NoSwitchboard).await.unwrap();
        let inspected = output("docker", &["inspect", &containers(lease)[0]]);
        let value: serde_json::Value = serde_json::from_str(&inspected).unwrap();
        let host = &value[0]["HostConfig"];
        assert_eq!(host["NanoCpus"], 250_000_000);
        assert_eq!((&host["Memory"], &host["MemorySwap"]), (&(32 << 20).into(), &(32 << 20).into()));
        assert_eq!(host["PidsLimit"], 99);
        assert_eq!(host["CapDrop"][0], "ALL");
        assert!(!host["CapAdd"].to_string().contains("NET_RAW"));
        assert_eq!(host["SecurityOpt"][0], "no-new-privileges");
        assert_eq!(host["LogConfig"]["Config"]["max-file"], "2");
        assert_eq!((&host["Privileged"], &host["PortBindings"]), (&false.into(), &serde_json::Value::Null));
        let checked = docker.runtime().check().await.unwrap();
        for limit in
            [Limit::Cpu, Limit::Memory, Limit::Pids, Limit::Egress, Limit::VolumeSize, Limit::SecretFiles]
        {
            assert!(checked.enforces(limit), "{checked:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_image_of_the_first_start() {
    let docker = Docker::new();
    let tag = format!("iono-test/moving:{}", std::process::id());
    with_lease(&docker, async |lease| {
        build_image(&tag, &["LABEL generation=1"]);
        let runtime = docker.runtime();
        runtime.apply(&workload(lease, "1", web(&tag)), &NoSwitchboard).await.unwrap();
        let first = output("docker", &["image", "inspect", "-f", "{{.Id}}", &tag]);
        build_image(&tag, &["LABEL generation=2"]);
        let mut more = web(&tag);
        more.replicas = 2;
        docker.forgetful().apply(&workload(lease, "2", more), &NoSwitchboard).await.unwrap();
        let images: Vec<String> = containers(lease)
            .iter()
            .map(|id| output("docker", &["inspect", "-f", "{{.Image}}", id]))
            .collect();
        assert_eq!(images.len(), 2);
        assert_eq!(images[0], images[1]);
        assert_eq!(images[0], first);
    })
    .await;
    output("docker", &["rmi", &tag]);
    output("docker", &["image", "prune", "-f", "--filter", "label=generation"]);
}

/// A socket in front of the engine's that can be cut.
fn proxy(path: PathBuf) -> tokio::task::JoinHandle<()> {
    drop(std::fs::remove_file(&path));
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((mut client, _)) = listener.accept().await {
            connections.spawn(async move {
                let mut engine = UnixStream::connect("/var/run/docker.sock").await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut engine).await;
            });
        }
    })
}

fn through(socket: &Path, dir: &Path) -> DockerRuntime {
    DockerRuntime::new(DockerConfig { socket: socket.to_owned(), ..config(dir) })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_goes_away_is_unknown_until_it_comes_back() {
    let docker = Docker::new();
    with_lease(&docker, async |lease| {
        let socket = docker.dir.path().join("engine.sock");
        let engine = proxy(socket.clone());
        let runtime = through(&socket, docker.dir.path());
        let desired = workload(lease, "1", web(IMAGE));
        runtime.apply(&desired, &NoSwitchboard).await.unwrap();
        let before = containers(lease);
        engine.abort();
        drop(engine.await);
        let unreachable = |error: RuntimeError| matches!(error, RuntimeError::Unreachable(_));
        assert!(runtime.observe().await.is_err_and(unreachable));
        assert!(runtime.remove(lease).await.is_err_and(unreachable));
        assert!(runtime.apply(&desired, &NoSwitchboard).await.is_err_and(unreachable));
        assert_eq!(containers(lease), before);
        let _engine = proxy(socket);
        let seen = runtime.observe().await.unwrap();
        assert!(seen.iter().any(|observed| observed.lease == lease && observed.is_ready()));
        // Events are followed again as well.
        runtime.observe().await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut changes = runtime.changes();
        output("docker", &["kill", &before[0]]);
        let next =
            tokio::time::timeout(Duration::from_secs(10), futures::StreamExt::next(&mut changes)).await;
        assert_eq!(next.unwrap(), Some(lease));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_does_not_wait_for_what_never_gets_ready() {
    let docker = Docker::new();
    with_lease(&docker, async |lease| {
        let mut service = web(IMAGE);
        service.command = ["/bin/sleep", "1000"].map(str::to_owned).to_vec();
        let desired = workload(lease, "1", service);
        let runtime = docker.runtime();
        let start = std::time::Instant::now();
        let remove = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            runtime.remove(lease).await
        };
        let (applied, removed) = tokio::join!(runtime.apply(&desired, &NoSwitchboard), remove);
        assert!(matches!(applied, Err(RuntimeError::NotReady { .. })), "{applied:?}");
        removed.unwrap();
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        assert_eq!(docker.leftovers(lease).await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn starting_does_not_wait_for_what_somebody_stopped() {
    let docker = Docker::new();
    with_lease(&docker, async |lease| {
        let mut service = web(IMAGE);
        service.command = ["/bin/sleep", "1000"].map(str::to_owned).to_vec();
        let desired = workload(lease, "1", service);
        let runtime = docker.runtime();
        let start = std::time::Instant::now();
        let stop = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            output("docker", &["stop", "-t", "0", &containers(lease)[0]]);
        };
        let (applied, ()) = tokio::join!(runtime.apply(&desired, &NoSwitchboard), stop);
        assert!(matches!(applied, Err(RuntimeError::NotReady { .. })), "{applied:?}");
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        runtime.apply(&workload(lease, "2", web(IMAGE)), &NoSwitchboard).await.unwrap();
    })
    .await;
}

/// As after a reboot: nothing is mounted and no rule is set. Rather than write beside its volume, the container waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_is_not_mounted_stops_its_container() {
    let docker = Docker::new();
    with_lease(&docker, async |lease| {
        let mut service = web(IMAGE);
        let kind = iono_runtime::VolumeKind::Persistent;
        let volume = iono_runtime::Volume {
            name: "db".into(),
            path: "/db".into(),
            size_mib: 8,
            kind,
            read_only: false,
        };
        service.volumes.push(volume);
        let desired = workload(lease, "1", service);
        let runtime = docker.runtime();
        runtime.apply(&desired, &NoSwitchboard).await.unwrap();
        let id = containers(lease).remove(0);
        output("docker", &["exec", &id, "sh", "-c", "echo kept > /db/file"]);
        output("docker", &["stop", "-t", "0", &id]);
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let mount = mounts
            .lines()
            .find_map(|line| line.split(' ').nth(1).filter(|path| path.contains(&format!("/{lease}/"))));
        output("umount", &[mount.unwrap()]);
        output("docker", &["start", &id]);
        assert_eq!(output("docker", &["inspect", "-f", "{{.State.Running}}", &id]).trim(), "false");
        runtime.apply(&desired, &NoSwitchboard).await.unwrap();
        assert_eq!(output("docker", &["exec", &id, "cat", "/db/file"]), "kept\n");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_someone_removed_is_made_again() {
    let docker = Docker::new();
    with_lease(&docker, async |lease| {
        let runtime = docker.runtime();
        let desired = workload(lease, "1", web(IMAGE));
        runtime.apply(&desired, &NoSwitchboard).await.unwrap();
        output("docker", &["rm", "-f", &containers(lease)[0]]);
        let filter = format!("label=network.ionosphere.lease={lease}");
        let network = output("docker", &["network", "ls", "-q", "--filter", &filter]);
        output("docker", &["network", "rm", network.trim()]);
        let mut result = runtime.apply(&desired, &NoSwitchboard).await;
        if result.is_err() {
            result = runtime.apply(&desired, &NoSwitchboard).await;
        }
        result.unwrap();
        assert!(runtime.observe().await.unwrap().iter().any(|seen| seen.lease == lease && seen.is_ready()));
    })
    .await;
}

/// A container that was stopped for its disk use stays so, whoever asks, until its service is restarted.
#[tokio::test(flavor = "multi_thread")]
async fn disk_filler_stays_stopped() {
    let docker = Docker::new();
    with_lease(&docker, async |lease| {
        let runtime = docker.runtime();
        // Once: the fresh container after the restart leaves its disk alone.
        let line = "[ -e /mark/once ] || { touch /mark/once; dd if=/dev/zero of=/filled bs=1M count=100; }; exec sleep 1000";
        let mut filler = Service::new("filler", IMAGE);
        filler.command = ["/bin/sh", "-c", line].map(str::to_owned).to_vec();
        filler.limits.ephemeral_mib = 64;
        filler.volumes.push(Volume {
            name: "mark".to_owned(),
            path: "/mark".to_owned(),
            size_mib: 8,
            kind: VolumeKind::Persistent,
            read_only: false,
        });
        let desired = workload(lease, "1", filler);
        runtime.apply(&desired, &NoSwitchboard).await.unwrap();
        let replica = async |runtime: &dyn Runtime| {
            let all = runtime.observe().await.unwrap();
            let mut observed = all.into_iter().find(|observed| observed.lease == lease).unwrap();
            observed.services.remove(0).replicas.remove(0)
        };
        let stopped = loop {
            let now = replica(&*runtime).await;
            if now.state == ReplicaState::Exited && now.last_exit.is_some() {
                break now;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_eq!(stopped.last_exit.as_ref().unwrap().reason, ExitReason::DiskQuota);
        runtime.apply(&desired, &NoSwitchboard).await.unwrap();
        for runtime in [runtime.clone(), docker.forgetful()] {
            let now = replica(&*runtime).await;
            assert_eq!((now.id, now.state), (stopped.id.clone(), ReplicaState::Exited));
            assert_eq!(now.last_exit.unwrap().reason, ExitReason::DiskQuota);
        }
        runtime.restart(lease, Some("filler"), &NoSwitchboard).await.unwrap();
        runtime.apply(&desired, &NoSwitchboard).await.unwrap();
        let now = replica(&*runtime).await;
        assert_ne!(now.id, stopped.id);
        assert_eq!(now.state, ReplicaState::Ready);
    })
    .await;
}
