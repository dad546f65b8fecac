//! The chart on a real cluster: a provider in a pod, as its own account and as nobody on the node, rents out and serves
//! through the node's ports; its pod and its disk are lost, it is upgraded, and the lease runs on.
#![allow(clippy::unwrap_used, missing_docs)]

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use iono_e2e::engine::{self, Engine};
use iono_e2e::market::SOON;
use iono_e2e::{Market, Network, NodePlan, hello, http};
use iono_testkit::{Proxy, binary, cache_dir, eventually, repo_root};
use serde_json::Value;
use tokio::process::Command;

/// The test cluster's node: pods reach what listens there.
const NODE: [u8; 4] = [10, 245, 0, 1];
const IMAGE: (&str, &str) = ("docker.io/ionosphere/provider", "test");
/// A pod starts, and its image is there, within this time.
const STARTED: Duration = Duration::from_secs(120);

async fn run(program: impl AsRef<Path>, args: &[&str]) -> Result<String> {
    let program = program.as_ref();
    let output = Command::new(program).env("KUBECONFIG", engine::kubeconfig()?).args(args).output().await?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} {}: {words}", program.display(), args.join(" "));
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A release of the chart; dropping it takes it away again.
struct Release {
    namespace: String,
    helm: PathBuf,
}

impl Release {
    /// Keys and configuration first, as the chart's notes say, then the chart.
    async fn install(dir: &Path, config: &Path, book: &Path, set: &[String]) -> Result<Self> {
        let namespace = format!("provider-{}", std::process::id());
        let release = Self { namespace, helm: cache_dir()?.join("bin/helm") };
        let space = &release.namespace;
        run("kubectl", &["create", "namespace", space]).await?;
        // Clusters do so by themselves from 1.21 on.
        run("kubectl", &["label", "namespace", space, &format!("kubernetes.io/metadata.name={space}")])
            .await?;
        let file = |key: &str, path: &Path| format!("--from-file={key}={}", path.display());
        let (config, book) = (file("provider.toml", config), file("addresses.json", book));
        run("kubectl", &["-n", space, "create", "configmap", "provider-config", &config, &book]).await?;
        let key = file("hot-key.json", &dir.join("hot-key.json"));
        let passphrase = file("hot-key.passphrase", &dir.join("hot-key.passphrase"));
        run("kubectl", &["-n", space, "create", "secret", "generic", "provider-keys", &key, &passphrase])
            .await?;
        release.helm("install", &[], set).await?;
        Ok(release)
    }

    /// The chart with these values.
    async fn helm(&self, verb: &str, more: &[&str], set: &[String]) -> Result<String> {
        let chart = repo_root()?.join("deploy/kubernetes/chart").display().to_string();
        let mut args = vec![verb, "provider", &chart, "--namespace", &self.namespace];
        args.extend(more);
        args.extend(set.iter().flat_map(|set| ["--set", set.as_str()]));
        run(&self.helm, &args).await
    }

    async fn kubectl(&self, args: &[&str]) -> Result<String> {
        run("kubectl", &[&["-n", self.namespace.as_str()], args].concat()).await
    }

    /// Waits for a provider's pod that is another one than `old`; its uid.
    async fn ready(&self, old: &str) -> Result<String> {
        let json = "jsonpath={.metadata.uid} {.status.containerStatuses[0].ready}";
        let ready = || async {
            let said = self.kubectl(&["get", "pod", "provider-0", "-o", json]).await.ok()?;
            let (uid, ready) = said.split_once(' ')?;
            (uid != old && ready == "true").then(|| uid.to_owned())
        };
        let found = eventually("a ready provider", STARTED, ready).await;
        self.explained(found).await
    }

    /// An error together with what the provider's pod has to say of it.
    async fn explained<T>(&self, result: Result<T>) -> Result<T> {
        let Err(error) = result else { return result };
        let log = self.kubectl(&["logs", "provider-0"]).await.unwrap_or_default();
        let pod = self.kubectl(&["describe", "pod", "provider-0"]).await.unwrap_or_default();
        Err(error.context(format!("{log}\n{pod}")))
    }

    /// `provider check` in the pod, whatever it finds.
    async fn check(&self) -> Result<Vec<Value>> {
        let command = "provider --config /etc/ionosphere/provider.toml --json check || true";
        let said = self.kubectl(&["exec", "provider-0", "--", "sh", "-c", command]).await?;
        Ok(serde_json::from_str(&said)?)
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        let Ok(config) = engine::kubeconfig() else { return };
        for (program, args) in [
            (self.helm.as_path(), &["uninstall", "provider", "-n", &self.namespace][..]),
            (Path::new("kubectl"), &["delete", "namespace", &self.namespace, "--wait=false"]),
        ] {
            let _ = std::process::Command::new(program).env("KUBECONFIG", &config).args(args).output();
        }
    }
}

/// The image of the binaries under test, in the cluster.
async fn load_image() -> Result<()> {
    let from = binary("provider")?.parent().context("no folder")?.display().to_string();
    let name = IMAGE.0.trim_start_matches("docker.io/");
    let tag = format!("{name}:{}", IMAGE.1);
    run(repo_root()?.join("tools/image"), &["provider", "--tag", &tag, "--from", &from]).await?;
    Engine::Kubernetes.load(&tag).await
}

fn found<'a>(checks: &'a [Value], name: &str) -> Option<(bool, &'a str)> {
    let check = checks.iter().find(|check| check["name"] == name)?;
    Some((check["ok"].as_bool()?, check["message"].as_str()?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_chart_runs_a_provider_on_kubernetes() -> Result<()> {
    load_image().await?;
    let mut network = Network::start().await?;
    network.engine = Engine::Kubernetes;
    let chain = Proxy::at(IpAddr::from(NODE), network.anvil.port()).await?;
    network.rpc = format!("http://{}:{}", IpAddr::from(NODE), chain.port());
    hello::build(network.engine).await?;
    let matchmaker = network.matchmaker("matchmaker").await?;
    let node = network.provider(NodePlan { host: NODE.into(), ..NodePlan::new("packed") }).await?;

    // The owner's own file says how the cluster is reached from outside; the pod knows by itself.
    let text = std::fs::read_to_string(&node.config)?;
    let inside: Vec<&str> = text.lines().filter(|line| !line.starts_with("kubeconfig")).collect();
    let config = node.dir().join("inside.toml");
    std::fs::write(&config, inside.join("\n"))?;
    let (http, api) = (node.http_port, node.endpoint.rsplit_once(':').context("no port")?.1.to_owned());
    let set = vec![
        format!("image.repository={}", IMAGE.0),
        format!("image.tag={}", IMAGE.1),
        "image.pullPolicy=Never".to_owned(),
        // Volumes of the test cluster belong to root, whatever group a pod asks for.
        "persistence.enabled=false".to_owned(),
        format!("ports.leaseApi={api}"),
        format!("ports.http={http}"),
        format!("ports.https={}", iono_testkit::free_port()?),
        format!("ports.tenants.first={}", http + 1),
        format!("ports.tenants.last={}", http + 5),
        format!("reach={{{}}}", node.endpoint),
    ];
    let release = Release::install(node.dir(), &config, &network.book_path, &set).await?;
    let first = release.ready("").await?;
    let tenant = network.tenant("tenant").await?;
    let market = Market { network, matchmaker, node, tenant };
    let (lease, url) = release.explained(market.deploy("packed").await).await?;
    eventually("an answer", SOON, || async { http::answers(&url, "packed").await.then_some(()) }).await?;
    let containers = market.containers(lease).await?;

    let reached = || async {
        let checks = release.check().await.ok()?;
        let is_reached = !found(&checks, "node")?.1.contains("is not reached");
        is_reached.then_some(checks)
    };
    let checks = eventually("the provider's port as seen from the node", SOON, reached).await?;
    let (has_rights, rights) = found(&checks, "rights").context("no rights")?;
    assert!(has_rights && rights.contains("that leases take"), "{rights}");
    assert!(found(&checks, "limit: egress").context("no isolation")?.0, "{checks:?}");
    let (_, agent) = found(&checks, "node").context("no node")?;
    assert!(agent.contains("points") && agent.contains("Mbit/s"), "{agent}");
    let user = release.kubectl(&["exec", "provider-0", "--", "id", "-u"]).await?;
    assert_eq!(user, "65532");
    assert!(release.kubectl(&["exec", "provider-0", "--", "sh", "-c", "echo > /usr/bin/x"]).await.is_err());

    // Pod and disk go; the lease stays, and the next pod finds it.
    release.kubectl(&["delete", "pod", "provider-0", "--wait=false"]).await?;
    let second = release.ready(&first).await?;
    let answers = || async { http::answers(&url, "packed").await.then_some(()) };
    eventually("an answer again", SOON, answers).await?;
    assert_eq!(market.containers(lease).await?, containers);

    // Upgraded as Helm 3 does it, which merges lists by the ports' numbers: TCP and UDP of each are there all the same.
    let more = [set, vec![format!("ports.tenants.last={}", http + 7)]].concat();
    release.helm("upgrade", &["--server-side=false"], &more).await?;
    release.ready(&second).await?;
    let ports = "jsonpath={range .spec.containers[0].ports[*]}{.hostPort}/{.protocol} {end}";
    let ports = release.kubectl(&["get", "pod", "provider-0", "-o", ports]).await?;
    for port in http + 1..=http + 7 {
        for protocol in ["TCP", "UDP"] {
            let one = format!("{port}/{protocol}");
            assert_eq!(ports.split(' ').filter(|port| *port == one).count(), 1, "{one} in {ports}");
        }
    }
    eventually("an answer of the upgraded", SOON, answers).await?;
    assert_eq!(market.containers(lease).await?, containers);
    market.close(lease).await?;
    market.balanced().await
}
