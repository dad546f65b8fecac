//! A cluster by hand: kubectl, and the same objects that a provider makes.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use alloy::primitives::Address;
use anyhow::{Context, Result, ensure};
use iono_primitives::{LeaseId, ProviderId};
use iono_runtime::{Owner, Vault, Workload};
use iono_runtime_kubernetes::objects::{self, Carried};
use iono_runtime_kubernetes::{KubernetesConfig, Names};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use super::{ByHand, first_answer, output};
use crate::hello;

/// Where the test cluster serves names: on the node itself.
const NAMES: &str = "10.245.0.1";
/// Kinds of which a lease has something, the namespace last.
const KINDS: &str =
    "deployments,statefulsets,jobs,pods,persistentvolumeclaims,services,networkpolicies,secrets,namespaces";

/// The file of `KUBECONFIG`, or that of the project's test cluster.
///
/// # Errors
/// When there is none.
pub fn kubeconfig() -> Result<PathBuf> {
    let cache = || {
        let cache = std::env::var_os("IONO_CACHE").map(PathBuf::from);
        cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/ionosphere")))
    };
    let path = std::env::var_os("KUBECONFIG")
        .map(PathBuf::from)
        .or_else(|| Some(cache()?.join("kubernetes/run/admin.conf")))
        .context("neither KUBECONFIG nor HOME is set")?;
    ensure!(
        path.exists(),
        "there is no cluster at {}: start one with deploy/testbed/cluster up",
        path.display()
    );
    Ok(path)
}

async fn kubectl(args: &[&str]) -> Result<String> {
    let output = Command::new("kubectl").arg("--kubeconfig").arg(kubeconfig()?).args(args).output().await?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "kubectl {} failed: {}", args.join(" "), words.trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

pub(super) async fn load(image: &str) -> Result<()> {
    let script = iono_testkit::repo_root()?.join("deploy/testbed/cluster");
    let status = Command::new(script).args(["load", image]).status().await?;
    ensure!(status.success(), "the cluster does not take the image {image}");
    Ok(())
}

pub(super) fn settings() -> Result<String> {
    Ok(format!(
        "[runtime]\nengine = \"kubernetes\"\ndns = [\"{NAMES}\"]\n[runtime.kubernetes]\nkubeconfig = \"{}\"\n\
         storage_tier = \"ssd\"\nprobe_image = \"docker.io/{}\"\n",
        kubeconfig()?.display(),
        hello::IMAGE
    ))
}

/// The objects of `examples/hello.yaml` for an owner of their own.
fn hello_objects() -> Result<(String, Vec<Value>)> {
    let owner = Owner { chain_id: 0, registry: Address::ZERO, provider: ProviderId(std::process::id()) };
    let text = std::fs::read_to_string(iono_testkit::repo_root()?.join("examples/hello.yaml"))?;
    let wrong = |error: &dyn std::fmt::Debug| anyhow::anyhow!("examples/hello.yaml: {error:?}");
    let deployment = iono_manifest::parse(&text).map_err(|error| wrong(&error))?;
    let manifest = iono_manifest::resolve(&deployment, |_| Ok(Vec::new())).map_err(|error| wrong(&error))?;
    let workload = Workload::from_manifest(LeaseId(1), "by-hand", &manifest)?;
    let vault = Vault::new(&[0; 32], owner.clone());
    let config = KubernetesConfig { dns: vec![NAMES.parse()?], ..KubernetesConfig::new(vault, "") };
    let names = Names::new(&owner);
    let objects = objects::of(&config, &names, &workload, &Carried::default())?;
    Ok((names.namespace(LeaseId(1)), objects.into_iter().map(|object| object.value).collect()))
}

/// `kubectl apply` of the same objects, and the first answer of their pod.
pub(super) async fn by_hand() -> Result<ByHand> {
    let (space, objects) = hello_objects()?;
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    let start = Instant::now();
    let mut apply = Command::new("kubectl")
        .arg("--kubeconfig")
        .arg(kubeconfig()?)
        .args(["apply", "--server-side", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    apply.stdin.take().context("no stdin")?.write_all(list.as_bytes()).await?;
    ensure!(apply.wait().await?.success(), "kubectl apply failed");
    let address = first_address(&space).await?;
    first_answer(&format!("http://{address}:{}/", hello::PORT), start).await?;
    let seconds = start.elapsed().as_secs_f64();
    let pod = kubectl(&["get", "pods", "-n", &space, "-o", "jsonpath={.items[0].metadata.name}"]).await?;
    let limits = limits(&format!("{space}/{pod}")).await?;
    kubectl(&["delete", "namespace", &space]).await?;
    Ok(ByHand { seconds, limits })
}

/// The address of the first pod of a namespace, as soon as it has one.
async fn first_address(space: &str) -> Result<String> {
    let mut watch = Command::new("kubectl")
        .arg("--kubeconfig")
        .arg(kubeconfig()?)
        .args(["get", "pods", "-n", space, "--watch", "-o", "jsonpath={.status.podIP}{\"\\n\"}"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(watch.stdout.take().context("no stdout")?).lines();
    let found = async {
        while let Some(line) = lines.next_line().await? {
            if !line.trim().is_empty() {
                return Ok(line.trim().to_owned());
            }
        }
        anyhow::bail!("the watch of {space} ended")
    };
    tokio::time::timeout(Duration::from_secs(30), found).await.context("no pod got an address")?
}

/// Pods as `namespace/name/uid`, those on their way out left out.
pub(super) async fn pods(labels: &[&str]) -> Result<Vec<String>> {
    let text = kubectl(&["get", "pods", "-A", "-l", &labels.join(","), "-o", "json"]).await?;
    let found: Value = serde_json::from_str(&text)?;
    let items = found["items"].as_array().into_iter().flatten().map(|pod| &pod["metadata"]);
    let stays = items.filter(|metadata| metadata["deletionTimestamp"].is_null());
    let text = |metadata: &Value, key: &str| metadata[key].as_str().map(str::to_owned);
    let name = |metadata: &Value| {
        let parts = ["namespace", "name", "uid"].map(|key| text(metadata, key));
        Some(parts.into_iter().collect::<Option<Vec<_>>>()?.join("/"))
    };
    stays.map(name).collect::<Option<_>>().context("a pod without a name")
}

pub(super) async fn limits(pod: &str) -> Result<Value> {
    let mut parts = pod.split('/');
    let (space, name) = parts.next().zip(parts.next()).context("a pod has a namespace")?;
    let text = kubectl(&["get", "pod", name, "-n", space, "-o", "json"]).await?;
    let pod: Value = serde_json::from_str(&text)?;
    let (spec, container) = (&pod["spec"], &pod["spec"]["containers"][0]);
    Ok(json!({
        "resources": container["resources"], "rights": container["securityContext"], "image": container["image"],
        "pod": spec["securityContext"], "gates": spec["readinessGates"], "restart": spec["restartPolicy"],
        "token": spec["automountServiceAccountToken"], "volumes": spec["volumes"], "probe": container["readinessProbe"],
    }))
}

pub(super) async fn labelled(labels: &[&str]) -> Result<Vec<String>> {
    let found = kubectl(&["get", KINDS, "-A", "-l", &labels.join(","), "-o", "name"]).await?;
    Ok(found.lines().map(str::to_owned).collect())
}

pub(super) fn clear(owner: &str) {
    let Ok(config) = kubeconfig() else { return };
    let config = format!("--kubeconfig={}", config.display());
    for kind in ["namespaces", "secrets"] {
        let all: &[&str] = if kind == "secrets" { &["-n", "ionosphere"] } else { &[] };
        output("kubectl", &[&[config.as_str(), "delete", kind, "-l", owner, "--wait=false"], all].concat());
    }
}
