//! `fizz` as a container: the command of docs/fizz.md starts it beside the tenants' containers, which it bounds, outlives and
//! is outlived by.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod common;

use std::path::Path;
use std::process::Command;

use common::{SOON, Subnet};
use iono_manifest::{Volume, VolumeKind};
use iono_primitives::StorageClass;
use iono_testkit::{docker, eventually, repo_root};

const TAG: &str = "ionosphere/fizz:under-test";

/// The light node's container; dropped, it is removed.
struct Container(String);

impl Drop for Container {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = Command::new("docker").args(["logs", &self.0]).output().unwrap();
            eprintln!("log of the container:\n{}", String::from_utf8_lossy(&log.stderr));
        }
        let _ = Command::new("docker").args(["rm", "-f", &self.0]).output();
    }
}

/// A folder whose mounts the engine sees, as every folder's are where systemd runs.
struct Shared<'a>(&'a Path);

impl<'a> Shared<'a> {
    fn make(folder: &'a Path) -> Self {
        for args in [&["--bind", "FOLDER", "FOLDER"][..], &["--make-shared", "FOLDER"]] {
            let args =
                args.iter().map(|arg| if *arg == "FOLDER" { folder.as_os_str() } else { arg.as_ref() });
            assert!(Command::new("mount").args(args).status().unwrap().success());
        }
        Self(folder)
    }
}

impl Drop for Shared<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["--recursive", "--lazy"]).arg(self.0).status();
    }
}

/// The documented command, with folders and a name of this test's own.
fn documented(subnet: &Subnet, name: &str) -> String {
    let docs = std::fs::read_to_string(repo_root().unwrap().join("docs/fizz.md")).unwrap();
    let start = docs.find("docker run ").unwrap();
    let command = docs[start..].replace("\\\n", " ");
    let image = format!("ionosphere/fizz:{}", env!("CARGO_PKG_VERSION"));
    let settings = format!("{}:/etc/ionosphere:", subnet.folder().display());
    let data = subnet.devnet.dir().display().to_string();
    let mut command = command.lines().next().unwrap().to_owned();
    for (theirs, ours) in [
        ("--name fizz ", format!("--name {name} ").as_str()),
        ("/etc/ionosphere:/etc/ionosphere:", &settings),
        ("/var/lib/ionosphere", &data),
        (&image, TAG),
    ] {
        assert!(command.contains(theirs), "no {theirs} in {command}");
        command = command.replace(theirs, ours);
    }
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_container_hosts_what_outlives_it() {
    let from = Path::new(env!("CARGO_BIN_EXE_fizz")).parent().unwrap();
    let image = repo_root().unwrap().join("tools/image");
    let made = Command::new(image).args(["fizz", "--tag", TAG, "--from"]).arg(from).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

    let subnet = Subnet::open().await;
    let _shared = Shared::make(subnet.devnet.dir());
    let _gateway = subnet.gateway().await;
    let name = format!("fizz-{}", std::process::id());
    let container = Container(name);
    let started = Command::new("sh").args(["-c", &documented(&subnet, &container.0)]).output().unwrap();
    assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
    subnet.light_node_ready().await;

    // All that a light node must have is there, the bound of volumes and the guard among it.
    let check = ["exec", &container.0, "fizz", "--config", "/etc/ionosphere/fizz.toml", "check"];
    let check = Command::new("docker").args(check).output().unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));

    let mut manifest = common::hello("nonce-of-image");
    manifest.services[0].volumes.push(Volume {
        name: "data".to_owned(),
        mount: "/data".to_owned(),
        size: 64,
        class: StorageClass::Any,
        kind: VolumeKind::Persistent,
        read_only: false,
    });
    let ordered = subnet.order_of("nonce-of-image", manifest).await;
    subnet.activate(&ordered).await;
    subnet.serve(&ordered).await;
    let before = subnet.containers(ordered.lease).await;
    let room = docker::run(&["exec", &before[0], "df", "-m", "/data"]).await.unwrap();
    let size: u32 = room.lines().last().unwrap().split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!((40..=64).contains(&size), "the tenant's volume of 64 MiB is not mounted: {room}");

    docker::run(&["restart", &container.0]).await.unwrap();
    subnet.light_node_ready().await;
    subnet.answers(&ordered).await;
    assert_eq!(subnet.containers(ordered.lease).await, before, "the tenant's container is another one");

    subnet.close(ordered.lease).await;
    eventually("an empty engine", SOON, || async {
        subnet.containers(ordered.lease).await.is_empty().then_some(())
    })
    .await
    .unwrap();
}
