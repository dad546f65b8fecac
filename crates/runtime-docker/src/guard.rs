//! The egress guard: iptables rules that keep leases' containers away from private networks, the host, other leases, and
//! from what their own lease's services do not expose.
//!
//! Every lease bridge is named `iono…`, so two shared chains serve all leases of all providers on the node: forwarded
//! packets pass `IONO-EGRESS` (from `DOCKER-USER`), packets to the host `IONO-HOST`. Answers to established connections
//! pass, so the router reaches containers. A lease adds a chain with its bridge's name for packets between its own
//! containers (`services`). IPv6 is off on leases' networks.
//!
//! A reboot takes all rules away, and the engine would start containers again before anyone set them. So a container
//! mounts an empty file in memory that is made when the guard stands: without it the engine cannot start the container,
//! and waits for the provider to do so.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bollard::models::{Mount, MountType};
use iono_runtime::RuntimeError;
use iono_runtime::isolation::PRIVATE_NETWORKS;
use tokio::sync::OnceCell;

use crate::Egress;
use crate::inner::Inner;
use crate::iptables::{has, insert, list, restore};
use crate::secrets::make_private;
use crate::services::{Jumps, Members, members};
use iono_runtime::failed;

/// The chain for forwarded packets.
pub(crate) const FORWARD: &str = "IONO-EGRESS";
const INPUT: &str = "IONO-HOST";
const BRIDGES: &str = "iono+";
/// The engine's chain for rules of the machine's owner, which come before its own and which it never touches.
const OWNERS: &str = "DOCKER-USER";
/// Whether packets between two ports of one bridge pass iptables. The engine sees to it when it makes a lease's network.
const BRIDGED: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";
/// What the file that says that the guard stands is called on the host, and in a container.
const GUARDED: &str = "guarded";
const GUARDED_INSIDE: &str = "/dev/ionosphere-guarded";

/// Whether packets pass a bridge unseen by the rules.
fn bridges_pass() -> bool {
    std::fs::read_to_string(BRIDGED).is_ok_and(|value| value.trim() == "0")
}

#[derive(Debug)]
pub(crate) struct Guard {
    egress: Egress,
    dns: Vec<Ipv4Addr>,
    ready: Mutex<Arc<OnceCell<()>>>,
    /// The containers for which each lease's chain was written, by its bridge. One change at a time.
    leases: tokio::sync::Mutex<HashMap<String, Members>>,
}

impl Guard {
    pub(crate) fn new(egress: Egress, dns: &[IpAddr]) -> Self {
        let dns =
            dns.iter().filter_map(|ip| if let IpAddr::V4(ip) = ip { Some(*ip) } else { None }).collect();
        Self { egress, dns, ready: Mutex::default(), leases: tokio::sync::Mutex::default() }
    }

    /// Whether these rules are this runtime's to set.
    pub(crate) fn is_ours(&self) -> bool {
        self.egress == Egress::Guard
    }

    /// Sets the shared rules where they are missing; once per process.
    pub(crate) async fn set_up(&self) -> Result<(), RuntimeError> {
        if !self.is_ours() {
            return Ok(());
        }
        let ready = Arc::clone(&self.ready.lock().unwrap_or_else(PoisonError::into_inner));
        ready.get_or_try_init(|| self.install()).await.map(drop)
    }

    /// Sets the shared rules and those of all leases again where somebody flushed them: a reboot, another firewall's
    /// reload. `found` are leases that this process may not know yet.
    pub(crate) async fn heal(&self, found: HashMap<String, Members>) -> Result<(), RuntimeError> {
        if !self.is_ours() {
            return Ok(());
        }
        if self.missing().await.is_some() {
            tracing::warn!("the egress guard's iptables rules were missing; they are set again");
            *self.ready.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
        }
        self.set_up().await?;
        let mut leases = self.leases.lock().await;
        for (bridge, members) in found {
            leases.entry(bridge).or_insert(members);
        }
        Jumps::read().await.write(&leases).await
    }

    /// The first shared rule that is not there.
    async fn missing(&self) -> Option<String> {
        if bridges_pass() {
            return Some("net.bridge.bridge-nf-call-iptables = 1 (sysctl)".to_owned());
        }
        for (chain, rule) in [
            (OWNERS, vec!["-i", BRIDGES, "-j", FORWARD]),
            ("FORWARD", vec!["-j", OWNERS]),
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
        // Usually on already; in a container it can be read only.
        if bridges_pass() {
            std::fs::write(BRIDGED, "1").map_err(|error| failed("write", Path::new(BRIDGED), &error))?;
        }
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
        if list("filter", OWNERS).await.is_empty() {
            rules = format!("*filter\n:{OWNERS} - [0:0]\nCOMMIT\n{rules}");
        }
        restore(&rules).await?;
        for (from, rule) in [
            (OWNERS, &["-i", BRIDGES, "-j", FORWARD][..]),
            ("INPUT", &["-i", BRIDGES, "-j", INPUT]),
            ("FORWARD", &["-j", OWNERS]),
        ] {
            if !has(from, rule).await {
                insert(from, rule).await?;
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
        rules.extend(PRIVATE_NETWORKS.map(|network| format!("-d {network} -j DROP")));
        rules
    }

    /// Lets the containers of a lease talk as they may; those that it has already stay. `fresh` when its network is only
    /// being made, for exactly these.
    pub(crate) async fn admit(&self, bridge: &str, new: Members, fresh: bool) -> Result<(), RuntimeError> {
        if !self.is_ours() {
            return Ok(());
        }
        self.set_up().await?;
        let mut leases = self.leases.lock().await;
        let known = leases.get(bridge).filter(|_| !fresh);
        if known.is_some_and(|known| new.iter().all(|(address, member)| known.get(address) == Some(member))) {
            return Ok(());
        }
        let jumps = if fresh { Jumps::default() } else { Jumps::read().await };
        let mut all = known.cloned().unwrap_or_default();
        all.extend(new);
        let changed = HashMap::from([(bridge.to_owned(), all)]);
        jumps.write(&changed).await?;
        leases.extend(changed);
        Ok(())
    }

    /// Takes a lease's rules away.
    pub(crate) async fn dismiss(&self, bridge: &str) -> Result<(), RuntimeError> {
        if !self.is_ours() {
            return Ok(());
        }
        let mut leases = self.leases.lock().await;
        let (known, jumps) = (leases.remove(bridge).is_some(), Jumps::read().await);
        // Where nothing was ever set nothing needs to be taken away.
        if known || jumps.lead_to(bridge) { jumps.remove(bridge).await } else { Ok(()) }
    }

    /// Whether the guard holds now, with the reason why not.
    pub(crate) async fn probe(&self) -> Result<String, String> {
        if !self.is_ours() {
            return Err("left to the node's own firewall by configuration".to_owned());
        }
        self.set_up().await.map_err(|error| error.to_string())?;
        if let Some(rule) = self.missing().await {
            return Err(format!("the iptables rule `{rule}` is missing"));
        }
        Ok("iptables: private networks, the host, other leases and what is not exposed are dropped"
            .to_owned())
    }
}

impl Inner {
    /// Sees to it that the guard stands, also for containers that the engine started again before anyone set its rules.
    pub(crate) async fn heal_guard(&self) -> Result<(), RuntimeError> {
        let leases: HashSet<_> = self.containers(None, false).await?.iter().map(|c| c.lease).collect();
        if leases.is_empty() {
            // Nothing needs to be guarded, nor the node's firewall to be changed.
            return Ok(());
        }
        // What is being changed or removed right now sees to its own rules.
        let held: HashMap<_, _> =
            leases.into_iter().filter_map(|lease| Some((lease, self.turns.try_take(lease)?))).collect();
        let containers = self.containers(None, false).await?;
        let of = |lease| members(containers.iter().filter(|c| c.lease == lease));
        let found = held.keys().map(|lease| (self.names.bridge(*lease), of(*lease)));
        self.guard.heal(found.filter(|(_, members)| !members.is_empty()).collect()).await
    }

    /// The mount without which the engine cannot start a container: its source is there while the guard is, and a reboot
    /// takes both away. `None` when the guard is not ours.
    pub(crate) async fn guarded(&self) -> Result<Option<Mount>, RuntimeError> {
        if !self.guard.is_ours() {
            return Ok(None);
        }
        let dir = self.memory_dir.as_ref().map_err(|why| RuntimeError::Refused(why.clone()))?;
        let dir = dir.join(self.names.short());
        let path = dir.join(GUARDED);
        self.guard.set_up().await?;
        make_private(&dir)
            .and_then(|()| File::create(&path))
            .map_err(|error| failed("create", &path, &error))?;
        Ok(Some(Mount {
            typ: Some(MountType::BIND),
            source: Some(path.to_string_lossy().into_owned()),
            target: Some(GUARDED_INSIDE.to_owned()),
            read_only: Some(true),
            ..Default::default()
        }))
    }
}
