//! Every published sample that a provider can serve becomes objects that a real API server accepts, and so do the pods and
//! claims that the cluster itself makes of them later. Nothing but the namespace is really made. The samples lie outside
//! the repository; where they are absent, the test says so and passes over them.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use std::path::{Path, PathBuf};

use common::{Cluster, settings};
use futures::{StreamExt, stream};
use iono_manifest::{Mode, parse, resolve};
use iono_primitives::LeaseId;
use iono_runtime::Workload;
use iono_runtime::conformance::with_lease;
use iono_runtime_kubernetes::objects::{self, Carried, Object};
use iono_runtime_kubernetes::{KubernetesConfig, Names};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

/// Requests under way at once.
const AT_ONCE: usize = 16;

/// Every published sample, or none.
fn samples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/manifests");
    let entries = |folder: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
    };
    let mut found: Vec<PathBuf> = entries(&folder).iter().flat_map(|dialect| entries(dialect)).collect();
    found.sort();
    if found.is_empty() {
        eprintln!("passed over: no samples at {}", folder.display());
    }
    found
}

/// The workload of a manifest that a provider could serve.
fn workload(lease: LeaseId, text: &str) -> Option<Workload> {
    let deployment = parse(text).ok().filter(|deployment| deployment.mode == Mode::Provider)?;
    let manifest = resolve(&deployment, |_| Ok(b"secret\n".to_vec())).unwrap();
    Workload::from_manifest(lease, "ab", &manifest).ok()
}

/// The objects of a lease, and what the cluster makes of them: the API server looks at that only when it is made.
fn all_of(config: &KubernetesConfig, workload: &Workload) -> Vec<Object> {
    let names = Names::new(config.vault.owner());
    let mut all = objects::of(config, &names, workload, &Carried::default()).unwrap();
    let made: Vec<Object> = all.iter().flat_map(made_by).collect();
    all.extend(made);
    all
}

/// The pod, and the claims, of something that makes pods.
fn made_by(set: &Object) -> Vec<Object> {
    let Some(template) = set.value.pointer("/spec/template") else { return Vec::new() };
    let mut pod = template.clone();
    let claims = set.value.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array);
    let mut made = Vec::new();
    for claim in claims.into_iter().flatten() {
        let name = format!("{}-{}-0", claim["metadata"]["name"].as_str().unwrap(), set.name);
        let volume = json!({"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": name}});
        pod["spec"]["volumes"].as_array_mut().unwrap().push(volume);
        made.push(one(set, "PersistentVolumeClaim", "persistentvolumeclaims", name, claim.clone()));
    }
    let name = match set.kind {
        // The controllers add these labels, whose values are the set's name and more.
        "StatefulSet" => {
            let labels = pod["metadata"]["labels"].as_object_mut().unwrap();
            labels.insert("controller-revision-hash".to_owned(), format!("{}-7f8c9d6b54", set.name).into());
            format!("{}-{}", set.name, 999)
        }
        "Job" => {
            let labels = pod["metadata"]["labels"].as_object_mut().unwrap();
            labels.insert("job-name".to_owned(), set.name.clone().into());
            format!("{}-abcde", &set.name)
        }
        _ => format!("{}-7f8c9d6b54-abcde", set.name),
    };
    made.push(one(set, "Pod", "pods", name, pod));
    made
}

fn one(set: &Object, kind: &'static str, plural: &'static str, name: String, mut value: Value) -> Object {
    value["apiVersion"] = "v1".into();
    value["kind"] = kind.into();
    value["metadata"]["name"] = name.clone().into();
    Object { api_version: "v1", kind, plural, namespace: set.namespace.clone(), name, value }
}

/// Sends an object by server-side apply; the refusal, if any.
async fn send(client: &Client, object: &Object, dry_run: bool) -> Result<(), String> {
    let (group, version) = object.api_version.split_once('/').unwrap_or(("", object.api_version));
    let kind = GroupVersionKind::gvk(group, version, object.kind);
    let resource = ApiResource::from_gvk_with_plural(&kind, object.plural);
    let api: Api<DynamicObject> = match &object.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let params = PatchParams { dry_run, ..PatchParams::apply("samples").force() };
    let sent = api.patch(&object.name, &params, &Patch::Apply(&object.value)).await;
    sent.map(drop).map_err(|error| format!("{} {}: {error}", object.kind, object.name))
}

/// What the API server refuses of these leases, by their names; all of them are of one lease number.
async fn refusals(cluster: &Cluster, leases: &[(String, Workload)]) -> Vec<String> {
    let client = Client::try_from(cluster.config.clone()).unwrap();
    let config = settings(cluster.dir.path());
    let objects: Vec<(&String, Object)> = leases
        .iter()
        .flat_map(|(name, workload)| all_of(&config, workload).into_iter().map(move |object| (name, object)))
        .collect();
    send(&client, &objects[0].1, false).await.unwrap();
    let tries = stream::iter(&objects).map(|(name, object)| {
        let client = &client;
        async move { send(client, object, true).await.err().map(|why| format!("{name}: {why}")) }
    });
    tries.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn published_samples_are_accepted() {
    let files = samples();
    if files.is_empty() {
        return;
    }
    let cluster = Cluster::new();
    with_lease(&cluster, async |lease| {
        let leases: Vec<(String, Workload)> = files
            .iter()
            .filter_map(|file| {
                let workload = workload(lease, &std::fs::read_to_string(file).unwrap())?;
                Some((file.file_name().unwrap().to_string_lossy().into_owned(), workload))
            })
            .collect();
        assert!(leases.len() >= 15, "{} samples can be served by a provider", leases.len());
        let refused = refusals(&cluster, &leases).await;
        assert!(refused.is_empty(), "{} refusals:\n{}", refused.len(), refused.join("\n"));
    })
    .await;
}

/// What a manifest may say at its very edges is not what a cluster's objects may: here the two meet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manifests_at_their_limits_are_accepted() {
    let cluster = Cluster::new();
    with_lease(&cluster, async |lease| {
        let long = |letter: &str, length| letter.repeat(length);
        let text = AT_LIMITS
            .replace("WEB", &long("w", 63))
            .replace("KEPT", &long("k", 52))
            .replace("DISK", &long("d", 63))
            .replace("SCRATCH", &format!("{}x", long("d", 62)))
            .replace("VARIABLE", &long("V", 253));
        let deployment = parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(deployment.unavailable, []);
        let leases = [("limits".to_owned(), workload(lease, &text).unwrap())];
        let refused = refusals(&cluster, &leases).await;
        assert!(refused.is_empty(), "{} refusals:\n{}", refused.len(), refused.join("\n"));
    })
    .await;
}

/// Names as long as they may be, a port that is exposed twice, shared memory that is a disk, names that only a shell knows.
const AT_LIMITS: &str = r#"
version: "1.0"
services:
  WEB:
    image: registry.example:5000/a/b/c.d_e:v1.0_-x
    command: ["/bin/sh", "-c", "echo $(NAME) $HOME"]
    env:
      - VARIABLE=long
      - .dot=1
      - da-sh=2
      - _under=3
    expose:
      - {port: 8080, as: 80, to: [{global: true}]}
      - {port: 8080, as: 443, proto: tcp, to: [{service: KEPT}]}
      - {port: 8080, as: 80, proto: udp, to: [{global: true}]}
    params:
      storage:
        DISK: {mount: /dev/shm/}
        SCRATCH: {mount: /scratch}
  KEPT:
    image: a
    expose:
      - {port: 65535, to: [{service: WEB}]}
    params:
      storage:
        DISK: {mount: /kept, readOnly: false}
  2048:
    image: game
profiles:
  name: limits
  mode: provider
  duration: 1h
  compute:
    web:
      resources:
        cpu: {units: 0.1}
        memory: {size: 64Mi}
        storage:
          - {size: 1Mi}
          - {name: DISK, size: 1Mi}
          - {name: SCRATCH, size: 1Mi}
        gpu: {units: 1, attributes: {vendor: {nvidia: [{model: a100}]}}}
    kept:
      resources:
        cpu: {units: 0.1}
        memory: {size: 64Mi}
        storage:
          - {size: 1Mi}
          - {name: DISK, size: 1Mi, attributes: {persistent: true, class: ssd}}
    plain:
      resources:
        cpu: {units: 0.1}
        memory: {size: 64Mi}
        storage: {size: 1Mi}
  placement:
    anywhere:
      pricing:
        web: {token: USDC, amount: 1}
        kept: {token: USDC, amount: 1}
        plain: {token: USDC, amount: 1}
deployment:
  WEB: {anywhere: {profile: web, count: 200}}
  KEPT: {anywhere: {profile: kept, count: 1}}
  2048: {anywhere: {profile: plain, count: 1}}
"#;
