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

/// A port is reached at its outer number, by the services that it is exposed to, and by nobody else; through updates,
/// restarts and a new runtime.
pub async fn services_reach_what_is_exposed_to_them(harness: &dyn Harness) {
    with_lease(harness, async |lease| {
        let runtime = harness.runtime();
        let line = format!(
            "mkdir -p /www; echo hello > /www/index.html; httpd -p 9090 -h /www; exec httpd -f -p {PORT} -h /www"
        );
        let mut db = shell(harness, "db", &line);
        db.replicas = 2;
        db.ports = vec![Port { external: 80, to: vec!["web".to_owned()], ..Port::new(PORT, Protocol::Tcp) }];
        let idle = |name: &str, time: &str| shell(harness, name, &format!("exec sleep {time}"));
        let first = workload(lease, vec![db.clone(), idle("web", "1000"), idle("other", "1000")]);
        runtime.apply(&first, &NoSwitchboard).await.expect("applied");
        let call = async |from: &str, to: String| {
            let line = format!("timeout 2 wget -q -O - http://{to}/");
            run(&*runtime, lease, from, &line, "").await.out
        };
        let check = async |when: &str, friend: &str, stranger: &str| {
            assert_eq!(call(friend, "db".to_owned()).await, "hello\n", "{when}: {friend} reaches db");
            let peer = replicas(&*runtime, lease, "db").await.remove(1).address.expect("an address");
            assert_eq!(call("db", format!("{peer}:9090")).await, "hello\n", "{when}: replicas reach each other");
            let calls = [
                (friend, format!("db:{PORT}")),
                (friend, "db:9090".to_owned()),
                (stranger, "db".to_owned()),
                (stranger, format!("{peer}:80")),
                (stranger, format!("{peer}:{PORT}")),
            ];
            let call = &call;
            let calls = calls.map(|(from, to)| async move {
                assert_eq!(call(from, to.clone()).await, "", "{when}: {from} reached {to}");
            });
            futures::future::join_all(calls).await;
        };
        check("at first", "web", "other").await;
        let next = vec![db.clone(), idle("web", "2000"), idle("other", "2000")];
        runtime.apply(&workload(lease, next.clone()), &NoSwitchboard).await.expect("updated");
        check("from new addresses", "web", "other").await;
        runtime.restart(lease, Some("db"), &NoSwitchboard).await.expect("restarted");
        check("after a restart", "web", "other").await;
        harness.forgetful().apply(&workload(lease, next), &NoSwitchboard).await.expect("adopted");
        check("adopted", "web", "other").await;
        db.ports[0].to = vec!["other".to_owned()];
        let turned = vec![db, idle("web", "2000"), idle("other", "2000")];
        runtime.apply(&workload(lease, turned), &NoSwitchboard).await.expect("updated");
        check("exposed to another", "other", "web").await;
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
        service.ports = vec![Port::new(9_000, Protocol::Udp)];
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
