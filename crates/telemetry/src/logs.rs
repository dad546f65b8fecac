//! Logs and metrics: where they go and in which form.

use std::net::SocketAddr;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use std::sync::OnceLock;

/// The `[telemetry]` table of a daemon's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// `text` for people, `json` for collectors.
    pub format: LogFormat,
    /// Which events are logged, in the syntax of `tracing`'s env filter; `RUST_LOG` wins.
    pub filter: String,
    /// Where `/metrics`, `/healthz` and `/readyz` are served; none when absent.
    pub listen: Option<SocketAddr>,
}

/// Form of the log lines, which go to stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One line for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".to_owned(), listen: None }
    }
}

/// Why telemetry did not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is malformed.
    #[error("the log filter `{filter}` is malformed: {reason}; write for example `info,iono_chain=debug`")]
    Filter {
        /// As configured.
        filter: String,
        /// What is wrong.
        reason: String,
    },
    /// Set up twice in one process.
    #[error("logs or metrics are set up already: {0}")]
    Twice(String),
    /// The address is taken or not ours.
    #[error("cannot listen on {address} for metrics and health: {source}; choose another `telemetry.listen`")]
    Listen {
        /// As configured.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// The recorder of this process, once [`init`] has run.
pub(crate) fn metrics() -> Option<&'static PrometheusHandle> {
    METRICS.get()
}

/// Starts logging and installs the metrics recorder; once, first in `main`.
///
/// # Errors
/// [`TelemetryError`] when the filter is malformed or it ran before.
pub fn init(config: &TelemetryConfig) -> Result<(), TelemetryError> {
    let text = std::env::var("RUST_LOG").unwrap_or_else(|_| config.filter.clone());
    let filter = EnvFilter::try_new(&text)
        .map_err(|error| TelemetryError::Filter { filter: text, reason: error.to_string() })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match config.format {
        LogFormat::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| TelemetryError::Twice(error.to_string()))?;
    let handle = PrometheusBuilder::new()
        .install_recorder()
        .map_err(|error| TelemetryError::Twice(error.to_string()))?;
    METRICS.set(handle).map_err(|_| TelemetryError::Twice("metrics".to_owned()))
}
