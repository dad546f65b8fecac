//! The rights of `deploy/kubernetes/rights.yaml` are enough for everything that the runtime does, and not enough for more.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{Cluster, kubectl, settings};
use futures::StreamExt;
use iono_primitives::LeaseId;
use iono_runtime::api::NoSwitchboard;
use iono_runtime::conformance::support::{run, shell, web, workload};
use iono_runtime::{Limit, LogOptions, Runtime, Volume, VolumeKind};
use iono_runtime_kubernetes::KubernetesRuntime;

const ACCOUNT: &str = "system:serviceaccount:ionosphere:provider";

/// Whether the provider's account may do something.
fn may(words: &[&str]) -> bool {
    let account = format!("--as={ACCOUNT}");
    let said = kubectl(&[&["auth", "can-i"], words, &[account.as_str()]].concat());
    match said.trim() {
        "yes" => true,
        "no" => false,
        // kubectl ends with an exit code for `no`, and then nothing of what it said is kept.
        "" => false,
        other => panic!("kubectl says {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_providers_rights_are_enough_and_no_more() {
    let cluster = Cluster::new();
    let rights = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kubernetes/rights.yaml");
    assert!(!kubectl(&["apply", "-f", rights.to_str().unwrap()]).is_empty(), "the rights are not taken");
    let mut config = cluster.config.clone();
    config.auth_info.impersonate = Some(ACCOUNT.to_owned());
    let runtime = Arc::new(KubernetesRuntime::new(config.clone(), settings(cluster.dir.path())));
    let rights = runtime.rights().await.unwrap();
    let missing: Vec<_> = rights.iter().filter(|right| !right.granted).collect();
    assert!(rights.len() > 40 && missing.is_empty(), "{missing:?}");
    // Somebody without any is told of each.
    config.auth_info.impersonate = Some("system:serviceaccount:ionosphere:nobody".to_owned());
    let stranger = KubernetesRuntime::new(config, settings(&cluster.dir.path().join("stranger")));
    let granted = stranger.rights().await.unwrap().into_iter().filter(|right| right.granted);
    assert_eq!(granted.collect::<Vec<_>>(), []);

    let lease = LeaseId(u64::from(std::process::id()));
    let mut data = shell(&cluster, "db", "exec sleep 1000");
    data.volumes = vec![Volume {
        name: "data".to_owned(),
        path: "/data".to_owned(),
        size_mib: 8,
        kind: VolumeKind::Persistent,
        read_only: false,
    }];
    runtime.store_manifest(lease, b"sealed").await.unwrap();
    assert_eq!(runtime.load_manifest(lease).await.unwrap().as_deref(), Some(&b"sealed"[..]));
    runtime.apply(&workload(lease, vec![web(&cluster, "a"), data.clone()]), &NoSwitchboard).await.unwrap();
    assert_eq!(
        run(&*runtime, lease, "db", "echo hello > /data/file; cat /data/file", "").await.out,
        "hello\n"
    );
    let mut log = runtime.logs(lease, Some("web"), LogOptions::default()).await.unwrap();
    assert_eq!(log.next().await.unwrap().unwrap().text, "log-a");
    // An update without the web server's secret, and with one less service.
    let mut plain = shell(&cluster, "web", "exec sleep 1000");
    plain.env.clear();
    runtime.apply(&workload(lease, vec![plain]), &NoSwitchboard).await.unwrap();
    let secrets =
        kubectl(&["get", "secrets", "-A", "-l", &format!("network.ionosphere/lease={lease}"), "-o", "name"]);
    assert!(!secrets.contains("web-environment"), "{secrets}");
    runtime.restart(lease, None, &NoSwitchboard).await.unwrap();
    assert_eq!(runtime.observe().await.unwrap().len(), 1);
    assert!(!runtime.machines().await.unwrap().unwrap().is_empty());
    assert!(runtime.check().await.unwrap().enforces(Limit::Egress));
    runtime.remove(lease).await.unwrap();
    assert!(runtime.observe().await.unwrap().is_empty());

    assert!(may(&["create", "namespaces"]) && may(&["get", "secrets", "-n", "ionosphere"]));
    for forbidden in [
        &["get", "secrets", "-n", "kube-system"][..],
        &["list", "secrets", "-A"],
        &["create", "clusterrolebindings"],
        &["create", "rolebindings", "-n", "kube-system"],
        &["patch", "nodes"],
        &["get", "nodes", "--subresource=proxy"],
        &["create", "serviceaccounts", "--subresource=token", "-n", "kube-system"],
        &["impersonate", "users"],
    ] {
        assert!(!may(forbidden), "the provider may {forbidden:?}");
    }
}
