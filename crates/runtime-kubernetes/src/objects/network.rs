//! Who reaches whom: nobody, but for what is said here. Names inside the lease are Services.

use std::collections::BTreeMap;
use std::net::IpAddr;

use iono_runtime::isolation::PRIVATE_NETWORKS;
use iono_runtime::{Port, Protocol, RuntimeError, Service as Workload};
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Object, Scope};
use crate::names::{key, service_label};

const DNS: u16 = 53;

/// The policies of the whole lease, and those of each service.
pub(super) fn objects(scope: &Scope<'_>) -> Result<Vec<Object>, RuntimeError> {
    let both = vec!["Ingress".to_owned(), "Egress".to_owned()];
    let nothing = NetworkPolicySpec { policy_types: Some(both), ..everybody() };
    let mut objects = vec![
        scope.object("nothing", policy(nothing))?,
        scope.object("names", policy(names(scope)))?,
        scope.object("internet", policy(internet(scope)))?,
        scope.object("router", policy(router(scope)))?,
    ];
    for service in &scope.workload.services {
        objects.push(scope.object(&format!("to-{}", service.name), policy(inward(service)))?);
        objects.push(scope.object(&format!("from-{}", service.name), policy(outward(scope, service)))?);
    }
    Ok(objects)
}

/// The name under which the lease's other services reach this one.
pub(super) fn service(scope: &Scope<'_>, service: &Workload) -> Result<Option<Object>, RuntimeError> {
    if service.ports.is_empty() {
        return Ok(None);
    }
    let ports = service.ports.iter().map(|port| ServicePort {
        name: Some(format!("{}-{}", port.protocol, port.external)),
        protocol: Some(transport(port)),
        port: i32::from(port.external),
        target_port: Some(IntOrString::Int(i32::from(port.number))),
        ..ServicePort::default()
    });
    let spec = ServiceSpec {
        selector: Some(service_label(&service.name)),
        ports: Some(ports.collect()),
        type_: Some("ClusterIP".to_owned()),
        ..ServiceSpec::default()
    };
    scope.object(&service.name, Service { spec: Some(spec), ..Service::default() }).map(Some)
}

fn policy(spec: NetworkPolicySpec) -> NetworkPolicy {
    NetworkPolicy { spec: Some(spec), ..NetworkPolicy::default() }
}

fn everybody() -> NetworkPolicySpec {
    NetworkPolicySpec { pod_selector: Some(LabelSelector::default()), ..NetworkPolicySpec::default() }
}

/// Names are asked for at the cluster's DNS pods, and at the name servers that its owner named.
fn names(scope: &Scope<'_>) -> NetworkPolicySpec {
    let pods = NetworkPolicyPeer {
        namespace_selector: Some(labelled("kubernetes.io/metadata.name", "kube-system")),
        pod_selector: Some(labelled("k8s-app", "kube-dns")),
        ..NetworkPolicyPeer::default()
    };
    let host = |address: &IpAddr| {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        block(&format!("{address}/{bits}"), &[])
    };
    let servers = scope.config.dns.iter().map(host);
    let ports = ["UDP", "TCP"].map(|protocol| NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(IntOrString::Int(i32::from(DNS))),
        ..NetworkPolicyPort::default()
    });
    outgoing(everybody(), std::iter::once(pods).chain(servers).collect(), ports.to_vec())
}

/// Every public address but those of the cluster's own machines.
fn internet(scope: &Scope<'_>) -> NetworkPolicySpec {
    let own = scope.carried.own_blocks.iter().map(String::as_str);
    let except: Vec<&str> = PRIVATE_NETWORKS.into_iter().chain(own).collect();
    outgoing(everybody(), vec![block("0.0.0.0/0", &except)], Vec::new())
}

/// The provider's router comes from the provider's own namespace, or from where its owner says.
fn router(scope: &Scope<'_>) -> NetworkPolicySpec {
    let provider = NetworkPolicyPeer {
        namespace_selector: Some(labelled("kubernetes.io/metadata.name", &scope.config.namespace)),
        ..NetworkPolicyPeer::default()
    };
    let outside = scope.config.routers.iter().map(|cidr| block(cidr, &[]));
    let from = std::iter::once(provider).chain(outside).collect();
    incoming(everybody(), vec![NetworkPolicyIngressRule { from: Some(from), ports: None }])
}

/// What the service's pods take: its own replicas at every port, others at the ports that are for them.
fn inward(service: &Workload) -> NetworkPolicySpec {
    let mut rules =
        vec![NetworkPolicyIngressRule { from: Some(vec![pods(service_label(&service.name))]), ports: None }];
    rules.extend(service.ports.iter().map(|port| NetworkPolicyIngressRule {
        from: Some(vec![callers(port)]),
        ports: Some(vec![number(port)]),
    }));
    incoming(of(service), rules)
}

/// What the service's pods may call within the lease.
fn outward(scope: &Scope<'_>, service: &Workload) -> NetworkPolicySpec {
    let mut rules =
        vec![NetworkPolicyEgressRule { to: Some(vec![pods(service_label(&service.name))]), ports: None }];
    for other in scope.workload.services.iter().filter(|other| other.name != service.name) {
        let open = other.ports.iter().filter(|port| port.to.is_empty() || port.to.contains(&service.name));
        let ports: Vec<NetworkPolicyPort> = open.map(number).collect();
        if !ports.is_empty() {
            let to = Some(vec![pods(service_label(&other.name))]);
            rules.push(NetworkPolicyEgressRule { to, ports: Some(ports) });
        }
    }
    NetworkPolicySpec { policy_types: Some(vec!["Egress".to_owned()]), egress: Some(rules), ..of(service) }
}

/// The pods of the lease that may connect to a port.
fn callers(port: &Port) -> NetworkPolicyPeer {
    if port.to.is_empty() {
        return pods(BTreeMap::new());
    }
    let one_of = LabelSelectorRequirement {
        key: key("service"),
        operator: "In".to_owned(),
        values: Some(port.to.clone()),
    };
    NetworkPolicyPeer {
        pod_selector: Some(LabelSelector {
            match_expressions: Some(vec![one_of]),
            ..LabelSelector::default()
        }),
        ..NetworkPolicyPeer::default()
    }
}

fn of(service: &Workload) -> NetworkPolicySpec {
    let selector =
        LabelSelector { match_labels: Some(service_label(&service.name)), ..LabelSelector::default() };
    NetworkPolicySpec { pod_selector: Some(selector), ..NetworkPolicySpec::default() }
}

fn incoming(whose: NetworkPolicySpec, rules: Vec<NetworkPolicyIngressRule>) -> NetworkPolicySpec {
    NetworkPolicySpec { policy_types: Some(vec!["Ingress".to_owned()]), ingress: Some(rules), ..whose }
}

fn outgoing(
    whose: NetworkPolicySpec,
    to: Vec<NetworkPolicyPeer>,
    ports: Vec<NetworkPolicyPort>,
) -> NetworkPolicySpec {
    let ports = (!ports.is_empty()).then_some(ports);
    let rule = NetworkPolicyEgressRule { to: Some(to), ports };
    NetworkPolicySpec { policy_types: Some(vec!["Egress".to_owned()]), egress: Some(vec![rule]), ..whose }
}

fn pods(labels: BTreeMap<String, String>) -> NetworkPolicyPeer {
    let match_labels = (!labels.is_empty()).then_some(labels);
    NetworkPolicyPeer {
        pod_selector: Some(LabelSelector { match_labels, ..LabelSelector::default() }),
        ..NetworkPolicyPeer::default()
    }
}

fn labelled(key: &str, value: &str) -> LabelSelector {
    let labels = BTreeMap::from([(key.to_owned(), value.to_owned())]);
    LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }
}

fn block(cidr: &str, except: &[&str]) -> NetworkPolicyPeer {
    let except = (!except.is_empty()).then(|| except.iter().map(|&cidr| cidr.to_owned()).collect());
    NetworkPolicyPeer {
        ip_block: Some(IPBlock { cidr: cidr.to_owned(), except }),
        ..NetworkPolicyPeer::default()
    }
}

/// The container's own port: policies see packets after a Service has translated them.
fn number(port: &Port) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(transport(port)),
        port: Some(IntOrString::Int(i32::from(port.number))),
        ..NetworkPolicyPort::default()
    }
}

fn transport(port: &Port) -> String {
    match port.protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    }
    .to_owned()
}
