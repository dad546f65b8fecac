//! `node-agent`: says of a cluster's node what Kubernetes does not know: cards and their memory, the disk's class, heat,
//! and what was measured. It needs no rights, neither in the cluster nor on the node, and only answers (ST-1, ST-2).

mod facts;
mod reach;
mod server;
mod traffic;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use facts::Facts;
use iono_hardware::AGENT_PORT;
use iono_telemetry::{Health, LogFormat, Shutdown, TelemetryConfig};

/// How long answers under way may take at the end.
const DRAIN: Duration = Duration::from_secs(5);

/// Tells a provider what a node of its cluster has and does.
#[derive(Debug, Parser)]
#[command(
    name = "node-agent",
    version,
    after_help = "Example:\n  node-agent --listen 0.0.0.0:9105 --scratch /scratch --reach provider.example.org:8443\n  \
                  curl -s localhost:9105/v1/report | jq .measured"
)]
struct Cli {
    /// Where reports are served.
    #[arg(long, env = "IONO_AGENT_LISTEN", default_value_t = everywhere())]
    listen: SocketAddr,
    /// Folder on the disk that pods write to: its class is told and its speed measured, with 64 MiB of it.
    #[arg(long, env = "IONO_AGENT_SCRATCH", default_value = "/scratch")]
    scratch: PathBuf,
    /// Address that ought to answer from here, such as the provider's own; may be repeated.
    #[arg(long, env = "IONO_AGENT_REACH", value_delimiter = ',', value_name = "HOST:PORT")]
    reach: Vec<String>,
    /// Where metrics and health are served (ready: once there is a report); nowhere when left out.
    #[arg(long, env = "IONO_AGENT_METRICS")]
    metrics: Option<SocketAddr>,
    /// Form of the log lines: text or json.
    #[arg(long, env = "IONO_AGENT_LOG", default_value = "text", value_parser = log_format)]
    log: LogFormat,
}

fn everywhere() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], AGENT_PORT))
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        other => Err(format!("`{other}` is neither text nor json")),
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    let telemetry = TelemetryConfig { format: cli.log, listen: cli.metrics, ..TelemetryConfig::default() };
    iono_telemetry::init(&telemetry)?;
    let (health, shutdown) = (Health::default(), Shutdown::on_signals()?);
    iono_telemetry::serve(&telemetry, &health, &shutdown).await?;
    reach::refuse_malformed(&cli.reach)?;
    let machine = health.check("machine");
    let facts = Arc::new(Facts::new(cli.scratch, cli.reach));
    // Answered from the first moment on: a report without measurements yet is none, and says so.
    server::serve(cli.listen, Arc::clone(&facts), &shutdown)
        .await
        .with_context(|| format!("cannot listen on {}; choose another --listen", cli.listen))?;
    let token = shutdown.token();
    shutdown.spawn("facts", facts::keep(facts, machine, token));
    shutdown.token().cancelled().await;
    shutdown.drain(DRAIN).await;
    Ok(())
}
