//! Names, addresses, and what cannot be reached.

use std::net::Ipv4Addr;
use std::time::Duration;

use iono_router::{Protocol as Transport, Route};
use tokio::net::{TcpListener, UdpSocket};

use super::support::{PORT, Routed, eventually, log_text, replicas, run, shell, web, workload};
use super::{Harness, with_lease};
use crate::api::NoSwitchboard;
use crate::{Port, Protocol};

/// Two services reach each other by name.
pub async fn services_find_each_other(harness: &dyn Harness) {
    with_lease(harness, async |lease| {
        let line = format!("until wget -q -O - http://web:{PORT}/; do sleep 0.1; done; exec sleep 1000");
        let client = shell(harness, "client", &line);
        let runtime = harness.runtime();
        runtime
            .apply(&workload(lease, vec![web(harness, "n1"), client]), &NoSwitchboard)
            .await
            .expect("applied");
        eventually("the client's log shows the server's answer", async || {
            log_text(&*runtime, lease, "client").await.contains("body-n1").then_some(())
        })
        .await;
    })
    .await;
}

/// A nonce from the workload's environment comes back in a body and in the log.
pub async fn shows_a_nonce_outside(harness: &dyn Harness) {
    with_lease(harness, async |lease| {
        let runtime = harness.runtime();
        let routed = Routed::new(lease, Vec::new()).await;
        let nonce = format!("{lease}-{}", std::process::id());
        runtime.apply(&workload(lease, vec![web(harness, &nonce)]), &routed).await.expect("applied");
        assert_eq!(routed.get().await.expect("an answer"), (200, format!("body-{nonce}\n")));
        assert!(log_text(&*runtime, lease, "web").await.contains(&format!("log-{nonce}")));
    })
    .await;
}

/// Datagrams reach a service through the router, and answers come back.
pub async fn answers_udp(harness: &dyn Harness) {
    with_lease(harness, async |lease| {
        let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let listen = free.local_addr().expect("bound").port();
        drop(free);
        let route = Route::Port { protocol: Transport::Udp, listen, service: "echo".to_owned(), port: 9_000 };
        let routed = Routed::new(lease, vec![route]).await;
        let mut service = shell(harness, "echo", "exec udp-echo 9000");
        service.ports = vec![Port { number: 9_000, protocol: Protocol::Udp }];
        harness.runtime().apply(&workload(lease, vec![service]), &routed).await.expect("applied");
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        client.connect((Ipv4Addr::LOCALHOST, listen)).await.expect("connected");
        eventually("an echo", async || {
            client.send(b"ping").await.expect("sent");
            let mut buffer = [0; 16];
            let answer = tokio::time::timeout(Duration::from_millis(500), client.recv(&mut buffer)).await;
            matches!(answer, Ok(Ok(4)) if &buffer[..4] == b"ping").then_some(())
        })
        .await;
    })
    .await;
}

/// Other leases, the host and the metadata address cannot be reached; the lease's own services can.
pub async fn keeps_leases_and_host_apart(harness: &dyn Harness) {
    with_lease(harness, async |victim| {
        with_lease(harness, async |lease| {
            let runtime = harness.runtime();
            let caller = shell(harness, "caller", "exec sleep 1000");
            let own = workload(lease, vec![web(harness, "own"), caller]);
            let other = workload(victim, vec![web(harness, "secret")]);
            let (one, two) =
                tokio::join!(runtime.apply(&own, &NoSwitchboard), runtime.apply(&other, &NoSwitchboard));
            one.expect("applied");
            two.expect("applied");
            let host = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.expect("a port");
            let port = host.local_addr().expect("bound").port();
            let victim = replicas(&*runtime, victim, "web").await.remove(0).address.expect("an address");
            let call = async |to: &str| {
                let line = format!("timeout 2 wget -q -O - http://{to}/");
                run(&*runtime, lease, "caller", &line, "").await
            };
            let own = call(&format!("web:{PORT}")).await;
            assert_eq!(own.out, "body-own\n", "{}", own.err);
            let gateway =
                run(&*runtime, lease, "caller", "ip route | sed -n 's/default via \\([^ ]*\\).*/\\1/p'", "")
                    .await;
            let gateway = gateway.out.trim().to_owned();
            assert!(gateway.parse::<Ipv4Addr>().is_ok(), "no gateway: {gateway}");
            let targets = [
                format!("{victim}:{PORT}"),
                format!("{gateway}:{port}"),
                "169.254.169.254".to_owned(),
                "172.17.0.1".to_owned(),
            ];
            for target in targets {
                let ran = call(&target).await;
                assert!(ran.code != 0 && ran.out.is_empty(), "{target} was reached: {} {}", ran.out, ran.err);
                assert!(!ran.err.contains("refused"), "{target} answered: {}", ran.err);
            }
        })
        .await;
    })
    .await;
}
