//! The egress guard: iptables rules that keep leases' containers away from private networks, the host and other leases.
//!
//! Every lease bridge is named `iono…`, so two shared chains serve all leases of all providers on the node: forwarded
//! packets pass `IONO-EGRESS` (from `DOCKER-USER`, which the engine never touches), packets to the host `IONO-HOST`.
//! Answers to established connections pass, so the router reaches containers; a lease adds one rule for itself, which
//! lets its own services talk where the kernel filters bridged packets. IPv6 is off on leases' networks.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};

use iono_runtime::RuntimeError;
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::Egress;

const FORWARD: &str = "IONO-EGRESS";
const INPUT: &str = "IONO-HOST";
const BRIDGES: &str = "iono+";

/// What is not the internet: RFC 1918, 6598, 3927, 6890 and multicast.
const PRIVATE: [&str; 11] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
];

#[derive(Debug)]
pub(crate) struct Guard {
    egress: Egress,
    dns: Vec<Ipv4Addr>,
    ready: Mutex<Arc<OnceCell<()>>>,
    /// Bridges whose own rule is known to be there.
    bridges: Mutex<HashSet<String>>,
}

impl Guard {
    pub(crate) fn new(egress: Egress, dns: &[IpAddr]) -> Self {
        let dns =
            dns.iter().filter_map(|ip| if let IpAddr::V4(ip) = ip { Some(*ip) } else { None }).collect();
        Self { egress, dns, ready: Mutex::default(), bridges: Mutex::default() }
    }

    /// Sets the shared rules where they are missing; once per process.
    pub(crate) async fn set_up(&self) -> Result<(), RuntimeError> {
        if self.egress == Egress::External {
            return Ok(());
        }
        let ready = Arc::clone(&self.ready.lock().unwrap_or_else(PoisonError::into_inner));
        ready.get_or_try_init(|| self.install()).await.map(drop)
    }

    /// Sets the rules of these bridges, and the shared ones, again where somebody flushed them: a reboot, another
    /// firewall's reload.
    pub(crate) async fn heal(&self, bridges: &[String]) -> Result<(), RuntimeError> {
        if self.egress == Egress::External {
            return Ok(());
        }
        if self.missing().await.is_some() {
            tracing::warn!("the egress guard's iptables rules were missing; they are set again");
            *self.ready.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
            self.set_up().await?;
        }
        for bridge in bridges {
            self.lock().remove(bridge);
            self.admit(bridge, false).await?;
        }
        Ok(())
    }

    /// The first shared rule that is not there.
    async fn missing(&self) -> Option<String> {
        for (chain, rule) in [
            ("DOCKER-USER", vec!["-i", BRIDGES, "-j", FORWARD]),
            ("FORWARD", vec!["-j", "DOCKER-USER"]),
            ("INPUT", vec!["-i", BRIDGES, "-j", INPUT]),
            (INPUT, vec!["-j", "DROP"]),
            (FORWARD, vec!["-d", "10.0.0.0/8", "-j", "DROP"]),
            (FORWARD, vec!["-d", "169.254.0.0/16", "-j", "DROP"]),
        ] {
            if !has(chain, &rule).await {
                return Some(format!("{chain} {}", rule.join(" ")));
            }
        }
        None
    }

    /// Fills the chains in one transaction, so that there is no moment without rules, and sends traffic into them.
    async fn install(&self) -> Result<(), RuntimeError> {
        let mut rules = format!("*filter\n:{INPUT} - [0:0]\n");
        if !has(FORWARD, &["-d", "240.0.0.0/4", "-j", "DROP"]).await {
            rules += &format!(":{FORWARD} - [0:0]\n");
            for rule in self.forward_rules() {
                rules += &format!("-A {FORWARD} {rule}\n");
            }
        }
        rules += &format!(
            "-A {INPUT} -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN\n-A {INPUT} -j DROP\nCOMMIT\n"
        );
        restore(&rules).await?;
        for (from, to) in [("DOCKER-USER", FORWARD), ("INPUT", INPUT)] {
            let rule = ["-i", BRIDGES, "-j", to];
            if !has(from, &rule).await {
                iptables(&["-I", from, "1"], &rule).await?;
            }
        }
        Ok(())
    }

    fn forward_rules(&self) -> Vec<String> {
        let mut rules = vec!["-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN".to_owned()];
        for server in &self.dns {
            rules.extend(
                ["udp", "tcp"].map(|protocol| format!("-d {server} -p {protocol} --dport 53 -j RETURN")),
            );
        }
        rules.extend(PRIVATE.map(|network| format!("-d {network} -j DROP")));
        rules
    }

    /// Lets the services of one lease talk to each other; `fresh` when its network was just made.
    pub(crate) async fn admit(&self, bridge: &str, fresh: bool) -> Result<(), RuntimeError> {
        if self.egress == Egress::External || self.lock().contains(bridge) {
            return Ok(());
        }
        self.set_up().await?;
        let rule = own(bridge);
        if fresh || !has(FORWARD, &rule).await {
            iptables(&["-I", FORWARD, "1"], &rule).await?;
        }
        self.lock().insert(bridge.to_owned());
        Ok(())
    }

    /// Takes a lease's rule away.
    pub(crate) async fn dismiss(&self, bridge: &str) -> Result<(), RuntimeError> {
        if self.egress == Egress::External {
            return Ok(());
        }
        self.lock().remove(bridge);
        // A crash between the rule and the network can leave it there twice.
        while has(FORWARD, &own(bridge)).await {
            iptables(&["-D", FORWARD], &own(bridge)).await?;
        }
        Ok(())
    }

    /// Whether the guard holds now, with the reason why not.
    pub(crate) async fn probe(&self) -> Result<String, String> {
        if self.egress == Egress::External {
            return Err("left to the node's own firewall by configuration".to_owned());
        }
        self.set_up().await.map_err(|error| error.to_string())?;
        if let Some(rule) = self.missing().await {
            return Err(format!("the iptables rule `{rule}` is missing"));
        }
        Ok("iptables: private networks, the host and other leases are dropped".to_owned())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.bridges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn own(bridge: &str) -> [&str; 6] {
    ["-i", bridge, "-o", bridge, "-j", "RETURN"]
}

async fn has(chain: &str, rule: &[&str]) -> bool {
    iptables(&["-C", chain], rule).await.is_ok()
}

async fn iptables(what: &[&str], rule: &[&str]) -> Result<(), RuntimeError> {
    let output = Command::new("iptables").arg("-w").arg("10").args(what).args(rule).output().await;
    finish(output)
}

async fn restore(rules: &str) -> Result<(), RuntimeError> {
    use tokio::io::AsyncWriteExt;
    let run = async {
        let mut command = Command::new("iptables-restore");
        command.args(["-w", "10", "--noflush"]).stdin(std::process::Stdio::piped());
        let mut child =
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(rules.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    finish(run.await)
}

fn finish(output: std::io::Result<std::process::Output>) -> Result<(), RuntimeError> {
    let refused = |why: String| {
        let text = format!("the egress guard cannot be set ({why}); run as root with iptables installed");
        RuntimeError::Refused(text)
    };
    let output = output.map_err(|error| refused(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(refused(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}
