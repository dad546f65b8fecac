//! A node that only the API knows: nobody else's pods land on it, and what is bound to it never runs.

use std::sync::Mutex;
use std::time::Duration;

use iono_runtime::conformance::support::eventually;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::common::kubectl;

/// It goes with this, and so do its pods, which no kubelet would ever end.
pub(crate) struct FakeNode {
    name: String,
    pods: Mutex<Vec<(String, String)>>,
    heart: JoinHandle<()>,
}

impl FakeNode {
    pub(crate) async fn new(kube: Client) -> Self {
        let name = format!("fake-{}", std::process::id());
        let condition = json!({
            "type": "Ready", "status": "True", "reason": "KubeletReady",
            "lastHeartbeatTime": Timestamp::now(), "lastTransitionTime": Timestamp::now(),
        });
        let capacity = json!({"cpu": "100m", "memory": "64Mi", "pods": "2"});
        let node = json!({
            "metadata": {"name": name},
            "spec": {"taints": [{"key": "network.ionosphere/fake", "effect": "NoSchedule"}]},
            "status": {"conditions": [condition], "capacity": capacity, "allocatable": capacity},
        });
        let nodes: Api<Node> = Api::all(kube.clone());
        nodes.create(&PostParams::default(), &serde_json::from_value(node).unwrap()).await.unwrap();
        let leases: Api<Lease> = Api::namespaced(kube, "kube-node-lease");
        let own = name.clone();
        let heart = tokio::spawn(async move {
            loop {
                let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
                let spec = json!({"holderIdentity": own, "leaseDurationSeconds": 40, "renewTime": now});
                let lease = json!({
                    "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": own}, "spec": spec,
                });
                leases.patch(&own, &PatchParams::apply("test").force(), &Patch::Apply(lease)).await.unwrap();
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        });
        Self { name, pods: Mutex::default(), heart }
    }

    /// Takes a pod that no other node takes, and says what a kubelet would say of it.
    pub(crate) async fn take(&self, api: &Api<Pod>, space: &str, name: &str) {
        self.pods.lock().unwrap().push((space.to_owned(), name.to_owned()));
        let target = json!({"kind": "Node", "name": self.name});
        let binding =
            json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target});
        say(api, name, "binding", &binding).await;
        let container = json!({
            "name": "web", "image": "web", "imageID": "web@sha256:ab", "ready": true, "restartCount": 0,
            "state": {"running": {"startedAt": Timestamp::now()}},
        });
        let gated = json!({"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady"});
        // Nobody has this address.
        let status = json!({
            "phase": "Running", "podIP": "192.0.2.1", "podIPs": [{"ip": "192.0.2.1"}],
            "containerStatuses": [container], "conditions": [gated],
        });
        status_of(api, name, status).await;
        eventually("the runtime has the cluster count it", async || {
            let pod = api.get(name).await.unwrap();
            let conditions = pod.status?.conditions?;
            let routed = conditions.iter().find(|one| one.type_ == "network.ionosphere/routed")?;
            (routed.status == "True").then_some(())
        })
        .await;
        let ready = json!({"type": "Ready", "status": "True", "reason": null});
        status_of(api, name, json!({"conditions": [ready]})).await;
    }

    /// It is heard of no more.
    pub(crate) fn die(&self) {
        self.heart.abort();
    }
}

async fn status_of(api: &Api<Pod>, name: &str, status: Value) {
    let patch = Patch::Strategic(json!({"status": status}));
    api.patch_status(name, &PatchParams::default(), &patch).await.unwrap();
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        self.heart.abort();
        for (space, name) in self.pods.lock().unwrap().iter() {
            kubectl(&[
                "delete",
                "pod",
                name,
                "-n",
                space,
                "--force",
                "--grace-period=0",
                "--ignore-not-found",
            ]);
        }
        kubectl(&["delete", "node", &self.name]);
        kubectl(&["delete", "lease", &self.name, "-n", "kube-node-lease", "--ignore-not-found"]);
    }
}

/// Tells the API something about a pod that is no field of it.
pub(crate) async fn say(api: &Api<Pod>, name: &str, what: &str, value: &Value) {
    let answer: Value = api.create_subresource(what, name, &PostParams::default(), value).await.unwrap();
    assert_eq!(answer["status"], "Success", "{what} of {name}: {answer}");
}
