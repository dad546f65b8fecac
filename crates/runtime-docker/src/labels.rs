//! The names and labels of all that this runtime creates. Labels are its only memory; they hold no secret.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum};
use iono_primitives::LeaseId;
use iono_runtime::{Owner, Port, Protocol, RestartPolicy};
use sha2::{Digest, Sha256};

const PREFIX: &str = "network.ionosphere";

fn label(name: &str) -> String {
    format!("{PREFIX}.{name}")
}

/// A filter for things of one kind.
pub(crate) fn of_kind(kind: &str) -> String {
    format!("{}={kind}", label("kind"))
}

/// What the owner's things are called.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    owner: String,
    /// Eight hex digits that stand for the owner in names.
    short: String,
}

impl Names {
    pub(crate) fn new(owner: &Owner) -> Self {
        let owner = owner.to_string();
        let short = short_hash(&owner, 4);
        Self { owner, short }
    }

    /// The owner in names.
    pub(crate) fn short(&self) -> &str {
        &self.short
    }

    /// The filter for everything of this owner, or for one lease of it.
    pub(crate) fn filter(&self, lease: Option<LeaseId>) -> HashMap<String, Vec<String>> {
        let mut labels = vec![format!("{}={}", label("owner"), self.owner)];
        labels.extend(lease.map(|lease| format!("{}={lease}", label("lease"))));
        HashMap::from([("label".to_owned(), labels)])
    }

    /// The labels of a thing that belongs to a lease.
    pub(crate) fn labels(&self, lease: LeaseId, kind: &str) -> HashMap<String, String> {
        HashMap::from([
            (label("owner"), self.owner.clone()),
            (label("lease"), lease.to_string()),
            (label("kind"), kind.to_owned()),
        ])
    }

    pub(crate) fn network(&self, lease: LeaseId) -> String {
        format!("iono-{}-{lease}", self.short)
    }

    /// The bridge's interface name: at most 15 bytes, and `iono+` matches all of them in a firewall rule.
    pub(crate) fn bridge(&self, lease: LeaseId) -> String {
        format!("iono{}", short_hash(&self.network(lease), 5))
    }

    pub(crate) fn container(&self, lease: LeaseId, service: &str, replica: u32, spec: &str) -> String {
        let spec = spec.get(..8).unwrap_or(spec);
        format!("iono-{}-{lease}-{service}-{replica}-{spec}", self.short)
    }

    /// A manifest's volume; every stored version has another name, so that one can replace the other safely.
    pub(crate) fn manifest(&self, lease: LeaseId, version: u64) -> String {
        format!("iono-{}-{lease}-manifest-{version}", self.short)
    }
}

fn short_hash(text: &str, bytes: usize) -> String {
    hex::encode(&Sha256::digest(text.as_bytes())[..bytes])
}

/// The lease and the kind of a labelled thing.
pub(crate) fn lease_of(labels: &HashMap<String, String>) -> Option<LeaseId> {
    labels.get(&label("lease"))?.parse().ok()
}

/// The lease, service and replica that an engine's event is about.
pub(crate) fn subject(labels: &HashMap<String, String>) -> Option<(LeaseId, String, u32)> {
    let service = labels.get(&label("service"))?.clone();
    Some((lease_of(labels)?, service, labels.get(&label("replica"))?.parse().ok()?))
}

/// A container of ours, as its labels and the engine's list tell it.
#[derive(Debug, Clone)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) lease: LeaseId,
    pub(crate) service: String,
    pub(crate) replica: u32,
    pub(crate) address: Ipv4Addr,
    /// Keyed hash of everything that makes this container what it is.
    pub(crate) spec: String,
    pub(crate) manifest_hash: String,
    /// As the manifest names it.
    pub(crate) image: String,
    /// The engine's id of the image.
    pub(crate) image_id: String,
    /// The registry's digest, or the id again where it came from no registry.
    pub(crate) digest: String,
    pub(crate) ports: Vec<Port>,
    pub(crate) ready_within: Duration,
    pub(crate) restart: RestartPolicy,
    /// Seconds that its process gets to end by itself.
    pub(crate) grace: i32,
    /// Bytes that its writable layer may hold.
    pub(crate) quota: u64,
    pub(crate) state: ContainerSummaryStateEnum,
    /// Seconds since 1970.
    pub(crate) created: i64,
    /// Bytes in its writable layer, when they were asked for.
    pub(crate) size: Option<u64>,
}

impl Container {
    pub(crate) fn is_running(&self) -> bool {
        self.state == ContainerSummaryStateEnum::RUNNING
    }

    /// The labels for a new container.
    pub(crate) fn labels(&self, names: &Names) -> HashMap<String, String> {
        let ports: Vec<_> = self.ports.iter().map(write_port).collect();
        let restart = match self.restart {
            RestartPolicy::Always => "always",
            RestartPolicy::OnFailure => "on-failure",
            RestartPolicy::Never => "never",
        };
        let own = [
            ("service", self.service.clone()),
            ("replica", self.replica.to_string()),
            ("address", self.address.to_string()),
            ("spec", self.spec.clone()),
            ("manifest", self.manifest_hash.clone()),
            ("image", self.image.clone()),
            ("image-id", self.image_id.clone()),
            ("digest", self.digest.clone()),
            ("ports", ports.join(",")),
            ("ready-within", self.ready_within.as_millis().to_string()),
            ("restart", restart.to_owned()),
            ("grace", self.grace.to_string()),
            ("quota", self.quota.to_string()),
        ];
        let mut labels = names.labels(self.lease, "replica");
        labels.extend(own.map(|(name, value)| (label(name), value)));
        labels
    }

    /// Reads the labels again; `None` when it is no container of this form.
    pub(crate) fn read(summary: ContainerSummary) -> Option<Self> {
        let labels = summary.labels?;
        let get = |name: &str| labels.get(&label(name));
        let text = |name: &str| get(name).cloned();
        let ports = get("ports")?.split(',').filter(|port| !port.is_empty()).map(read_port);
        Some(Self {
            id: summary.id?,
            lease: lease_of(&labels)?,
            service: text("service")?,
            replica: get("replica")?.parse().ok()?,
            address: get("address")?.parse().ok()?,
            spec: text("spec")?,
            manifest_hash: text("manifest")?,
            image: text("image")?,
            image_id: text("image-id")?,
            digest: text("digest")?,
            ports: ports.collect::<Option<_>>()?,
            ready_within: Duration::from_millis(get("ready-within")?.parse().ok()?),
            restart: match get("restart")?.as_str() {
                "never" => RestartPolicy::Never,
                "on-failure" => RestartPolicy::OnFailure,
                _ => RestartPolicy::Always,
            },
            grace: get("grace")?.parse().ok()?,
            quota: get("quota")?.parse().ok()?,
            state: summary.state.unwrap_or(ContainerSummaryStateEnum::EMPTY),
            created: summary.created.unwrap_or(0),
            size: summary.size_rw.and_then(|size| u64::try_from(size).ok()),
        })
    }
}

/// `number/protocol/external/service+service`.
fn write_port(port: &Port) -> String {
    format!("{}/{}/{}/{}", port.number, port.protocol, port.external, port.to.join("+"))
}

fn read_port(text: &str) -> Option<Port> {
    let mut parts = text.split('/');
    let number = parts.next()?.parse().ok()?;
    let protocol = if parts.next()? == "udp" { Protocol::Udp } else { Protocol::Tcp };
    let external = parts.next()?.parse().ok()?;
    let to = parts.next()?.split('+').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    Some(Port { number, protocol, external, to })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_writes() {
        let owner = Owner { chain_id: 1, registry: [7; 20].into(), provider: iono_primitives::ProviderId(3) };
        let names = Names::new(&owner);
        let ports = vec![
            Port { external: 8080, to: vec!["api".into(), "db-1".into()], ..Port::new(80, Protocol::Tcp) },
            Port::new(53, Protocol::Udp),
        ];
        let container = Container {
            id: "c".into(),
            lease: LeaseId(9),
            service: "web".into(),
            replica: 2,
            address: [10, 0, 0, 5].into(),
            spec: "abcdef0123".into(),
            manifest_hash: "0x1".into(),
            image: "a:b".into(),
            image_id: "sha256:1".into(),
            digest: "sha256:2".into(),
            ports,
            ready_within: Duration::from_millis(1_500),
            restart: RestartPolicy::OnFailure,
            grace: 2,
            quota: 7,
            state: ContainerSummaryStateEnum::RUNNING,
            created: 4,
            size: Some(5),
        };
        let summary = ContainerSummary {
            id: Some("c".into()),
            labels: Some(container.labels(&names)),
            state: Some(ContainerSummaryStateEnum::RUNNING),
            created: Some(4),
            size_rw: Some(5),
            ..Default::default()
        };
        assert_eq!(format!("{:?}", Container::read(summary).unwrap()), format!("{container:?}"));
        assert!(
            Container::read(ContainerSummary { labels: Some(HashMap::new()), ..Default::default() })
                .is_none()
        );
        assert!(names.bridge(LeaseId(u64::MAX)).len() <= 15);
        assert_ne!(names.network(LeaseId(1)), names.network(LeaseId(2)));
    }
}
