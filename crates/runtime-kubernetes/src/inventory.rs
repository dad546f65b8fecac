//! What the nodes have, and who has taken how much of it.

use std::collections::BTreeMap;

use iono_hardware::Hardware;
use iono_primitives::GpuModel;
use iono_runtime::{Agent, Machine, Room, RuntimeError};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::agents;
use crate::inner::Inner;
use crate::names::{label, lease_of};

/// Where NVIDIA's feature discovery says what a node's cards are, and how many MiB they have.
const GPU_NAME: &str = "nvidia.com/gpu.product";
const GPU_MEMORY: &str = "nvidia.com/gpu.memory";

impl Inner {
    /// See [`iono_runtime::Runtime::machines`].
    pub(crate) async fn machines(&self) -> Result<Vec<Machine>, RuntimeError> {
        self.in_sight().await?;
        let others = self.live.others.state();
        let agents = agents::addresses(others.iter().map(|pod| &**pod), &self.config.namespace);
        let mut agents = self.agents.look(agents).await;
        let mut machines: BTreeMap<String, Machine> = BTreeMap::new();
        for node in self.live.nodes.state() {
            if takes_workloads(&node)
                && self.config.nodes.iter().all(|(name, value)| has_label(&node, name, value))
            {
                let name = node.metadata.name.as_deref().unwrap_or_default();
                let machine = self.machine(&node, agents.remove(name).unwrap_or_default());
                machines.insert(machine.name.clone(), machine);
            }
        }
        for pod in self.live.pods.all().into_iter().chain(others) {
            let Some((node, taken)) = taken(&pod, &self.config.gpu_resource) else { continue };
            let Some(machine) = machines.get_mut(node) else { continue };
            let ours = label(&pod.metadata, "owner") == Some(self.names.short());
            match lease_of(&pod.metadata).filter(|_| ours) {
                Some(lease) => machine.leases.entry(lease).or_default().add(taken),
                None => machine.others.add(taken),
            }
        }
        Ok(machines.into_values().collect())
    }

    fn machine(&self, node: &Node, agent: Agent) -> Machine {
        let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
        let found = agent.known().map(|known| &known.report.found.hardware);
        Machine {
            name: node.metadata.name.clone().unwrap_or_default(),
            all: allocatable.map(|all| room(all, &self.config.gpu_resource)).unwrap_or_default(),
            gpu_model: found.and_then(model_of_cards).unwrap_or_else(|| model_of_labels(node)),
            storage_class: found.map(|found| found.space.class).unwrap_or_default(),
            agent,
            ..Machine::default()
        }
    }
}

/// The model of a machine's cards by its agent's word; any where they differ, since the plugin says who gets which one.
fn model_of_cards(found: &Hardware) -> Option<GpuModel> {
    let (first, rest) = found.gpus.split_first()?;
    Some(if rest.iter().all(|card| card.model == first.model) { first.model } else { GpuModel::ANY })
}

/// The same by the vendor's feature discovery.
fn model_of_labels(node: &Node) -> GpuModel {
    let named = |name: &str| node.metadata.labels.as_ref().and_then(|labels| labels.get(name));
    let memory = named(GPU_MEMORY).and_then(|text| text.parse().ok()).unwrap_or(0);
    named(GPU_NAME).map(|name| iono_hardware::model_of(name, memory)).unwrap_or_default()
}

fn has_label(node: &Node, name: &str, value: &str) -> bool {
    node.metadata.labels.as_ref().and_then(|labels| labels.get(name)).is_some_and(|found| found == value)
}

/// Ready, and neither cordoned nor kept for pods that say they bear it.
fn takes_workloads(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready =
        conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"));
    let spec = node.spec.as_ref();
    let cordoned = spec.and_then(|spec| spec.unschedulable).unwrap_or(false);
    let tainted = spec.and_then(|spec| spec.taints.as_ref());
    let tainted = tainted.is_some_and(|taints| taints.iter().any(|taint| taint.effect != "PreferNoSchedule"));
    ready && !cordoned && !tainted
}

/// Where a pod is and what it has set aside there; `None` for one that has no place or has ended.
fn taken<'a>(pod: &'a Pod, gpu: &str) -> Option<(&'a str, Room)> {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
    let spec = pod.spec.as_ref()?;
    let node = spec.node_name.as_deref().filter(|_| !matches!(phase, "Succeeded" | "Failed"))?;
    let requests = |container: &k8s_openapi::api::core::v1::Container| {
        let requests = container.resources.as_ref().and_then(|all| all.requests.as_ref());
        requests.map(|requests| room(requests, gpu)).unwrap_or_default()
    };
    let mut sum = Room::default();
    spec.containers.iter().for_each(|container| sum.add(requests(container)));
    Some((node, sum))
}

fn room(amounts: &BTreeMap<String, Quantity>, gpu: &str) -> Room {
    let of = |name: &str| amounts.get(name).and_then(|quantity| milli(&quantity.0)).unwrap_or(0);
    let mebibytes = |name: &str| u64::try_from(of(name) / 1_000 / (1 << 20)).unwrap_or(u64::MAX);
    Room {
        cpu: u64::try_from(of("cpu")).unwrap_or(u64::MAX),
        memory: mebibytes("memory"),
        storage: mebibytes("ephemeral-storage"),
        gpus: u64::try_from(of(gpu) / 1_000).unwrap_or(u64::MAX),
    }
}

/// A Kubernetes quantity in thousandths; `None` for what is none. Decimal and binary suffixes and exponents, as the API
/// writes them.
pub(crate) fn milli(text: &str) -> Option<u128> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let scale: u128 = match suffix {
        "m" => 1,
        "" => 1_000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "T" => 1_000_000_000_000_000,
        "P" => 1_000_000_000_000_000_000,
        "Ki" => 1_000 << 10,
        "Mi" => 1_000 << 20,
        "Gi" => 1_000 << 30,
        "Ti" => 1_000 << 40,
        "Pi" => 1_000 << 50,
        exponent => {
            1_000u128.checked_mul(10u128.checked_pow(exponent.strip_prefix(['e', 'E'])?.parse().ok()?)?)?
        }
    };
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let digits = fraction.get(..fraction.len().min(9))?;
    let part: u128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let divisor = 10u128.pow(u32::try_from(digits.len()).ok()?);
    whole.checked_mul(scale)?.checked_add(part.checked_mul(scale)? / divisor)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_are_read_as_the_api_writes_them() {
        let cases = [
            ("100m", 100),
            ("2", 2_000),
            ("1.5", 1_500),
            ("0.1", 100),
            ("1k", 1_000_000),
            ("1Ki", 1_024_000),
            ("24684084Ki", 24_684_084 * 1_024_000),
            ("1e3", 1_000_000),
            ("1.5Gi", 1_610_612_736_000),
        ];
        for (text, expected) in cases {
            assert_eq!(milli(text), Some(expected), "{text}");
        }
        for text in ["", "Gi", "1x", "-1", "1e"] {
            assert!(milli(text).is_none_or(|value| value == 0), "{text}");
        }
    }

    #[test]
    fn a_node_that_takes_no_workloads_is_none() {
        let node = |spec: serde_json::Value, ready: &str| -> Node {
            let status = json!({"conditions": [{"type": "Ready", "status": ready}]});
            serde_json::from_value(json!({"metadata": {"name": "a"}, "spec": spec, "status": status}))
                .unwrap()
        };
        assert!(takes_workloads(&node(json!({}), "True")));
        assert!(!takes_workloads(&node(json!({}), "Unknown")));
        assert!(!takes_workloads(&node(json!({"unschedulable": true}), "True")));
        let taint = |effect: &str| json!({"taints": [{"key": "a", "effect": effect}]});
        assert!(!takes_workloads(&node(taint("NoSchedule"), "True")));
        assert!(takes_workloads(&node(taint("PreferNoSchedule"), "True")));
    }

    #[test]
    fn a_pod_takes_what_it_has_set_aside() {
        let pod = |phase: &str| -> Pod {
            let requests = json!({"cpu": "250m", "memory": "64Mi", "nvidia.com/gpu": "2"});
            let containers = json!([{"name": "a", "resources": {"requests": requests}}, {"name": "b"}]);
            serde_json::from_value(json!({
                "metadata": {}, "spec": {"nodeName": "n", "containers": containers}, "status": {"phase": phase}
            }))
            .unwrap()
        };
        let room = Room { cpu: 250, memory: 64, storage: 0, gpus: 2 };
        assert_eq!(taken(&pod("Running"), "nvidia.com/gpu"), Some(("n", room)));
        assert_eq!(taken(&pod("Failed"), "nvidia.com/gpu"), None);
    }
}
