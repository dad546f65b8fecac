//! The real agent: what it reports is what this machine is, and nobody gets more out of it than it gives.
#![allow(clippy::unwrap_used, missing_docs)]

use std::process::Stdio;
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use serde_json::Value;
use tokio::process::{Child, Command};

struct Agent {
    process: Child,
    url: String,
    _scratch: tempfile::TempDir,
}

impl Agent {
    fn start(reach: &str) -> Self {
        let (scratch, port) = (tempfile::tempdir().unwrap(), iono_testkit::free_port().unwrap());
        let listen = format!("127.0.0.1:{port}");
        let process = Command::new(env!("CARGO_BIN_EXE_node-agent"))
            .args(["--listen", &listen, "--reach", reach, "--scratch"])
            .arg(scratch.path())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { process, url: format!("http://{listen}"), _scratch: scratch }
    }

    /// The first report; before it there is none, and the agent says so.
    async fn report(&self) -> Value {
        let (client, begin) = (Client::new(), Instant::now());
        loop {
            match client.get(format!("{}/v1/report", self.url)).send().await {
                Ok(answer) if answer.status() == StatusCode::OK => return answer.json().await.unwrap(),
                Ok(answer) => assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE),
                Err(error) => assert!(error.is_connect(), "{error}"),
            }
            assert!(begin.elapsed() < Duration::from_secs(60), "no report");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn a_report_says_what_the_machine_is_and_does() {
    let agent = Agent::start("127.0.0.1:1");
    let report = agent.report().await;
    let threads = std::thread::available_parallelism().unwrap().get();
    assert_eq!(report["cpu"]["threads"], threads);
    assert!(report["measured"]["compute"].as_u64().unwrap() > 0, "{report}");
    assert!(report["measured"]["write"].as_u64().unwrap() > 0, "{report}");
    assert!(report["condition"]["memory_free"].as_u64().unwrap() > 1 << 20);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    assert!(now.abs_diff(u128::from(report["clock"].as_u64().unwrap())) < 60_000);
    let unreached = report["reach"][0]["problem"].as_str().unwrap();
    assert!(unreached.contains("refused"), "{unreached}");
}

#[tokio::test]
async fn bytes_are_given_and_taken_within_bounds_and_to_one_at_a_time() {
    let agent = Agent::start("127.0.0.1:1");
    agent.report().await;
    let client = Client::new();
    let source = |amount: &str| client.get(format!("{}/v1/source?mebibytes={amount}", agent.url)).send();
    assert_eq!(source("3").await.unwrap().bytes().await.unwrap().len(), 3 << 20);
    for amount in ["0", "65", "-1", "many"] {
        assert_eq!(source(amount).await.unwrap().status(), StatusCode::BAD_REQUEST, "{amount}");
    }
    let sink = |bytes: usize| client.post(format!("{}/v1/sink", agent.url)).body(vec![0_u8; bytes]).send();
    assert_eq!(sink(5_000).await.unwrap().text().await.unwrap(), "5000");
    // One byte too many is too many; who goes on sending is cut off.
    let refused = sink((64 << 20) + 1).await;
    assert!(refused.is_err() || refused.unwrap().status() == StatusCode::PAYLOAD_TOO_LARGE);
    // Whoever does not read holds the turn, and others are told.
    let held = source("64").await.unwrap();
    assert_eq!(source("1").await.unwrap().status(), StatusCode::TOO_MANY_REQUESTS);
    drop(held);
    let begin = Instant::now();
    while source("1").await.unwrap().status() != StatusCode::OK {
        assert!(begin.elapsed() < Duration::from_secs(10), "the turn is not given back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn it_ends_when_it_is_told_to() {
    let mut agent = Agent::start("127.0.0.1:1");
    agent.report().await;
    let id = agent.process.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    let ended = tokio::time::timeout(Duration::from_secs(20), agent.process.wait()).await;
    assert!(ended.expect("it goes on").unwrap().success());
}

#[tokio::test]
async fn what_is_no_address_is_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_node-agent"))
        .args(["--listen", "127.0.0.1:0", "--reach", "nonsense"])
        .output();
    let output = output.await.unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("write host:port"));
}
