//! Whether the cluster keeps network policies, tried: one pod reaches another, and no longer once a policy says so.

use std::time::Duration;

use iono_runtime::{Enforcement, Limit, ReplicaState, RuntimeError};
use k8s_openapi::Resource;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::cluster::{MANAGER, ask, or_gone};
use crate::inner::Inner;
use crate::names::key;
use crate::replica;

const PORT: u16 = 8080;
/// How long the pods may take to start: their image has to come.
const START: Duration = Duration::from_secs(120);
/// How long a policy may take to hold.
const HOLD: Duration = Duration::from_secs(20);
const TICK: Duration = Duration::from_millis(300);

impl Inner {
    /// Tries it; the answer stays for as long as this process runs once it is yes.
    pub(crate) async fn policies(&self) -> Result<Enforcement, RuntimeError> {
        let found =
            |enforced, note: &str| Enforcement { limit: Limit::Egress, enforced, note: note.to_owned() };
        let Some(image) = &self.config.probe_image else {
            return Ok(found(
                false,
                "it is not known whether the cluster keeps network policies: name an image with a shell to try it",
            ));
        };
        if self.keeps_policies().load(std::sync::atomic::Ordering::SeqCst) {
            return Ok(found(true, "network policies of each lease, tried with two pods"));
        }
        let space = format!("iono-{}-probe", self.names.short());
        let tried = self.try_policies(&space, image).await;
        let spaces: Api<Namespace> = Api::all(self.cluster.client().await?);
        or_gone(ask(spaces.delete(&space, &DeleteParams::background())).await)?;
        let kept = tried?;
        self.keeps_policies().store(kept, std::sync::atomic::Ordering::SeqCst);
        Ok(match kept {
            true => found(true, "network policies of each lease, tried with two pods"),
            false => found(
                false,
                "the cluster does not keep network policies: leases could reach each other; install a network plugin that \
                 does (Calico, Cilium)",
            ),
        })
    }

    async fn try_policies(&self, space: &str, image: &str) -> Result<bool, RuntimeError> {
        let client = self.cluster.client().await?;
        let spaces: Api<Namespace> = Api::all(client.clone());
        let gone = Instant::now();
        while ask(spaces.get_metadata_opt(space)).await?.is_some() {
            // Of a try that was cut off.
            or_gone(ask(spaces.delete(space, &DeleteParams::background())).await)?;
            if gone.elapsed() > START {
                return Err(RuntimeError::Engine(format!("the namespace {space} does not go")));
            }
            sleep(TICK).await;
        }
        let labels = json!({key("owner"): self.names.short()});
        let value = json!({"metadata": {"name": space, "labels": labels}});
        ask(spaces.create(&PostParams::default(), &serde_json::from_value(value).map_err(wrong)?)).await?;
        let pods: Api<Pod> = Api::namespaced(client.clone(), space);
        for (name, line) in [
            ("server", format!("while true; do echo hello | nc -l -p {PORT}; done")),
            ("caller", "exec sleep 600".to_owned()),
        ] {
            self.put(&pods, name, json!({"spec": pod(image, &line)})).await?;
        }
        let server = self.started(&pods, "server").await?;
        let caller = self.started(&pods, "caller").await?;
        let address = server.status.and_then(|status| status.pod_ip).unwrap_or_default();
        let begin = Instant::now();
        while !self.reaches(space, &caller, &address).await? {
            if begin.elapsed() > HOLD {
                return Err(RuntimeError::Engine(
                    "two pods do not reach each other without any policy".to_owned(),
                ));
            }
            sleep(TICK).await;
        }
        let policies: Api<NetworkPolicy> = Api::namespaced(client, space);
        let spec = json!({"spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}});
        self.put(&policies, "nothing", spec).await?;
        let begin = Instant::now();
        while self.reaches(space, &caller, &address).await? {
            if begin.elapsed() > HOLD {
                return Ok(false);
            }
            sleep(TICK).await;
        }
        Ok(true)
    }

    async fn put<K>(&self, api: &Api<K>, name: &str, mut value: serde_json::Value) -> Result<(), RuntimeError>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        value["apiVersion"] = K::API_VERSION.into();
        value["kind"] = K::KIND.into();
        value["metadata"] = json!({"name": name});
        ask(api.patch(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&value))).await.map(drop)
    }

    async fn started(&self, pods: &Api<Pod>, name: &str) -> Result<Pod, RuntimeError> {
        let begin = Instant::now();
        loop {
            let pod = ask(pods.get(name)).await?;
            if replica::of(&pod, 0).state == ReplicaState::Ready {
                return Ok(pod);
            }
            if begin.elapsed() > START {
                return Err(RuntimeError::Engine(format!(
                    "a pod of the probe's image does not start in {} s",
                    START.as_secs()
                )));
            }
            sleep(TICK).await;
        }
    }

    async fn reaches(&self, space: &str, caller: &Pod, address: &str) -> Result<bool, RuntimeError> {
        let line = format!("timeout 2 nc {address} {PORT} </dev/null | grep -q hello");
        Ok(self.run(space, caller, &line).await? == 0)
    }
}

fn wrong(error: serde_json::Error) -> RuntimeError {
    RuntimeError::Engine(error.to_string())
}

fn pod(image: &str, line: &str) -> serde_json::Value {
    // It has a place on a full node as well, and is quick all the same.
    let requests = json!({"cpu": "10m", "memory": "32Mi", "ephemeral-storage": "16Mi"});
    let limits = json!({"cpu": "500m", "memory": "32Mi", "ephemeral-storage": "16Mi"});
    json!({
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": false,
        "containers": [{
            "name": "probe", "image": image, "command": ["/bin/sh", "-c", line],
            "resources": {"limits": limits, "requests": requests},
        }]
    })
}
