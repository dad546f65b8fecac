//! What is listed, read as leases.

use iono_runtime::ExitReason;
use serde_json::{Value, json};

use super::*;
use crate::ends::Ends;
use crate::names::key;

fn labels(lease: u64, service: &str, template: &str) -> Value {
    json!({key("lease"): lease.to_string(), key("service"): service, key("template"): template})
}

fn pod(lease: u64, service: &str, name: &str, born: &str) -> Pod {
    let running = json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}});
    serde_json::from_value(json!({
        "metadata": {"name": name, "uid": name, "creationTimestamp": born, "labels": labels(lease, service, "new")},
        "status": {"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [{
            "name": service, "image": "i", "imageID": "sha256:ab", "ready": true, "restartCount": 0, "state": running
        }]}
    }))
    .unwrap()
}

fn namespace(lease: u64) -> Arc<Namespace> {
    let metadata =
        json!({"name": "n", "labels": labels(lease, "", ""), "annotations": {key("manifest"): "ab"}});
    serde_json::from_value(json!({"metadata": metadata})).unwrap()
}

/// A set of `replicas` whose present template is called "new".
fn set(lease: u64, name: &str, replicas: u32) -> Value {
    let metadata = json!({
        "name": name, "labels": labels(lease, name, ""), "annotations": {key("manifest"): "ab"}
    });
    let template = json!({"metadata": {"labels": labels(lease, name, "new")}});
    json!({"metadata": metadata, "spec": {"replicas": replicas, "selector": {}, "template": template, "serviceName": name}})
}

fn deployment(lease: u64, name: &str, replicas: u32) -> Arc<Deployment> {
    serde_json::from_value(set(lease, name, replicas)).unwrap()
}

#[test]
fn leases_are_found_by_their_labels() {
    let mut dying = pod(7, "web", "web-z", "2026-01-01T00:00:00Z");
    dying.metadata.deletion_timestamp = dying.metadata.creation_timestamp.clone();
    let mut old = pod(7, "web", "web-0", "2025-01-01T00:00:00Z");
    old.metadata.labels.as_mut().unwrap().insert(key("template"), "old".to_owned());
    let pods = vec![
        pod(7, "web", "web-a", "2026-01-01T00:00:02Z"),
        pod(7, "web", "web-b", "2026-01-01T00:00:01Z"),
        dying,
        old,
        pod(7, "db", "db-1", "2026-01-01T00:00:01Z"),
        pod(8, "web", "stray", "2026-01-01T00:00:01Z"),
    ];
    let listed = Listed {
        namespaces: vec![namespace(9), namespace(7)],
        deployments: vec![deployment(7, "web", 3)],
        stateful_sets: vec![serde_json::from_value(set(7, "db", 2)).unwrap()],
        pods: pods.into_iter().map(Arc::new).collect(),
        manifests: [LeaseId(9), LeaseId(5)].into(),
        ..Listed::default()
    };
    let observed = listed.observed();
    assert_eq!(observed.iter().map(|one| one.lease.0).collect::<Vec<_>>(), [5, 7, 9]);
    assert!(observed[2].has_manifest && observed[2].services.is_empty());
    assert_eq!((observed[0].manifest_hash.as_str(), observed[1].manifest_hash.as_str()), ("", "ab"));
    let [database, web] = &observed[1].services[..] else { panic!("{observed:?}") };
    // By its own number, and by age.
    assert_eq!((database.desired, database.replicas[0].index), (2, 1));
    let replicas: Vec<_> =
        web.replicas.iter().map(|one| (one.id.as_str(), one.index, one.manifest_hash.as_str())).collect();
    assert_eq!(replicas, [("web-0", 0, ""), ("web-b", 1, "ab"), ("web-a", 2, "ab")]);
    // One of the generation before does not count.
    assert_eq!((web.desired, web.ready, observed[1].is_ready()), (3, 2, false));
}

/// What the cluster ended for its disk is the past of what took its place.
#[test]
fn an_evicted_pod_is_a_restart_of_its_successor() {
    let pods: Vec<Value> = serde_json::from_str(include_str!("../fixtures/pods.json")).unwrap();
    let evicted = pods.into_iter().find(|pod| pod["metadata"]["name"] == "disk-1").unwrap();
    let mut evicted: Pod = serde_json::from_value(evicted).unwrap();
    let heir = pod(7, "disk", "disk-2", "2036-01-01T00:00:00Z");
    evicted.metadata.labels.clone_from(&heir.metadata.labels);
    let listed = Listed {
        namespaces: vec![namespace(7)],
        deployments: vec![deployment(7, "disk", 1)],
        pods: vec![Arc::new(evicted), Arc::new(heir)],
        ..Listed::default()
    };
    let service = listed.observed()[0].services[0].clone();
    assert_eq!((service.ready, service.replicas.len(), service.replicas[0].restarts), (1, 1, 1));
    assert_eq!(service.replicas[0].last_exit.as_ref().unwrap().reason, ExitReason::DiskQuota);
}

/// A StatefulSet's evicted pods are not even listed.
#[test]
fn a_pod_with_a_number_has_the_past_of_its_number() {
    let pods: Vec<Value> = serde_json::from_str(include_str!("../fixtures/pods.json")).unwrap();
    let evicted = pods.into_iter().find(|pod| pod["metadata"]["name"] == "disk-1").unwrap();
    let ends = Ends::default();
    for (uid, template) in [("before", "old"), ("one", "new"), ("two", "new")] {
        let mut pod: Pod = serde_json::from_value(evicted.clone()).unwrap();
        pod.metadata.uid = Some(uid.to_owned());
        pod.metadata.labels = serde_json::from_value(labels(7, "disk", template)).unwrap();
        ends.note(&pod);
    }
    let listed = Listed {
        namespaces: vec![namespace(7)],
        stateful_sets: vec![serde_json::from_value(set(7, "disk", 2)).unwrap()],
        pods: ["disk-0", "disk-1"]
            .map(|name| Arc::new(pod(7, "disk", name, "2036-01-01T00:00:00Z")))
            .to_vec(),
        ends: ends.of(None),
        ..Listed::default()
    };
    let replicas = &listed.observed()[0].services[0].replicas;
    let past = |replica: &Replica| (replica.restarts, replica.last_exit.as_ref().map(|exit| exit.reason));
    assert_eq!([past(&replicas[0]), past(&replicas[1])], [(0, None), (2, Some(ExitReason::DiskQuota))]);
}
