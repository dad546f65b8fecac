//! An exposed UDP port: all its visitors share one stream to the light node, each as a flow.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncWriteExt as _, split};
use tokio::net::UdpSocket;

use super::session::Session;
use crate::datagrams::{self, LARGEST, PREFIX};
use crate::flows::Flows;
use crate::link::Frames;
use crate::traffic::Traffic;
use crate::wire::{MAX_PAYLOAD, Reason};
use crate::{Limits, TunnelError};

/// After a stream that failed, datagrams are dropped for so long.
const PAUSE: Duration = Duration::from_millis(200);
/// Datagrams of so many bytes are gathered before they are written.
const BATCH: usize = 64 * 1024;

/// Serves until it is cancelled.
pub(super) async fn serve(session: Arc<Session>, socket: UdpSocket, open: Vec<u8>, limits: Arc<Limits>) {
    let flows =
        Mutex::new(Flows::new(limits.flows, limits.unanswered_flows, limits.flow_idle, Instant::now()));
    let mut buffer = vec![0; LARGEST];
    loop {
        // The stream is opened for the first datagram, so that a port that nobody uses takes no connection.
        let (length, visitor) = receive(&socket, &mut buffer).await;
        let port = Port { session: &session, socket: &socket, flows: &flows };
        if let Err(error) = port.carry(&open, &buffer[..length], visitor).await {
            tracing::debug!(%error, "datagrams are dropped for want of a stream");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The next datagram. ICMP errors of earlier answers show up as failures here; they concern one visitor only.
async fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> (usize, SocketAddr) {
    loop {
        match socket.recv_from(buffer).await {
            Ok(received) => return received,
            Err(error) => tracing::trace!(%error, "a visitor cannot be reached"),
        }
    }
}

struct Port<'a> {
    session: &'a Session,
    socket: &'a UdpSocket,
    flows: &'a Mutex<Flows>,
}

impl Port<'_> {
    /// Carries datagrams until the stream ends, beginning with `first`.
    async fn carry(&self, open: &[u8], first: &[u8], visitor: SocketAddr) -> Result<(), TunnelError> {
        let mut carrier = self.session.carrier().await?;
        let traffic = self.session.traffic();
        let link = carrier.link()?;
        let mut frames = std::mem::take(&mut link.frames);
        // Both directions at once: a peer that does not read must not keep its answers from being read.
        let (mut reader, mut writer) = split(&mut link.tls);
        let outgoing = async {
            let mut batch = open.to_vec();
            self.enclose(first, visitor, &traffic, &mut batch);
            let mut buffer = vec![0; LARGEST];
            loop {
                writer.write_all(&batch).await?;
                writer.flush().await?;
                batch.clear();
                let (length, visitor) = receive(self.socket, &mut buffer).await;
                self.enclose(&buffer[..length], visitor, &traffic, &mut batch);
                while batch.len() < BATCH
                    && let Ok((length, visitor)) = self.socket.try_recv_from(&mut buffer)
                {
                    self.enclose(&buffer[..length], visitor, &traffic, &mut batch);
                }
            }
        };
        let incoming = async { self.answer(&mut frames, &mut reader, &traffic).await };
        tokio::select! {
            ended = outgoing => ended,
            ended = incoming => ended,
        }
    }

    fn enclose(&self, datagram: &[u8], visitor: SocketAddr, traffic: &Traffic, batch: &mut Vec<u8>) {
        let flow = self.flows.lock().unwrap_or_else(PoisonError::into_inner).of(visitor, Instant::now());
        if let Some(prefix) = flow.and_then(|flow| datagrams::prefix(flow, datagram.len())) {
            batch.reserve(PREFIX + datagram.len());
            batch.extend_from_slice(&prefix);
            batch.extend_from_slice(datagram);
            traffic.count_sent(datagram.len());
        }
    }

    /// Sends the light node's answers to their visitors.
    async fn answer(
        &self,
        frames: &mut Frames,
        reader: &mut (impl tokio::io::AsyncRead + Unpin),
        traffic: &Traffic,
    ) -> Result<(), TunnelError> {
        loop {
            let (kind, payload) = frames.next(reader, MAX_PAYLOAD).await?;
            if Reason::is_late(kind, &payload) {
                continue;
            }
            let (flow, datagram) = datagrams::split(kind, &payload)?;
            traffic.count_received(datagram.len());
            let visitor =
                self.flows.lock().unwrap_or_else(PoisonError::into_inner).answer(flow, Instant::now());
            if let Some(visitor) = visitor {
                // Without waiting: what the socket does not take is lost, as datagrams are.
                drop(self.socket.try_send_to(datagram, visitor));
            }
        }
    }
}
