//! What of `provider check` looks at machines one by one: what they were measured to do, and what keeps them from
//! earning. This one tells for itself, a cluster's through their agents.

use iono_hardware::{Found, Reach, Undriven};
use iono_primitives::attributes::Compute;
use iono_runtime::{Agent, Known, Machine};

use super::{Checked, failed, passed};
use iono_host::config::Config;
use iono_host::machine::Seen;

/// Milliseconds that a node's clock may be away from this machine's: leases go by time, and logs are read together.
const MOST_SKEW: u64 = 2_000;
/// The least that a machine must have (ST-2): millicores, and MiB of memory and of disk. A machine of a gigabyte has a
/// little less to give.
const LEAST: (u64, u64, u64) = (1_000, 900, 10_000);

/// A line for each machine, and one for what the owner says of them.
pub(super) fn all(config: &Config, seen: &Seen) -> Vec<Checked> {
    let mut checks: Vec<Checked> = seen.offer.machines.iter().map(node).collect();
    checks.extend(seen.this.as_ref().map(this));
    checks.extend(score(config, seen.offer.compute));
    checks
}

/// Whether the owner's word on compute is what was measured.
fn score(config: &Config, measured: Option<Compute>) -> Option<Checked> {
    let (word, measured) = (config.public.compute?, measured?);
    let message = format!("public.compute is {word}, measured is {measured}");
    Some(if word <= measured {
        passed("compute", message)
    } else {
        failed(
            "compute",
            format!("{message}: challenges would show it; leave it out, or write what is measured"),
        )
    })
}

fn this(this: &Found) -> Checked {
    let mut problems: Vec<String> = this.undriven.iter().map(Undriven::to_string).collect();
    let mebibytes = |bytes: u64| bytes / (1 << 20);
    let (memory, disk) = (mebibytes(this.hardware.memory.usable), mebibytes(this.hardware.space.total));
    problems.extend(too_small((this.hardware.cpu.millicores.into(), memory, disk)));
    sum_up("machine", &words(this), &problems)
}

fn node(machine: &Machine) -> Checked {
    let name = &machine.name;
    match &machine.agent {
        Agent::Missing => passed(
            "node",
            format!("{name}: has no agent (deploy/kubernetes); known is what Kubernetes says of it alone"),
        ),
        Agent::Silent { why } => failed("node", format!("{name}: its agent does not answer: {why}")),
        Agent::Known(known) => {
            sum_up("node", &format!("{name}: {}", speeds(known)), &problems(machine, known))
        }
    }
}

fn problems(machine: &Machine, known: &Known) -> Vec<String> {
    let report = &known.report;
    let mut problems: Vec<String> = report.found.undriven.iter().map(Undriven::to_string).collect();
    if known.skew.unsigned_abs() > MOST_SKEW {
        problems.push(format!("its clock is {} ms away from this machine's: set it by NTP", known.skew));
    }
    let (found, assigned) = (report.found.hardware.gpus.len() as u64, machine.all.gpus);
    if found > assigned {
        problems.push(format!(
            "it has {found} cards and Kubernetes assigns {assigned}: install the vendor's device plugin"
        ));
    }
    problems.extend(report.reach.iter().filter_map(unreached));
    problems.extend(too_small((machine.all.cpu, machine.all.memory, machine.all.storage)));
    problems
}

fn unreached(reach: &Reach) -> Option<String> {
    let why = reach.problem.as_ref()?;
    Some(format!("{} is not reached from there ({why}): open the port", reach.address))
}

fn too_small((cpu, memory, disk): (u64, u64, u64)) -> Option<String> {
    let is_small = cpu < LEAST.0 || memory < LEAST.1 || disk < LEAST.2;
    is_small.then(|| format!("{cpu} millicores, {memory} MiB and {disk} MiB of disk are less than the least"))
}

fn speeds(known: &Known) -> String {
    let report = &known.report;
    let mut words = words(&report.found);
    if let Some(network) = known.network {
        words += &format!(", network {}/{} Mbit/s", network.from_node, network.to_node);
    }
    if let Some(degrees) = report.condition.temperature {
        words += &format!(", {degrees} °C");
    }
    words
}

fn words(found: &Found) -> String {
    let Found { hardware, measured, .. } = found;
    let (threads, tier) = (hardware.cpu.threads, found.compute());
    let write = measured.write.map(|speed| format!(" {speed} MiB/s")).unwrap_or_default();
    let cards: Vec<&str> = hardware.gpus.iter().map(|card| card.model.as_str()).collect();
    let cards = if cards.is_empty() { String::new() } else { format!(", {}", cards.join(" ")) };
    format!(
        "{threads} threads, {} points ({tier}), disk {}{write}{cards}",
        measured.compute, hardware.space.class
    )
}

fn sum_up(name: &'static str, found: &str, problems: &[String]) -> Checked {
    if problems.is_empty() {
        passed(name, found)
    } else {
        failed(name, format!("{found}; {}", problems.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use iono_runtime::{Network, Room};
    use serde_json::json;

    use super::*;

    fn machine(change: impl FnOnce(&mut Known)) -> Machine {
        let report = json!({
            "version": "0.1.0", "clock": 0,
            "cpu": {"model": "x", "threads": 8, "limit": null, "millicores": 8000},
            "memory": {"total": 1, "limit": null, "usable": 1}, "disks": [],
            "space": {"path": "/scratch", "total": 1, "free": 1, "class": "nvme"}, "gpus": [],
            "undriven": [], "condition": {"load": 0, "memory_free": 0, "temperature": 45, "fans": []},
            "measured": {"compute": 21_000, "write": 900}, "reach": [],
        });
        let network = Some(Network { from_node: 940, to_node: 930 });
        let mut known = Known { report: serde_json::from_value(report).unwrap(), skew: 3, network };
        change(&mut known);
        let all = Room { cpu: 8_000, memory: 16_000, storage: 100_000, gpus: 0 };
        Machine { name: "a".to_owned(), all, agent: Agent::Known(Box::new(known)), ..Machine::default() }
    }

    #[test]
    fn a_node_is_summed_up() {
        let found = node(&machine(|_| {}));
        let expected =
            "a: 8 threads, 21000 points (general), disk nvme 900 MiB/s, network 940/930 Mbit/s, 45 °C";
        assert_eq!((found.ok, found.message.as_str()), (true, expected));
        assert!(node(&Machine::default()).ok, "an agent is no duty");
    }

    #[test]
    fn what_keeps_a_node_from_earning_is_named() {
        let why = |change: fn(&mut Known)| {
            let found = node(&machine(change));
            assert!(!found.ok);
            found.message.split_once("°C; ").unwrap().1.to_owned()
        };
        assert_eq!(
            why(|known| known.skew = -2_500),
            "its clock is -2500 ms away from this machine's: set it by NTP"
        );
        let reach = |known: &mut Known| {
            let (address, problem) = ("p:8443".to_owned(), Some("connection refused".to_owned()));
            known.report.reach = vec![Reach { address, problem }];
        };
        assert_eq!(why(reach), "p:8443 is not reached from there (connection refused): open the port");
        let cards = |known: &mut Known| {
            let card = json!({"vendor": "nvidia", "model": "h100", "name": "H100", "id": "g", "memory": 1});
            known.report.found.hardware.gpus = vec![serde_json::from_value(card).unwrap()];
        };
        let found = node(&machine(cards));
        assert!(!found.ok && found.message.contains("has 1 cards and Kubernetes assigns 0"), "{found:?}");
        let small = Machine { all: Room { cpu: 500, ..machine(|_| {}).all }, ..machine(|_| {}) };
        assert!(node(&small).message.contains("less than the least"));
        let silent = Machine { agent: Agent::Silent { why: "no answer".to_owned() }, ..Machine::default() };
        assert!(!node(&silent).ok);
    }
}
