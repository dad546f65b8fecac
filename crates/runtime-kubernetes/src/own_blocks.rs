//! Blocks that are the cluster's own though they look like the internet: public addresses of nodes and API servers, and
//! of pods. Whoever reaches a node from inside is behind every firewall that keeps strangers from its kubelet.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use iono_runtime::RuntimeError;
use iono_runtime::isolation::is_private;
use k8s_openapi::api::core::v1::{Endpoints, Node};
use kube::api::{Api, ListParams};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::cluster::ask;
use crate::inner::Inner;

/// How long an answer is good for: machines come and go slowly.
const FRESH: Duration = Duration::from_secs(60);

/// What was found last, and when.
pub(crate) type Found = Mutex<Option<(Instant, BTreeSet<String>)>>;

impl Inner {
    /// Public blocks of the cluster's machines and pods.
    pub(crate) async fn own_blocks(&self) -> Result<BTreeSet<String>, RuntimeError> {
        let mut found = self.own_blocks.lock().await;
        if let Some((_, blocks)) = found.as_ref().filter(|(when, _)| when.elapsed() < FRESH) {
            return Ok(blocks.clone());
        }
        let client = self.cluster.client().await?;
        // All of them, not only those that leases run on.
        let nodes: Api<Node> = Api::all(client.clone());
        let nodes = ask(nodes.list(&ListParams::default())).await?.items;
        let servers: Api<Endpoints> = Api::namespaced(client, "default");
        let servers = ask(servers.get_opt("kubernetes")).await?;
        let blocks = blocks(&nodes, servers.as_ref());
        *found = Some((Instant::now(), blocks.clone()));
        Ok(blocks)
    }
}

/// The public ones of all addresses that the cluster tells of itself. Names are of no use to a policy, and leases have
/// no way to IPv6 at all.
fn blocks(nodes: &[Node], servers: Option<&Endpoints>) -> BTreeSet<String> {
    let status = nodes.iter().filter_map(|node| node.status.as_ref()?.addresses.as_ref());
    let of_nodes = status.flatten().map(|address| address.address.as_str());
    let subsets = servers.and_then(|servers| servers.subsets.as_ref()).into_iter().flatten();
    let of_servers = subsets
        .flat_map(|subset| subset.addresses.iter().chain(&subset.not_ready_addresses).flatten())
        .map(|address| address.ip.as_str());
    let hosts = of_nodes.chain(of_servers).map(|address| (address, 32));
    let specs = nodes.iter().filter_map(|node| node.spec.as_ref()?.pod_cidrs.as_ref());
    let of_pods = specs.flatten().filter_map(|block| {
        let (address, bits) = block.split_once('/')?;
        Some((address, bits.parse().ok()?))
    });
    let public = hosts.chain(of_pods).filter_map(|(address, bits): (&str, u32)| {
        let address: Ipv4Addr = address.parse().ok()?;
        // Leases are kept from the others anyway.
        (!is_private(address.into())).then(|| format!("{address}/{bits}"))
    });
    public.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_public_of_a_cluster_is_found() {
        let node: Node = serde_json::from_value(json!({
            "spec": {"podCIDRs": ["10.244.0.0/24", "198.51.100.0/24", "fd00::/64"]},
            "status": {"addresses": [
                {"type": "InternalIP", "address": "10.0.0.5"},
                {"type": "ExternalIP", "address": "203.0.113.5"},
                {"type": "InternalIP", "address": "2001:db8::5"},
                {"type": "Hostname", "address": "node-5"},
            ]}
        }))
        .unwrap();
        let servers: Endpoints = serde_json::from_value(json!({"subsets": [
            {"addresses": [{"ip": "203.0.113.6"}, {"ip": "172.31.255.255"}]},
            {"notReadyAddresses": [{"ip": "172.32.0.0"}]},
        ]}))
        .unwrap();
        let found = blocks(&[node], Some(&servers));
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        assert_eq!(found, ["172.32.0.0/32", "198.51.100.0/24", "203.0.113.5/32", "203.0.113.6/32"]);
    }
}
