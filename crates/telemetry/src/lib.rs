//! What every daemon does beside its work: logs, metrics, health, an orderly end, and fail-points for tests that kill.
//!
//! ```no_run
//! # async fn daemon() -> Result<(), Box<dyn std::error::Error>> {
//! use iono_telemetry::{Health, Shutdown, TelemetryConfig};
//!
//! let config = TelemetryConfig::default();
//! iono_telemetry::init(&config)?;
//! let (health, shutdown) = (Health::default(), Shutdown::on_signals()?);
//! let rpc = health.check("rpc");
//! iono_telemetry::serve(&config, &health, &shutdown).await?;
//! rpc.ok();
//! shutdown.drain(std::time::Duration::from_secs(10)).await;
//! # Ok(()) }
//! ```

mod failpoint;
mod health;
mod logs;
mod server;
mod shutdown;

pub use failpoint::{UnknownFailPoint, check_fail_points, fail_point};
pub use health::{Check, Health};
pub use logs::{LogFormat, TelemetryConfig, TelemetryError, init};
pub use server::serve;
pub use shutdown::Shutdown;
