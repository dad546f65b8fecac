//! The tunnel through a router with NAT: nobody gets in, the light node gets out, and after a pulled cable or a new
//! address it serves again at the same port.

#![allow(clippy::unwrap_used)]

mod common;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::{Keys, client, echo, gateway, limits, visit};
use iono_testkit::lab::{GATEWAY, Lab, Line, Namespace};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// SP-33: until a light node serves again once its network is back.
const BACK: Duration = Duration::from_secs(5);
/// Until it serves again from another address: nobody tells the old connection, its keep-alive has to find out.
const MOVED: Duration = Duration::from_secs(20);
/// The client's address behind the router.
const INSIDE: &str = "192.168.77.2:0";

/// Asks until the echo behind the tunnel answers.
async fn served(port: SocketAddr) -> Duration {
    let begin = Instant::now();
    loop {
        let visit = tokio::time::timeout(Duration::from_millis(500), visit(port, b"hello")).await;
        if matches!(&visit, Ok(Ok(answer)) if answer == b"hello") {
            return begin.elapsed();
        }
        assert!(begin.elapsed() < MOVED * 2, "nobody is served any more");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A part of the laboratory, and a runtime in it.
struct Place<'a> {
    namespace: &'a Namespace,
    runtime: Runtime,
}

impl<'a> Place<'a> {
    fn new(namespace: &'a Namespace) -> Self {
        Self { namespace, runtime: namespace.runtime().unwrap() }
    }

    /// On a thread in it: a socket stays where it was made.
    fn run<T: Send>(&self, work: impl Future<Output = T> + Send) -> T {
        self.namespace.run(|| self.runtime.block_on(work))
    }
}

#[test]
fn a_light_node_behind_nat_keeps_its_port_through_a_new_address_and_a_pulled_cable() {
    let lab = Lab::new(Line { round_trip: Duration::from_millis(40), loss: 0.01, seed: 3 }).unwrap();
    let (outside, inside) = (Place::new(lab.gateway()), Place::new(lab.client()));
    let keys = Keys::new();
    let (gate, _events) = outside.run(gateway(&keys, (GATEWAY, 0).into(), limits()));
    let port = outside.run(async {
        let listener = TcpListener::bind((GATEWAY, 0)).await.unwrap();
        gate.expose_tcp(gate.expect(keys.pin("client")), listener, "echo").unwrap()
    });
    let service = inside.run(echo());
    let _client = inside.run(async { client(&keys, "client", gate.address(), service, limits()) });
    let back = |what: &str, most: Duration| {
        let waited = outside.run(served(port.address()));
        assert!(waited <= most, "{what}: served again after {waited:?}");
    };
    back("at first", BACK);
    // The other way round there is no way, although the gateway knows one and somebody listens.
    let route = ["route", "add", "192.168.77.0/24", "via", "10.77.0.2"];
    assert!(lab.gateway().command("ip").args(route).status().unwrap().success());
    let open = inside.run(TcpListener::bind(INSIDE)).unwrap();
    let direct = outside.run(async {
        tokio::time::timeout(Duration::from_millis(800), TcpStream::connect(open.local_addr().unwrap())).await
    });
    assert!(!matches!(direct, Ok(Ok(_))), "the router lets visitors in");

    lab.move_client().unwrap();
    back("another address behind the router", BACK);
    lab.rebind().unwrap();
    back("another address of the router", MOVED);
    lab.pull();
    outside.run(async { tokio::time::sleep(Duration::from_secs(12)).await });
    lab.plug();
    back("a cable that was out for 12 s", BACK);
}
