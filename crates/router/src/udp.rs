//! Forwards the datagrams of one exposed UDP port. A client keeps its replica until it falls silent or the replica is
//! removed; answers leave from the exposed port.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Limits;
use crate::table::Target;

/// Datagrams that wait for one session; more are dropped, as UDP does.
const QUEUE: usize = 64;
const LARGEST: usize = 65_535;

/// Forwards until `stop`; the port is free when this returns.
pub(crate) async fn forward(socket: UdpSocket, target: Arc<Target>, limits: Limits, stop: CancellationToken) {
    let socket = Arc::new(socket);
    let mut sessions: HashMap<SocketAddr, mpsc::Sender<Vec<u8>>> = HashMap::new();
    let tasks = TaskTracker::new();
    let mut buffer = vec![0; LARGEST];
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut buffer) => received,
            () = stop.cancelled() => {
                tasks.close();
                return tasks.wait().await;
            }
        };
        // ICMP errors of an earlier answer show up here; they concern one client only.
        let Ok((length, client)) = received else { continue };
        let mut datagram = buffer[..length].to_vec();
        if let Some(session) = sessions.get(&client) {
            match session.try_send(datagram) {
                Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => continue,
                Err(mpsc::error::TrySendError::Closed(unsent)) => datagram = unsent,
            }
        }
        sessions.retain(|_, session| !session.is_closed());
        let Ok(permit) = Arc::clone(&target.permits).try_acquire_owned() else {
            counter!("iono_router_refused_total", "reason" => "lease").increment(1);
            continue;
        };
        counter!("iono_router_udp_sessions_total").increment(1);
        let (sender, datagrams) = mpsc::channel(QUEUE);
        if sender.try_send(datagram).is_ok() {
            sessions.insert(client, sender);
        }
        let session = Session { client, front: Arc::clone(&socket), target: Arc::clone(&target) };
        let (limits, stop) = (limits.clone(), stop.clone());
        tasks.spawn(async move {
            let _permit = permit;
            tokio::select! {
                ended = session.run(datagrams, &limits) => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "UDP session ended");
                    }
                }
                () = stop.cancelled() => {}
            }
        });
    }
}

struct Session {
    client: SocketAddr,
    front: Arc<UdpSocket>,
    target: Arc<Target>,
}

impl Session {
    async fn run(self, mut datagrams: mpsc::Receiver<Vec<u8>>, limits: &Limits) -> std::io::Result<()> {
        let Some(replica) = self.target.pool.acquire(&[], limits.hold).await else { return Ok(()) };
        let any: IpAddr = match replica.0.ip {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let back = UdpSocket::bind((any, 0)).await?;
        back.connect((replica.0.ip, self.target.port)).await?;
        let mut buffer = vec![0; LARGEST];
        loop {
            let silence: Duration = limits.udp_idle;
            tokio::select! {
                datagram = datagrams.recv() => match datagram {
                    // The service may be starting: a refusal is not an end.
                    Some(datagram) => drop(back.send(&datagram).await),
                    None => return Ok(()),
                },
                answer = back.recv(&mut buffer) => if let Ok(length) = answer {
                    self.front.send_to(&buffer[..length], self.client).await?;
                },
                () = replica.retired() => return Ok(()),
                () = tokio::time::sleep(silence) => return Ok(()),
            }
        }
    }
}
