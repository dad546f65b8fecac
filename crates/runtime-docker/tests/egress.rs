//! Where a lease's packets may go, tried on a network of our own: one public address that is reached, private ones
//! behind the same router that are not.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs::File;
use std::process::{Child, Command, Stdio};

use common::{Docker, IMAGE, output};
use futures::StreamExt;
use iono_runtime::api::NoSwitchboard;
use iono_runtime::conformance::{Harness, with_lease};
use iono_runtime::{ExecOutput, ExecRequest, Service, Workload};

const PUBLIC: &str = "203.0.113.77";
const FORBIDDEN: [&str; 6] =
    ["10.99.7.7", "172.30.7.7", "192.168.177.7", "100.64.7.7", "169.254.169.254", "198.18.7.7"];

const NAMESPACE: &str = "iono-test-egress";
const VETH: &str = "iono-egress-a";
const PEER: &str = "iono-egress-b";

/// A network namespace with a web server at all these addresses, routed to through the host.
struct Outside {
    server: Option<Child>,
    /// The addresses are the host's own, so that one test at a time can have them.
    _lock: File,
}

fn ip(line: &str) {
    let status = Command::new("ip").args(line.split(' ')).status().unwrap();
    assert!(status.success(), "ip {line}");
}

impl Outside {
    fn new() -> Self {
        let lock = File::create(std::env::temp_dir().join("iono-test-egress.lock")).unwrap();
        lock.lock().unwrap();
        let mut outside = Self { server: None, _lock: lock };
        // What a test that was killed has left.
        outside.remove();
        ip(&format!("netns add {NAMESPACE}"));
        ip(&format!("link add {VETH} type veth peer name {PEER} netns {NAMESPACE}"));
        ip(&format!("addr add 203.0.113.1/24 dev {VETH}"));
        ip(&format!("link set {VETH} up"));
        ip(&format!("-n {NAMESPACE} link set {PEER} up"));
        ip(&format!("-n {NAMESPACE} link set lo up"));
        ip(&format!("-n {NAMESPACE} addr add {PUBLIC}/24 dev {PEER}"));
        ip(&format!("-n {NAMESPACE} route add default via 203.0.113.1"));
        for address in FORBIDDEN {
            ip(&format!("-n {NAMESPACE} addr add {address}/32 dev lo"));
            ip(&format!("route replace {address}/32 via {PUBLIC} dev {VETH}"));
        }
        let server = Command::new("ip")
            .args(["netns", "exec", NAMESPACE, "busybox", "httpd", "-f", "-p", "80", "-h", "/etc"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        outside.server = Some(server);
        outside
    }

    fn remove(&mut self) {
        if let Some(mut server) = self.server.take() {
            drop(server.kill());
            drop(server.wait());
        }
        output("ip", &["link", "del", VETH]);
        output("ip", &["netns", "del", NAMESPACE]);
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.remove();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_internet_is_reached_and_private_networks_are_not() {
    let outside = Outside::new();
    let docker = Docker::new();
    with_lease(&docker, async |lease| {
        let runtime = docker.runtime();
        let mut service = Service::new("app", IMAGE);
        service.command = ["/bin/sleep", "1000"].map(str::to_owned).to_vec();
        let desired = Workload { lease, manifest_hash: "1".to_owned(), services: vec![service] };
        runtime.apply(&desired, &NoSwitchboard).await.unwrap();
        let code = async |address: &str| {
            let line = format!("timeout 2 wget -q -O /dev/null http://{address}/hostname");
            let command = ["/bin/sh", "-c", &line].map(str::to_owned).to_vec();
            let request = ExecRequest { service: "app".to_owned(), replica: None, command, tty: None };
            let session = runtime.exec(lease, request).await.unwrap();
            let outputs: Vec<_> = session.output.collect().await;
            match outputs.last() {
                Some(Ok(ExecOutput::Exit(code))) => *code,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(code(PUBLIC).await, 0, "the control failed");
        for address in FORBIDDEN {
            assert_ne!(code(address).await, 0, "{address} was reached");
        }
        // The host's own address on that network is the host.
        assert_ne!(code("203.0.113.1").await, 0);
    })
    .await;
    drop(outside);
}
