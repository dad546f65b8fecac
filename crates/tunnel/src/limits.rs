//! Every bound of the tunnel. The defaults let 2,000 idle light nodes and some thousand visitors share a small gateway.

use std::time::Duration;

use crate::socket::KeepAlive;

/// What one gateway or client allows.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Light nodes at a time (gateway).
    pub clients: usize,
    /// Connections whose handshake is under way, together (gateway).
    pub handshakes: usize,
    /// The same from one address (gateway).
    pub handshakes_per_address: usize,
    /// How long connecting, the handshake and the first frame may take together.
    pub handshake_time: Duration,
    /// Streams of one light node at a time, each on a data connection of its own.
    pub streams: usize,
    /// Visitors of one light node that wait for a data connection (gateway).
    pub waiting: usize,
    /// Streams that one visitor's address may have at one exposed port (gateway).
    pub streams_per_visitor: usize,
    /// How long a visitor waits for a data connection (gateway).
    pub wait: Duration,
    /// Data connections that are kept ready for each light node, also when nobody visits.
    pub ready: usize,
    /// A stream in which nothing moves for so long is ended.
    pub idle: Duration,
    /// Flows of datagrams at one exposed port (gateway), and of one such port at the client.
    pub flows: usize,
    /// The part of them that have not been answered yet: who spoofs addresses pushes out only those (gateway).
    pub unanswered_flows: usize,
    /// A flow that is silent for so long is forgotten.
    pub flow_idle: Duration,
    /// Between two pings on the control connection while something is carried; after three without an answer the peer
    /// counts as dead. The kernel's keep-alive finds a dead path much sooner.
    pub ping: Duration,
    /// The same while nothing is carried, so that an idle light node wakes nobody.
    pub idle_ping: Duration,
    /// Messages between the daemons that wait to be sent or handled.
    pub messages: usize,
    /// Keep-alive of the control connection.
    pub control: KeepAlive,
    /// Keep-alive of the data connections.
    pub data: KeepAlive,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            clients: 10_000,
            handshakes: 1_024,
            handshakes_per_address: 256,
            handshake_time: seconds(10),
            streams: 512,
            waiting: 256,
            streams_per_visitor: 256,
            wait: seconds(10),
            ready: 2,
            idle: seconds(600),
            flows: 1_024,
            unanswered_flows: 256,
            flow_idle: seconds(60),
            ping: seconds(45),
            idle_ping: seconds(600),
            messages: 32,
            // Notices another address of the router's after five seconds, when the gateway's machine refuses a probe, and
            // outlives a cable that is out for fifteen.
            control: KeepAlive {
                idle: seconds(5),
                interval: seconds(3),
                probes: 5,
                unacknowledged: seconds(20),
            },
            // Longer than most outages: a stream under way survives them.
            data: KeepAlive {
                idle: seconds(20),
                interval: seconds(10),
                probes: 6,
                unacknowledged: seconds(90),
            },
        }
    }
}
