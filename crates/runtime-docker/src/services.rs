//! Which service of a lease reaches which: the rules of the lease's own chains, made from its containers alone.
//!
//! A port is reached at its outer number (`as` in the manifest), by the services that it is exposed to, and by nobody
//! else; replicas of one service reach each other at every port. Containers keep their addresses and cannot take
//! another's (no raw sockets), so the rules name addresses and stay right when the engine restarts a container.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;

use iono_runtime::{Port, RuntimeError, Service};

use crate::Pool;
use crate::guard::FORWARD;
use crate::iptables::{list, restore};
use crate::labels::Container;

/// A container as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) service: String,
    pub(crate) ports: Vec<Port>,
}

impl Member {
    /// A replica of this service.
    pub(crate) fn of(service: &Service) -> Self {
        Self { service: service.name.clone(), ports: service.ports.clone() }
    }
}

/// The containers of a lease by address.
pub(crate) type Members = BTreeMap<Ipv4Addr, Member>;

/// The members that these containers are.
pub(crate) fn members<'a>(containers: impl IntoIterator<Item = &'a Container>) -> Members {
    let member = |c: &Container| Member { service: c.service.clone(), ports: c.ports.clone() };
    containers.into_iter().map(|c| (c.address, member(c))).collect()
}

/// The addresses of the services that are `wanted`, in as few blocks as possible.
fn blocks(members: &Members, wanted: impl Fn(&Member) -> bool) -> Vec<Pool> {
    Pool::cover(&members.iter().filter(|(_, member)| wanted(member)).map(|(address, _)| *address).collect())
}

/// Rules that turn outer port numbers into the containers' own.
fn translations(members: &Members) -> Vec<String> {
    let mut rules = Vec::new();
    for port in exposed(members).filter(|port| port.number != port.external) {
        let Port { number, external, protocol, .. } = port;
        for to in blocks(members, |member| member.ports.contains(port)) {
            rules
                .push(format!("-d {to} -p {protocol} --dport {external} -j DNAT --to-destination :{number}"));
        }
    }
    rules
}

/// Rules that let pass what may pass, for packets between two containers of the lease.
fn filters(members: &Members) -> Vec<String> {
    let mut rules = vec!["-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT".to_owned()];
    let services: BTreeSet<&str> = members.values().map(|member| member.service.as_str()).collect();
    for service in services {
        let own = blocks(members, |member| member.service == service);
        rules.extend(
            own.iter().flat_map(|from| own.iter().map(move |to| format!("-s {from} -d {to} -j ACCEPT"))),
        );
    }
    for port in exposed(members) {
        let Port { number, external, protocol, to } = port;
        let targets = blocks(members, |member| member.ports.contains(port));
        let sources = blocks(members, |member| to.contains(&member.service));
        let sources: Vec<String> = match to.as_slice() {
            [] => vec![String::new()],
            _ => sources.iter().map(|from| format!("-s {from} ")).collect(),
        };
        for (from, to) in sources.iter().flat_map(|from| targets.iter().map(move |to| (from, to))) {
            rules.push(format!(
                "{from}-d {to} -p {protocol} --dport {number} -m conntrack --ctorigdstport {external} -j ACCEPT"
            ));
        }
    }
    rules.push("-j DROP".to_owned());
    rules
}

/// Each port of a lease once.
fn exposed(members: &Members) -> impl Iterator<Item = &Port> {
    let mut seen: Vec<&Port> = Vec::new();
    let all = members.values().flat_map(|member| &member.ports);
    all.for_each(|port| {
        if !seen.contains(&port) {
            seen.push(port)
        }
    });
    seen.into_iter()
}

/// The rules that lead into the leases' chains.
#[derive(Debug, Default)]
pub(crate) struct Jumps {
    nat: Vec<String>,
    filter: Vec<String>,
}

/// Packets of a lease before they are routed, and those between two of its containers.
fn jumps(bridge: &str) -> [String; 2] {
    [format!("PREROUTING -i {bridge} -j {bridge}"), format!("{FORWARD} -i {bridge} -o {bridge} -j {bridge}")]
}

impl Jumps {
    /// Those that are there.
    pub(crate) async fn read() -> Self {
        let (nat, filter) = tokio::join!(list("nat", "PREROUTING"), list("filter", FORWARD));
        Self { nat, filter }
    }

    /// Whether one of them leads into this lease's chains.
    pub(crate) fn lead_to(&self, bridge: &str) -> bool {
        let [nat, filter] = jumps(bridge).map(|jump| format!("-A {jump}"));
        self.nat.contains(&nat) || self.filter.contains(&filter)
    }

    /// Writes the chains of these leases anew, and the jumps into them where they are missing.
    pub(crate) async fn write(&self, leases: &HashMap<String, Members>) -> Result<(), RuntimeError> {
        let (mut nat, mut filter) = (Vec::new(), Vec::new());
        for (bridge, members) in leases {
            for (table, there, jump, rules) in [
                (&mut nat, &self.nat, 0, translations(members)),
                (&mut filter, &self.filter, 1, filters(members)),
            ] {
                let jump = &jumps(bridge)[jump];
                table.extend(rules.iter().map(|rule| format!("-A {bridge} {rule}")));
                if !there.contains(&format!("-A {jump}")) {
                    table.push(format!("-I {jump}"));
                }
            }
        }
        let chains: String = leases.keys().map(|bridge| format!(":{bridge} - [0:0]\n")).collect();
        let table =
            |name: &str, rules: Vec<String>| format!("*{name}\n{chains}{}\nCOMMIT\n", rules.join("\n"));
        restore(&(table("nat", nat) + &table("filter", filter))).await
    }

    /// Removes a lease's chains; a crash between rule and network may have left a jump there twice.
    pub(crate) async fn remove(&self, bridge: &str) -> Result<(), RuntimeError> {
        let table = |name: &str, there: &[String], jump: &String| {
            let jumps = there.iter().filter(|rule| **rule == format!("-A {jump}"));
            let jumps: String = jumps.map(|_| format!("-D {jump}\n")).collect();
            format!("*{name}\n:{bridge} - [0:0]\n{jumps}-X {bridge}\nCOMMIT\n")
        };
        let [nat, filter] = jumps(bridge);
        restore(&(table("nat", &self.nat, &nat) + &table("filter", &self.filter, &filter))).await
    }
}

#[cfg(test)]
mod tests {
    use iono_runtime::Protocol;

    use super::*;

    fn port(number: u16, external: u16, to: &[&str]) -> Port {
        let to = to.iter().map(|name| (*name).to_owned()).collect();
        Port { external, to, ..Port::new(number, Protocol::Tcp) }
    }

    fn lease(replicas: &[(u8, &str, &[Port])]) -> Members {
        let member = |(n, service, ports): &(u8, &str, &[Port])| {
            let member = Member { service: (*service).to_owned(), ports: ports.to_vec() };
            (Ipv4Addr::new(10, 0, 0, *n), member)
        };
        replicas.iter().map(member).collect()
    }

    #[test]
    fn lets_pass_what_is_exposed_and_drops_the_rest() {
        let (db, web) = (port(8080, 80, &["web"]), port(443, 443, &[]));
        let members = lease(&[
            (2, "db", std::slice::from_ref(&db)),
            (3, "db", std::slice::from_ref(&db)),
            (4, "web", std::slice::from_ref(&web)),
            (5, "other", &[]),
        ]);
        assert_eq!(
            filters(&members),
            [
                "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
                "-s 10.0.0.2/31 -d 10.0.0.2/31 -j ACCEPT",
                "-s 10.0.0.5/32 -d 10.0.0.5/32 -j ACCEPT",
                "-s 10.0.0.4/32 -d 10.0.0.4/32 -j ACCEPT",
                "-s 10.0.0.4/32 -d 10.0.0.2/31 -p tcp --dport 8080 -m conntrack --ctorigdstport 80 -j ACCEPT",
                "-d 10.0.0.4/32 -p tcp --dport 443 -m conntrack --ctorigdstport 443 -j ACCEPT",
                "-j DROP",
            ]
        );
        assert_eq!(
            translations(&members),
            ["-d 10.0.0.2/31 -p tcp --dport 80 -j DNAT --to-destination :8080"]
        );
    }

    #[test]
    fn an_exposure_to_a_service_without_replicas_lets_nobody_pass() {
        let members = lease(&[(2, "db", &[port(1, 1, &["gone"])]), (3, "web", &[])]);
        assert!(!filters(&members).iter().any(|rule| rule.contains("--dport")));
    }

    #[test]
    fn two_generations_keep_their_own_rules() {
        let (old, new) = (port(80, 80, &["a"]), port(80, 80, &["b"]));
        let members = lease(&[(2, "db", &[old]), (3, "db", &[new]), (4, "a", &[]), (5, "b", &[])]);
        let rules = filters(&members).join("\n");
        assert!(
            rules.contains("-s 10.0.0.4/32 -d 10.0.0.2/32 ")
                && rules.contains("-s 10.0.0.5/32 -d 10.0.0.3/32 ")
        );
        assert!(!rules.contains("-s 10.0.0.4/32 -d 10.0.0.3/32 "));
    }
}
