//! A network laboratory: a client behind a router with NAT, a gateway on the other side, and between them a line whose
//! delay and loss are set. Each is a network namespace; the line is this project's own relay between two TUN devices,
//! since not every kernel has netem. Needs root, and `ip` and `iptables`.
//!
//! ```text
//!  client ──veth── router (masquerade) ──TUN── relay ──TUN── gateway
//!  192.168.77.2    192.168.77.1 · 10.77.0.2                  10.77.0.1
//! ```

mod line;
mod namespace;
mod segments;
mod tun;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Result;

pub use line::Line;
pub use namespace::Namespace;

use line::Relay;

/// The gateway's address, as the client sees it.
pub const GATEWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1));

/// The client's way out.
const VIA_ROUTER: [&str; 5] = ["default", "via", "192.168.77.1", "congctl", "cubic"];

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A running laboratory; dropped, everything of it is gone.
pub struct Lab {
    // Before the namespaces, whose devices it holds.
    relay: Relay,
    client: Namespace,
    router: Namespace,
    gateway: Namespace,
    /// The last byte of the router's outer address and of the client's.
    outer: AtomicU32,
    inner: AtomicU32,
    /// This machine's address, once it is joined.
    beyond: OnceLock<IpAddr>,
}

impl Lab {
    /// Builds it, with this line between router and gateway.
    ///
    /// # Errors
    /// Without root, TUN devices, network namespaces, `ip` or `iptables`.
    pub fn new(line: Line) -> Result<Self> {
        Namespace::sweep()?;
        let number = COUNT.fetch_add(1, Relaxed);
        let [client, router, gateway] =
            ["client", "router", "gateway"].map(|role| Namespace::create(&format!("{number}-{role}")));
        let (client, router, gateway) = (client?, router?, gateway?);
        let relay = Relay::start(&router, &gateway, line)?;

        router.ip(&["link", "add", "lan", "type", "veth", "peer", "name", "lan", "netns", client.name()])?;
        gateway.ip(&["addr", "add", "10.77.0.1/24", "dev", "wan"])?;
        router.ip(&["addr", "add", "10.77.0.2/24", "dev", "wan"])?;
        router.ip(&["addr", "add", "192.168.77.1/24", "dev", "lan"])?;
        client.ip(&["addr", "add", "192.168.77.2/24", "dev", "lan"])?;
        for (namespace, device) in [(&gateway, "wan"), (&router, "wan"), (&router, "lan"), (&client, "lan")] {
            namespace.ip(&["link", "set", device, "up"])?;
        }
        // The congestion control that nearly every machine comes with, whatever this one does; a program may ask for
        // another.
        client.ip(&[&["route", "add"], &VIA_ROUTER[..]].concat())?;
        gateway.ip(&["route", "replace", "10.77.0.0/24", "dev", "wan", "congctl", "cubic"])?;
        router.run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1"))?;
        router.tool("iptables", &["-t", "nat", "-A", "POSTROUTING", "-o", "wan", "-j", "MASQUERADE"])?;
        // Nothing gets in that was not asked for, as with any router at home.
        router.tool("iptables", &["-P", "FORWARD", "DROP"])?;
        router.tool("iptables", &["-A", "FORWARD", "-i", "lan", "-j", "ACCEPT"])?;
        let known = ["-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED"];
        router
            .tool("iptables", &[&["-A", "FORWARD", "-i", "wan"], &known[..], &["-j", "ACCEPT"]].concat())?;
        let (outer, inner) = (AtomicU32::new(2), AtomicU32::new(2));
        Ok(Self { relay, client, router, gateway, outer, inner, beyond: OnceLock::new() })
    }

    /// Where a light node runs.
    #[must_use]
    pub fn client(&self) -> &Namespace {
        &self.client
    }

    /// Where the gateway and its visitors run.
    #[must_use]
    pub fn gateway(&self) -> &Namespace {
        &self.gateway
    }

    /// Joins the gateway's side to this machine, so that what runs here can be reached from the laboratory; gives this
    /// machine's address there.
    ///
    /// # Errors
    /// When `ip` or `iptables` fails.
    pub fn uplink(&self) -> Result<IpAddr> {
        let (name, number) = (format!("lab{}", std::process::id()), std::process::id() % (1 << 14));
        // A network of its own for each process, so that laboratories do not meet.
        let at = |last| Ipv4Addr::from((0x0a4e_0000 | number << 2) + last);
        let [here, there] = [at(1), at(2)];
        let gateway = &self.gateway;
        gateway.ip(&["link", "add", "uplink", "type", "veth", "peer", "name", &name])?;
        gateway.ip(&["link", "set", &name, "netns", &std::process::id().to_string()])?;
        for (namespace, device, address) in [(None, name.as_str(), here), (Some(gateway), "uplink", there)] {
            let run = |args: &[&str]| match namespace {
                Some(namespace) => namespace.ip(args),
                None => namespace::here(args),
            };
            run(&["addr", "add", &format!("{address}/30"), "dev", device])?;
            run(&["link", "set", device, "up"])?;
        }
        gateway.run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1"))?;
        gateway.tool("iptables", &["-t", "nat", "-A", "POSTROUTING", "-o", "uplink", "-j", "MASQUERADE"])?;
        let here = *self.beyond.get_or_init(|| here.into());
        self.route_beyond()?;
        Ok(here)
    }

    /// The router's way to this machine, if there is one: it is lost with the router's address.
    fn route_beyond(&self) -> Result<()> {
        let Some(here) = self.beyond.get() else { return Ok(()) };
        self.router.ip(&["route", "replace", &format!("{here}/32"), "via", "10.77.0.1"])
    }

    /// Pulls the cable: everything is lost both ways, and nobody is told.
    pub fn pull(&self) {
        self.relay.cut(true);
    }

    /// Plugs it in again.
    pub fn plug(&self) {
        self.relay.cut(false);
    }

    /// The router gets another address and forgets its mappings, as after the provider's nightly reconnection: packets of
    /// old connections come from elsewhere.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn rebind(&self) -> Result<()> {
        let old = self.outer.fetch_add(1, Relaxed);
        self.router.ip(&["addr", "add", &format!("10.77.0.{}/24", old + 1), "dev", "wan"])?;
        self.router.ip(&["addr", "del", &format!("10.77.0.{old}/24"), "dev", "wan"])?;
        // With its last address of the network gone, the secondary ones go too unless they were promoted.
        self.router.ip(&["addr", "replace", &format!("10.77.0.{}/24", old + 1), "dev", "wan"])?;
        self.route_beyond()
    }

    /// The client's machine gets another address, as when it changes from cable to wireless.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn move_client(&self) -> Result<()> {
        let old = self.inner.fetch_add(1, Relaxed);
        self.client.ip(&["addr", "del", &format!("192.168.77.{old}/24"), "dev", "lan"])?;
        self.client.ip(&["addr", "add", &format!("192.168.77.{}/24", old + 1), "dev", "lan"])?;
        self.client.ip(&[&["route", "replace"], &VIA_ROUTER[..]].concat())
    }

    /// Time that the relay has spent on cores so far: what the laboratory itself costs.
    ///
    /// # Errors
    /// When the relay has ended.
    pub fn relay_time(&self) -> Result<Duration> {
        self.relay.time()
    }
}
