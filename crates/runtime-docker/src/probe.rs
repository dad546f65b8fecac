//! Readiness: a replica is ready when its TCP ports accept connections. Asked of the replica itself, not of the engine.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bollard::models::ContainerSummaryStateEnum as State;
use futures::future::join_all;
use iono_runtime::{EventKind, ExitReason, Port, Protocol, RestartPolicy, RuntimeError};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::inner::Inner;
use crate::labels::Container;
use iono_runtime::now;

const EVERY: Duration = Duration::from_millis(5);
const CONNECT: Duration = Duration::from_millis(500);
/// So many exits while it should become ready say that it will not.
const HOPELESS: u32 = 3;
/// Between two questions to the engine whether it still runs the container.
const LOOK: Duration = Duration::from_secs(1);

/// How many of the TCP ports accept, and how many there are.
async fn accepting(address: Ipv4Addr, ports: &[Port]) -> (usize, usize) {
    let tries = numbers(ports).into_iter();
    let tries = tries.map(|port| timeout(CONNECT, TcpStream::connect(SocketAddr::from((address, port)))));
    let tries = join_all(tries).await;
    (tries.iter().filter(|result| matches!(result, Ok(Ok(_)))).count(), tries.len())
}

/// The TCP ports, each once.
fn numbers(ports: &[Port]) -> BTreeSet<u16> {
    ports.iter().filter(|port| port.protocol == Protocol::Tcp).map(|port| port.number).collect()
}

/// Whether a running container serves. Once its time to start is over, one port that accepts is enough: a manifest may
/// expose a port that the service opens only later or never.
pub(crate) async fn is_ready(container: &Container, started_at: Option<u64>) -> bool {
    let (open, all) = accepting(container.address, &container.ports).await;
    let age = Duration::from_millis(now().saturating_sub(started_at.unwrap_or(0)));
    open == all || (open > 0 && age > container.ready_within)
}

impl Inner {
    /// Waits until a container is ready.
    pub(crate) async fn wait_ready(&self, container: &Container) -> Result<(), RuntimeError> {
        let (start, service) = (Instant::now(), container.service.as_str());
        let not_ready = |reason: String| RuntimeError::NotReady { service: service.to_owned(), reason };
        let mut looked = start;
        loop {
            let (open, all) = accepting(container.address, &container.ports).await;
            let late = start.elapsed() >= container.ready_within;
            if open == all || (late && open > 0) {
                if !container.is_running() {
                    let subject = Some((service, container.replica));
                    self.hub.happenings.emit(
                        container.lease,
                        subject,
                        EventKind::Ready,
                        "accepts connections",
                    );
                }
                return Ok(());
            }
            if self.turns.is_closing(container.lease) {
                return Err(not_ready("the lease is being removed".to_owned()));
            }
            let fate = self.hub.fates.get(&container.id).unwrap_or_default();
            if let Some(exit) = fate.last_exit {
                let done = container.restart == RestartPolicy::Never
                    || (container.restart == RestartPolicy::OnFailure
                        && exit.reason == ExitReason::Completed);
                if done && exit.reason == ExitReason::Completed {
                    return Ok(());
                }
                if done || fate.exits >= HOPELESS || exit.reason == ExitReason::DiskQuota {
                    return Err(not_ready(format!("it exited with code {} ({})", exit.code, exit.reason)));
                }
            }
            if looked.elapsed() >= LOOK {
                if self.is_stopped(container).await? {
                    return Err(not_ready("somebody stopped it; it is started with the next try".to_owned()));
                }
                looked = Instant::now();
            }
            if late {
                let ports: Vec<_> = numbers(&container.ports).iter().map(u16::to_string).collect();
                let text = format!(
                    "no port of {} accepts connections after {:?}",
                    ports.join(", "),
                    start.elapsed()
                );
                return Err(not_ready(text));
            }
            sleep(EVERY).await;
        }
    }

    /// Whether a container ended and the engine will not start it again.
    async fn is_stopped(&self, container: &Container) -> Result<bool, RuntimeError> {
        let all = self.containers(Some(container.lease), false).await?;
        let now = all.iter().find(|now| now.id == container.id);
        Ok(now.is_none_or(|now| matches!(now.state, State::EXITED | State::DEAD)))
    }
}
