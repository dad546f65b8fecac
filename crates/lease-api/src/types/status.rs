//! A lease as the provider sees it now.

use alloy::primitives::B256;
use iono_primitives::{CloseReason, LeaseId, LeaseState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// State, services, addresses and how long the money lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeaseStatus {
    /// The lease.
    #[schema(value_type = u64)]
    pub lease: LeaseId,
    /// As on chain: `pending`, `active`, `paused`, `closed`.
    #[schema(value_type = String)]
    pub state: LeaseState,
    /// Why it closed.
    #[schema(value_type = Option<String>)]
    pub close_reason: Option<CloseReason>,
    /// Why it is paused.
    pub paused_reason: Option<PausedReason>,
    /// First billed second, unix time.
    pub started_at: Option<u64>,
    /// Paid until, unix time by the chain's clock.
    pub ends_at: Option<u64>,
    /// Seconds of paid time left.
    pub seconds_left: u64,
    /// Hash of the manifest that runs; absent before one was sent.
    #[schema(value_type = Option<String>)]
    pub manifest_hash: Option<B256>,
    /// By name.
    pub services: Vec<ServiceStatus>,
    /// Money that ends soon.
    pub warnings: Vec<MoneyWarning>,
}

/// Why a lease is paused and not billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PausedReason {
    /// The provider lost the manifest: `iono` sends it again.
    AwaitingManifest,
    /// The machine that runs it cannot be reached; it resumes on return.
    NodeLost,
    /// An arbiter paused it.
    Arbiter,
}

/// One service of the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// Replicas asked for.
    pub desired: u32,
    /// Replicas that serve.
    pub ready: u32,
    /// Starts after the first one, over all replicas.
    pub restarts: u32,
    /// How a replica ended last.
    pub last_exit: Option<LastExit>,
    /// Where it answers over HTTP.
    pub urls: Vec<String>,
    /// TCP and UDP ports on the provider's address.
    pub ports: Vec<PortStatus>,
    /// Leased addresses.
    pub ips: Vec<String>,
    /// One per container.
    pub replicas: Vec<ReplicaStatus>,
}

/// A public port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PortStatus {
    /// In the container.
    pub container_port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Where clients connect.
    pub host: String,
    /// The port there.
    pub port: u16,
}

/// One container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplicaStatus {
    /// Number within the service, from 0.
    pub index: u32,
    /// What it is doing.
    pub state: ReplicaState,
    /// Starts after the first one.
    pub restarts: u32,
    /// Start of the present run, milliseconds since 1970.
    pub started_at_ms: Option<u64>,
    /// The image's digest, resolved at the first start.
    pub image_digest: String,
    /// How the run before ended.
    pub last_exit: Option<LastExit>,
}

/// A container's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaState {
    /// Created, not started.
    Created,
    /// Runs, does not accept connections yet.
    Starting,
    /// Serves.
    Ready,
    /// Ended; started again after a while.
    Restarting,
    /// Ended for good.
    Exited,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastExit {
    /// Exit code; 128 + signal when killed.
    pub code: i64,
    /// Why, in words.
    pub reason: String,
    /// Milliseconds since 1970.
    pub at_ms: u64,
}

/// The paid time ends soon (market promise 7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MoneyWarning {
    /// The threshold that was passed: 24, 6 or 1 hours.
    pub hours: u32,
    /// In words, with the command that helps.
    pub message: String,
}

impl MoneyWarning {
    /// The hours before the end at which tenants are warned.
    pub const THRESHOLDS: [u32; 3] = [1, 6, 24];

    /// The nearest threshold that `seconds_left` is below, if any.
    #[must_use]
    pub fn for_lease(lease: LeaseId, seconds_left: u64) -> Option<Self> {
        let hours = Self::THRESHOLDS.into_iter().find(|hours| seconds_left < u64::from(*hours) * 3_600)?;
        let minutes = seconds_left / 60;
        let left = if minutes < 120 { format!("{minutes} min") } else { format!("{} h", minutes / 60) };
        let message = format!("lease {lease} ends in {left}; `iono extend {lease} 24h` pays for another day");
        Some(Self { hours, message })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_threshold_warns() {
        let hours = |seconds| MoneyWarning::for_lease(LeaseId(1), seconds).map(|warning| warning.hours);
        assert_eq!(hours(24 * 3_600), None);
        assert_eq!(hours(24 * 3_600 - 1), Some(24));
        assert_eq!(hours(6 * 3_600), Some(24));
        assert_eq!(hours(6 * 3_600 - 1), Some(6));
        assert_eq!(hours(3_600), Some(6));
        assert_eq!(hours(59 * 60), Some(1));
        assert_eq!(hours(0), Some(1));
        let warning = MoneyWarning::for_lease(LeaseId(7), 59 * 60).unwrap();
        assert_eq!(warning.message, "lease 7 ends in 59 min; `iono extend 7 24h` pays for another day");
    }
}
