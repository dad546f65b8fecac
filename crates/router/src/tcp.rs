//! Forwards the connections of one exposed TCP port to a service's replicas.

use std::net::SocketAddr;
use std::sync::Arc;

use metrics::counter;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::backend::{InFlight, Search};
use crate::table::Target;
use crate::{Limits, listener, tunnel};

/// Accepts until `stop`; then the connections under way are cut.
pub(crate) async fn forward(
    listener: TcpListener,
    target: Arc<Target>,
    limits: Limits,
    stop: CancellationToken,
) {
    loop {
        let (client, _) = tokio::select! {
            accepted = listener::next(&listener) => accepted,
            () = stop.cancelled() => return,
        };
        let Ok(permit) = Arc::clone(&target.permits).try_acquire_owned() else {
            counter!("iono_router_refused_total", "reason" => "lease").increment(1);
            continue;
        };
        counter!("iono_router_tcp_connections_total").increment(1);
        let (target, limits, stop) = (Arc::clone(&target), limits.clone(), stop.clone());
        tokio::spawn(async move {
            let _permit = permit;
            tokio::select! {
                () = pass(client, &target, &limits) => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

async fn pass(client: TcpStream, target: &Target, limits: &Limits) {
    // Closing is the only answer that TCP has for "no replica".
    if let Some((replica, _under_way)) = connect(target, limits).await {
        tunnel::run(client, replica, limits.idle).await;
    }
}

/// A connection to the first replica that accepts one.
async fn connect(target: &Target, limits: &Limits) -> Option<(TcpStream, InFlight)> {
    let mut search = Search::new(limits.hold);
    loop {
        let replica = search.next(&target.pool).await?;
        let address = SocketAddr::new(replica.0.ip, target.port);
        match tokio::time::timeout(limits.connect_timeout, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY was refused");
                }
                return Some((stream, replica));
            }
            Ok(Err(_)) => {}
            Err(_) => search.was_silent(&replica.0),
        }
        target.pool.failed(&replica.0);
    }
}
