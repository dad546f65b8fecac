//! What the nodes' agents say of their machines (`provider/agent`): asked once a minute, the way to them measured once
//! a day. They are a help and no authority: without them a node is what Kubernetes says of it.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use iono_hardware::{AGENT_PORT, Report};
use iono_runtime::{Agent, Known, Network, now};
use k8s_openapi::api::core::v1::Pod;

use crate::cluster::words;
use crate::names::key;

/// How the agents' pods are labelled.
const PART: &str = "node-agent";
/// How often an agent is asked.
const ASK: Duration = Duration::from_secs(60);
/// One that takes longer does not answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often the way to a node is measured, and how long that takes at most, in each direction.
const MEASURE: Duration = Duration::from_secs(24 * 3_600);
const MEASURING: Duration = Duration::from_secs(4);
/// MiB that go each way; a slow way takes as many as fit into the time.
const AMOUNT: usize = 32;
const BLOCK: usize = 64 << 10;
/// Bytes of the longest report that is read.
const LONGEST: usize = 256 << 10;
/// Agents that are asked at once.
const AT_ONCE: usize = 16;

/// The agents of a cluster.
#[derive(Debug)]
pub(crate) struct Agents {
    client: reqwest::Client,
    /// By node.
    said: Mutex<HashMap<String, Said>>,
}

#[derive(Debug, Clone)]
struct Said {
    address: IpAddr,
    asked: Instant,
    agent: Agent,
    network: Option<Network>,
    /// When that was tried last.
    measured: Option<Instant>,
}

impl Default for Agents {
    fn default() -> Self {
        // Straight to the pods: no proxy of the environment, and no agent sends us elsewhere.
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        Self { client: client.build().unwrap_or_default(), said: Mutex::default() }
    }
}

impl Agents {
    fn said(&self) -> MutexGuard<'_, HashMap<String, Said>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the agents say, by node; those that are due are asked first.
    pub(crate) async fn look(&self, agents: HashMap<String, IpAddr>) -> HashMap<String, Agent> {
        self.said().retain(|node, said| agents.get(node) == Some(&said.address));
        let fresh = |node: &String| self.said().get(node).is_some_and(|said| said.asked.elapsed() < ASK);
        let due = agents.into_iter().filter(|(node, _)| !fresh(node)).collect::<Vec<_>>();
        let asked =
            stream::iter(due).map(|(node, address)| self.ask(node, address)).buffer_unordered(AT_ONCE);
        let asked: Vec<(String, Said)> = asked.collect().await;
        let mut said = self.said();
        said.extend(asked);
        said.iter().map(|(node, said)| (node.clone(), said.agent.clone())).collect()
    }

    async fn ask(&self, node: String, address: IpAddr) -> (String, Said) {
        let before = self.said().get(&node).map(|said| (said.network, said.measured));
        let (mut network, mut measured) = before.unwrap_or_default();
        let at = SocketAddr::new(address, AGENT_PORT);
        let agent = match self.report(at).await {
            Ok((report, skew)) => {
                if measured.is_none_or(|at| at.elapsed() >= MEASURE) {
                    measured = Some(Instant::now());
                    network = self.network(at).await;
                }
                Agent::Known(Box::new(Known { report, skew, network }))
            }
            Err(why) => {
                tracing::debug!(node, why, "a node's agent does not answer");
                Agent::Silent { why }
            }
        };
        (node, Said { address, asked: Instant::now(), agent, network, measured })
    }

    /// The report, and by how many milliseconds the node's clock is ahead of ours.
    async fn report(&self, at: SocketAddr) -> Result<(Report, i64), String> {
        let sent = now();
        let request = self.client.get(format!("http://{at}/v1/report")).timeout(PATIENCE);
        let mut answer = request.send().await.map_err(|error| words(&error))?;
        let mut text = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| words(&error))? {
            text.extend_from_slice(&chunk);
            if text.len() > LONGEST {
                return Err(format!("its report is longer than {LONGEST} bytes"));
            }
        }
        if !answer.status().is_success() {
            let said: String = String::from_utf8_lossy(&text).chars().take(200).collect();
            return Err(format!("{}: {}", answer.status(), said.trim()));
        }
        let report: Report =
            serde_json::from_slice(&text).map_err(|error| format!("its report makes no sense: {error}"))?;
        // It was read on the way, some time between these two.
        let (there, here) = (i128::from(report.clock), (i128::from(sent) + i128::from(now())) / 2);
        let skew = i64::try_from(there - here).unwrap_or(i64::MAX);
        Ok((report, skew))
    }

    /// How fast the way is; `None` when it cannot be measured now, as while another daemon does.
    async fn network(&self, at: SocketAddr) -> Option<Network> {
        let from_node = self.receive(at).await?;
        let to_node = self.send(at).await?;
        Some(Network { from_node, to_node })
    }

    async fn receive(&self, at: SocketAddr) -> Option<u64> {
        let url = format!("http://{at}/v1/source?mebibytes={AMOUNT}");
        let mut answer =
            self.client.get(url).timeout(MEASURING).send().await.ok()?.error_for_status().ok()?;
        let (start, mut bytes) = (Instant::now(), 0);
        // What came until the time is up counts.
        while let Ok(Some(chunk)) = answer.chunk().await {
            bytes += chunk.len();
        }
        megabits(bytes, start.elapsed())
    }

    async fn send(&self, at: SocketAddr) -> Option<u64> {
        let block = bytes::Bytes::from(vec![0x5a_u8; BLOCK]);
        let start = Instant::now();
        let blocks = stream::repeat(block).take((AMOUNT << 20) / BLOCK);
        let blocks = blocks.take_while(move |_| std::future::ready(start.elapsed() < MEASURING));
        let body = reqwest::Body::wrap_stream(blocks.map(Ok::<_, std::convert::Infallible>));
        let request =
            self.client.post(format!("http://{at}/v1/sink")).timeout(MEASURING + PATIENCE).body(body);
        let taken = request.send().await.ok()?.error_for_status().ok()?.text().await.ok()?;
        megabits(taken.trim().parse().ok()?, start.elapsed())
    }
}

/// Where the agents are, by node: running pods of the provider's own namespace.
pub(crate) fn addresses<'a>(pods: impl Iterator<Item = &'a Pod>, namespace: &str) -> HashMap<String, IpAddr> {
    let agent = |pod: &Pod| {
        let part = pod.metadata.labels.as_ref()?.get(&key("part"))?;
        let is_agent = part == PART && pod.metadata.namespace.as_deref() == Some(namespace);
        let status =
            pod.status.as_ref().filter(|status| is_agent && status.phase.as_deref() == Some("Running"))?;
        Some((pod.spec.as_ref()?.node_name.clone()?, status.pod_ip.as_ref()?.parse().ok()?))
    };
    pods.filter_map(agent).collect()
}

/// Mbit a second.
fn megabits(bytes: usize, time: Duration) -> Option<u64> {
    (bytes > 0).then(|| (bytes as f64 * 8.0 / 1e6 / time.as_secs_f64().max(1e-6)) as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(namespace: &str, part: &str, phase: &str, address: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"namespace": namespace, "labels": {"network.ionosphere/part": part}},
            "spec": {"nodeName": address, "containers": []},
            "status": {"phase": phase, "podIP": address},
        }))
        .unwrap()
    }

    #[test]
    fn only_running_agents_of_the_own_namespace_are_asked() {
        let pods = [
            pod("ionosphere", "node-agent", "Running", "10.0.0.1"),
            pod("tenant", "node-agent", "Running", "10.0.0.2"),
            pod("ionosphere", "provider", "Running", "10.0.0.3"),
            pod("ionosphere", "node-agent", "Pending", "10.0.0.4"),
        ];
        let found = addresses(pods.iter(), "ionosphere");
        assert_eq!(found.into_keys().collect::<Vec<_>>(), ["10.0.0.1"]);
    }

    #[test]
    fn speeds_are_megabits() {
        assert_eq!(megabits(125_000_000, Duration::from_secs(1)), Some(1_000));
        assert_eq!(megabits(0, Duration::from_secs(1)), None);
    }

    /// What is said of a node whose agent is at this address of this machine.
    async fn said(address: IpAddr) -> String {
        let nodes = HashMap::from([("a".to_owned(), address)]);
        match Agents::default().look(nodes).await.remove("a") {
            Some(Agent::Silent { why }) => why,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn an_agent_that_is_silent_or_talks_nonsense_is_known_as_such() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let nobody = said([127, 0, 91, 7].into()).await;
        assert!(nobody.contains("refused"), "{nobody}");
        let endless = "x".repeat(LONGEST + 1);
        for (body, expected) in [("{}", "makes no sense"), (endless.as_str(), "longer than")] {
            // Agents have one port; the address is nobody else's.
            let address: IpAddr = [127, 0, 91, 8].into();
            let listener = tokio::net::TcpListener::bind((address, AGENT_PORT)).await.unwrap();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let agent = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 4_096]).await.unwrap();
                // Whoever has heard enough goes.
                let _ = stream.write_all(answer.as_bytes()).await;
            });
            let why = said(address).await;
            assert!(why.contains(expected), "{why}");
            agent.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_node_that_is_gone_is_forgotten() {
        let agents = Agents::default();
        agents.look(HashMap::from([("a".to_owned(), [127, 0, 91, 7].into())])).await;
        assert!(agents.look(HashMap::new()).await.is_empty());
    }
}
