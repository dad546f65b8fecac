//! Where the router listens, what it allows, and what a service may choose for its own requests.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Listeners and limits of a router.
#[derive(Debug, Clone)]
pub struct RouterConfig {
    /// Plain HTTP; none when `None`. Port 0 takes any.
    pub http: Option<SocketAddr>,
    /// HTTPS; none when `None`. Port 0 takes any.
    pub https: Option<SocketAddr>,
    /// The address on which exposed TCP and UDP ports are bound.
    pub ports_on: IpAddr,
    /// Another router of ours stands before this one: what it says of the client is passed on.
    pub behind: bool,
    /// Limits that hold for everyone.
    pub limits: Limits,
}

impl Default for RouterConfig {
    fn default() -> Self {
        Self {
            http: None,
            https: None,
            ports_on: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            behind: false,
            limits: Limits::default(),
        }
    }
}

/// Limits that hold for every lease alike.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections on the HTTP and HTTPS listeners together.
    pub connections: usize,
    /// Requests, TCP connections and UDP sessions under way for one lease.
    pub per_lease: usize,
    /// Bytes of a request's head.
    pub header_bytes: usize,
    /// Header fields of a request.
    pub headers: usize,
    /// From the connection (or the last answer) to the end of the next request's head, and for a TLS handshake.
    pub header_timeout: Duration,
    /// For connecting to a replica.
    pub connect_timeout: Duration,
    /// How long a request waits for a replica while there is none, as during the update of a service with a volume.
    pub hold: Duration,
    /// After so much silence in both directions, TCP connections and upgraded requests are closed.
    pub idle: Duration,
    /// After so much silence a UDP client is forgotten.
    pub udp_idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            per_lease: 1_024,
            header_bytes: 32 * 1024,
            headers: 100,
            header_timeout: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(2),
            hold: Duration::from_secs(10),
            idle: Duration::from_secs(3_600),
            udp_idle: Duration::from_secs(60),
        }
    }
}

/// A service's `http_options`; the defaults are those of Akash's SDL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HttpOptions {
    /// Bytes of a request's body.
    pub max_body_size: u64,
    /// Milliseconds without a byte from the replica.
    pub read_timeout: u64,
    /// Milliseconds without a byte of the request's body.
    pub send_timeout: u64,
    /// Replicas that are tried for one request; 0 means all.
    pub next_tries: u32,
    /// Milliseconds after which no further replica is tried; 0 means no such limit.
    pub next_timeout: u64,
    /// When another replica is tried. A failed connection always is such a case, since nothing was sent, unless
    /// [`RetryCase::Off`] is listed.
    pub next_cases: Vec<RetryCase>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            max_body_size: 1 << 20,
            read_timeout: 60_000,
            send_timeout: 60_000,
            next_tries: 3,
            next_timeout: 0,
            next_cases: vec![RetryCase::Error, RetryCase::Timeout],
        }
    }
}

/// When a request goes to another replica; only requests that may be repeated (RFC 9110, idempotent methods) do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RetryCase {
    /// The connection failed.
    Error,
    /// The replica did not answer in time.
    Timeout,
    /// It answered with this status.
    #[serde(rename = "500")]
    Http500,
    /// It answered with this status.
    #[serde(rename = "502")]
    Http502,
    /// It answered with this status.
    #[serde(rename = "503")]
    Http503,
    /// It answered with this status.
    #[serde(rename = "504")]
    Http504,
    /// It answered with this status.
    #[serde(rename = "403")]
    Http403,
    /// It answered with this status.
    #[serde(rename = "404")]
    Http404,
    /// It answered with this status.
    #[serde(rename = "429")]
    Http429,
    /// Never.
    Off,
}

impl RetryCase {
    /// The status that it stands for.
    #[must_use]
    pub fn status(self) -> Option<u16> {
        match self {
            Self::Http500 => Some(500),
            Self::Http502 => Some(502),
            Self::Http503 => Some(503),
            Self::Http504 => Some(504),
            Self::Http403 => Some(403),
            Self::Http404 => Some(404),
            Self::Http429 => Some(429),
            Self::Error | Self::Timeout | Self::Off => None,
        }
    }
}

impl HttpOptions {
    /// Whether `case` sends a request on to another replica.
    pub(crate) fn retries(&self, case: RetryCase) -> bool {
        self.next_cases.contains(&case) && !self.next_cases.contains(&RetryCase::Off)
    }

    /// Whether an answer with this status does.
    pub(crate) fn retries_status(&self, status: u16) -> bool {
        self.next_cases.iter().any(|case| case.status() == Some(status) && self.retries(*case))
    }
}
