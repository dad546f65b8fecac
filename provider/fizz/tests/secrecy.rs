//! The gateway carries what it cannot read: secrets of a manifest, a log and a shell are neither in what passes it nor in
//! its memory.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use common::{SOON, Subnet};
use futures::StreamExt as _;
use iono_lease_api::{LogQuery, ShellInput, ShellOutput, ShellRequest};
use iono_testkit::eventually;

/// Everything that a process has in memory.
fn memory(pid: u32) -> Vec<u8> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let file = File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut all = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (from, to) = line.split_whitespace().next().unwrap().split_once('-').unwrap();
        let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        let mut part = vec![0; (to - from) as usize];
        // Some of what is mapped cannot be read, such as the kernel's own pages.
        if file.read_exact_at(&mut part, from).is_ok() {
            all.extend(part);
        }
    }
    all
}

fn has(all: &[u8], text: &str) -> bool {
    memchr::memmem::find(all, text.as_bytes()).is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_manifest_log_and_shell_never_reach_the_gateway() {
    let subnet = Subnet::open().await;
    let (gateway, _light) = (subnet.gateway().await, subnet.light_node().await);
    let secrets =
        ["manifest", "log", "shell"].map(|of| format!("secret-of-{of}-{:016x}", rand::random::<u64>()));
    let [in_manifest, in_log, in_shell] = &secrets;
    let ordered = subnet.order_with("plain-nonce", &[("TOKEN", in_manifest)]).await;
    subnet.activate(&ordered).await;
    subnet.serve(&ordered).await;
    let (client, lease) = (subnet.client().await, ordered.lease);

    // The shell sees the manifest's secret, says one of its own, and writes one to the service's log.
    let command = format!("echo $TOKEN {in_shell}; echo {in_log} > /proc/1/fd/1; cat");
    let request = ShellRequest {
        service: "web".to_owned(),
        replica: None,
        command: ["/bin/sh", "-c", &command].map(str::to_owned).to_vec(),
        tty: None,
    };
    let mut shell = client.shell(lease, &request).await.unwrap();
    let mut said = Vec::new();
    while !has(&said, in_shell) {
        match tokio::time::timeout(SOON, shell.output.next()).await.unwrap().unwrap().unwrap() {
            ShellOutput::Stdout(bytes) => said.extend(bytes),
            other => panic!("{other:?}"),
        }
    }
    assert!(has(&said, in_manifest));
    shell.input.send(ShellInput::Stdin(in_shell.clone().into())).await.unwrap();
    let logged = || async {
        let mut lines = client.logs(lease, &LogQuery::default()).await.ok()?;
        while let Some(Ok(line)) = lines.next().await {
            if line.text.contains(in_log.as_str()) {
                return Some(());
            }
        }
        None
    };
    eventually("the secret in the log", SOON, logged).await.unwrap();

    // While all of it is open: nothing in the capture, nothing in memory; what the gateway may know is in both.
    let memory = memory(gateway.1.pid().unwrap());
    let [tenants, tunnel] = subnet.taps.each_ref().map(common::Tap::seen);
    assert!(
        has(&memory, &format!("web-{lease}.apps.localhost")),
        "this search of memory finds nothing at all"
    );
    assert!(
        has(&tenants, &iono_lease_api::light_node_name(subnet.fizz)),
        "the capture misses the first message"
    );
    assert!(tunnel.len() > 10_000, "the capture of the tunnel is empty");
    for secret in &secrets {
        assert!(!has(&memory, secret), "{secret} is in the gateway's memory");
        assert!(!has(&tenants, secret) && !has(&tunnel, secret), "{secret} passes the gateway in the clear");
    }
}
