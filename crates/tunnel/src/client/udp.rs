//! The client's end of a UDP port: each flow has a socket of its own towards the service, as a visitor would.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncWriteExt as _, split};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::datagrams::{self, LARGEST, PREFIX};
use crate::link::Link;
use crate::traffic::Traffic;
use crate::wire::MAX_PAYLOAD;
use crate::{Limits, TunnelError};

/// Answers of all flows that wait to be written; more are dropped, as UDP does.
const QUEUE: usize = 64;

/// Carries datagrams until the stream ends; the data connection is of no further use then.
pub(super) async fn carry(
    link: &mut Link,
    target: SocketAddr,
    traffic: &Traffic,
    limits: &Limits,
) -> Result<(), TunnelError> {
    let mut frames = std::mem::take(&mut link.frames);
    let (mut reader, mut writer) = split(&mut link.tls);
    let (answers, mut outbox) = mpsc::channel::<(u32, Vec<u8>)>(QUEUE);
    let mut flows: HashMap<u32, Arc<UdpSocket>> = HashMap::new();
    let mut tasks: JoinSet<u32> = JoinSet::new();
    let incoming = async {
        loop {
            let (kind, payload) = tokio::select! {
                frame = frames.next(&mut reader, MAX_PAYLOAD) => frame?,
                Some(ended) = tasks.join_next() => {
                    if let Ok(flow) = ended {
                        flows.remove(&flow);
                    }
                    continue;
                }
            };
            let (flow, datagram) = datagrams::split(kind, &payload)?;
            traffic.count_received(datagram.len());
            let socket = match flows.get(&flow) {
                Some(socket) => Arc::clone(socket),
                None if flows.len() >= limits.flows => continue,
                None => {
                    let socket = Arc::new(open(target).await?);
                    flows.insert(flow, Arc::clone(&socket));
                    tasks.spawn(listen(flow, Arc::clone(&socket), answers.clone(), limits.flow_idle));
                    socket
                }
            };
            // The service may be starting: a refusal is not an end.
            drop(socket.try_send(datagram));
        }
    };
    let outgoing = async {
        while let Some((flow, datagram)) = outbox.recv().await {
            let Some(prefix) = datagrams::prefix(flow, datagram.len() - PREFIX) else { continue };
            let mut frame = datagram;
            frame[..PREFIX].copy_from_slice(&prefix);
            writer.write_all(&frame).await?;
            if outbox.is_empty() {
                writer.flush().await?;
            }
            traffic.count_sent(frame.len() - PREFIX);
        }
        Ok(())
    };
    tokio::select! {
        ended = incoming => ended,
        ended = outgoing => ended,
    }
}

async fn open(target: SocketAddr) -> std::io::Result<UdpSocket> {
    let any: SocketAddr = match target {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(target).await?;
    Ok(socket)
}

/// Takes the service's answers to one flow, each with room for the prefix before it, until it has been silent for long.
async fn listen(
    flow: u32,
    socket: Arc<UdpSocket>,
    answers: mpsc::Sender<(u32, Vec<u8>)>,
    idle: std::time::Duration,
) -> u32 {
    while let Ok(Ok(())) = timeout(idle, socket.readable()).await {
        // Only while something is there: a thousand silent flows need no buffers.
        let mut buffer = vec![0; LARGEST + PREFIX];
        while let Ok(length) = socket.try_recv(&mut buffer[PREFIX..]) {
            let answer = (flow, buffer[..PREFIX + length].to_vec());
            if let Err(mpsc::error::TrySendError::Closed(_)) = answers.try_send(answer) {
                return flow;
            }
        }
    }
    flow
}
