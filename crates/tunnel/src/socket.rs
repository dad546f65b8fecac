//! How the tunnel's TCP sockets are set: no delay, keep-alive by the kernel (so that an idle connection costs the daemons
//! nothing), and a congestion control that does not take each lost packet for a full pipe.

use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::TcpStream;

/// When a silent connection is asked, and given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepAlive {
    /// Silence before the first probe, in whole seconds. Also keeps the NAT's mapping.
    pub idle: Duration,
    /// Between two probes, in whole seconds.
    pub interval: Duration,
    /// Unanswered probes until the connection counts as dead.
    pub probes: u32,
    /// How long sent bytes may stay unacknowledged.
    pub unacknowledged: Duration,
}

/// Congestion control that is asked for; where the kernel lacks it or forbids it, its default stays.
const CONGESTION: &str = "bbr";

/// Sets a connection of the tunnel. What the kernel refuses is logged and stays as it was.
pub(crate) fn prepare(stream: &TcpStream, keep: KeepAlive) {
    let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX).max(1);
    let millis = u32::try_from(keep.unacknowledged.as_millis()).unwrap_or(u32::MAX);
    let results = [
        ("TCP_NODELAY", setsockopt(stream, sockopt::TcpNoDelay, &true)),
        ("SO_KEEPALIVE", setsockopt(stream, sockopt::KeepAlive, &true)),
        ("TCP_KEEPIDLE", setsockopt(stream, sockopt::TcpKeepIdle, &seconds(keep.idle))),
        ("TCP_KEEPINTVL", setsockopt(stream, sockopt::TcpKeepInterval, &seconds(keep.interval))),
        ("TCP_KEEPCNT", setsockopt(stream, sockopt::TcpKeepCount, &keep.probes)),
        ("TCP_USER_TIMEOUT", setsockopt(stream, sockopt::TcpUserTimeout, &millis)),
        ("TCP_CONGESTION", setsockopt(stream, sockopt::TcpCongestion, &CONGESTION.into())),
    ];
    for (option, result) in results {
        if let Err(error) = result {
            tracing::debug!(option, %error, "the kernel refused a socket option");
        }
    }
}
