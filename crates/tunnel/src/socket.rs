//! How the tunnel's TCP sockets are set: no delay, and keep-alive by the kernel, so that an idle connection costs the
//! daemons nothing. And what the kernel knows about a connection's losses.

use std::os::fd::AsRawFd as _;
use std::time::Duration;

use linux_raw_sys::net::tcp_info;
use nix::libc;
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

impl KeepAlive {
    /// After so long at the latest a peer that is out of reach is found out.
    #[must_use]
    pub fn longest(self) -> Duration {
        self.unacknowledged.max(self.idle + self.interval * self.probes)
    }
}

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
    ];
    for (option, result) in results {
        if let Err(error) = result {
            tracing::debug!(option, %error, "the kernel refused a socket option");
        }
    }
}

/// What was lost on a connection so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Losses {
    /// Bytes that went out, those that were sent again among them.
    pub(crate) sent: u64,
    /// Segments that were sent again.
    pub(crate) repeated: u32,
    /// Of these, segments that the receiver reports to have got twice; 0 from kernels before 5.2.
    pub(crate) needless: u32,
    /// Bytes of a segment.
    pub(crate) segment: u32,
    pub(crate) round_trip: Duration,
}

/// What the kernel knows of a connection's losses; `None` when it does not say.
pub(crate) fn losses(stream: &TcpStream) -> Option<Losses> {
    let info = info(stream)?;
    Some(Losses {
        sent: info.tcpi_bytes_sent,
        repeated: info.tcpi_total_retrans,
        needless: info.tcpi_dsack_dups,
        segment: info.tcpi_snd_mss,
        round_trip: Duration::from_micros(info.tcpi_rtt.into()),
    })
}

/// Whether something sent is not acknowledged in time: the kernel sends nothing new until that is, and repeats it ever more
/// seldom, so that after an outage such a connection stands still for seconds while others work.
pub(crate) fn is_stuck(stream: &TcpStream) -> bool {
    info(stream).is_some_and(|info| info.tcpi_retransmits > 0)
}

#[allow(unsafe_code)]
fn info(stream: &TcpStream) -> Option<tcp_info> {
    // SAFETY: the structure is made of integers, for which all zeros is a value.
    let mut info: tcp_info = unsafe { std::mem::zeroed() };
    let mut length = libc::socklen_t::try_from(size_of::<tcp_info>()).ok()?;
    // SAFETY: the descriptor is open, and the kernel writes at most `length` bytes, which `info` has.
    let failed = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    };
    (failed == 0).then_some(info)
}

/// Chooses a congestion control; `false` when the kernel lacks or forbids it.
pub(crate) fn set_congestion(stream: &TcpStream, name: &str) -> bool {
    setsockopt(stream, sockopt::TcpCongestion, &name.into()).is_ok()
}
