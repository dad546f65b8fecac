//! What identity costs: status requests of a lease over mutual TLS with every check, against the same service behind
//! plain HTTP without any. Client and server share the machine; both kinds take turns.

#[path = "../../crates/lease-api/tests/fake/mod.rs"]
mod fake;

use std::net::TcpListener;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::Json;
use axum::extract::{Path, State};
use fake::{LEASE, World};
use futures::future::try_join_all;
use iono_lease_api::{ApiError, LeaseService, LeaseStatus, Limits};
use iono_primitives::LeaseId;

use crate::figure::Figure;
use crate::stats::{in_turns, median, seconds};

const RUNS: usize = 7;
/// Of one run.
const LENGTH: Duration = Duration::from_millis(1_000);
/// At once.
const CLIENTS: usize = 8;

/// Starts both servers and measures.
pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let world = World::with_limits(unlimited());
    let identity = world.identity().await;
    let tls = iono_identity::client_config(vec![world.pin], Some(&identity))?;
    let guarded = format!("https://{}/v1/leases/{}/status", world.endpoint, LEASE.0);
    let open = format!("http://{}/v1/leases/{}/status", plain(world.provider.clone())?, LEASE.0);
    let client = |fresh| Clients { tls: tls.clone(), fresh };

    let (kept, kept_plain) = in_turns(
        RUNS,
        async || client(false).requests_per_second(&guarded).await,
        async || client(false).requests_per_second(&open).await,
    )
    .await?;
    let (fresh, fresh_plain) = in_turns(
        RUNS,
        async || client(true).requests_per_second(&guarded).await,
        async || client(true).requests_per_second(&open).await,
    )
    .await?;
    let ratio = |ours: &[f64], theirs: &[f64]| median(ours) / median(theirs);
    let (requests, connections) = ("requests/s", "connections/s");
    Ok(vec![
        Figure::new(
            "mtls_ratio",
            "requests over kept mTLS connections / without TLS checks",
            ratio(&kept, &kept_plain),
            "times",
        ),
        Figure::new("mtls_requests_per_second", "  mTLS", median(&kept).round(), requests).runs(&kept),
        Figure::new(
            "plain_requests_per_second",
            "  without TLS checks",
            median(&kept_plain).round(),
            requests,
        )
        .runs(&kept_plain),
        Figure::new(
            "mtls_fresh_ratio",
            "a connection for each request, mTLS / without TLS checks",
            ratio(&fresh, &fresh_plain),
            "times",
        ),
        Figure::new(
            "mtls_connections_per_second",
            "  mTLS: handshake, wallet's signature, right",
            median(&fresh).round(),
            connections,
        )
        .runs(&fresh),
        Figure::new(
            "plain_connections_per_second",
            "  without TLS checks",
            median(&fresh_plain).round(),
            connections,
        )
        .runs(&fresh_plain),
    ])
}

/// The meters count, but nothing reaches them.
fn unlimited() -> Limits {
    let (rate, many) = (NonZeroU32::new(100_000_000).unwrap_or(NonZeroU32::MAX), 1 << 20);
    Limits {
        connections: many,
        wallet_rate: rate,
        wallet_burst: rate,
        address_rate: rate,
        address_burst: rate,
        ..Limits::default()
    }
}

/// Serves the same service's status as plain HTTP; gives its host:port.
fn plain(service: Arc<dyn LeaseService>) -> Result<String> {
    async fn status(
        State(service): State<Arc<dyn LeaseService>>,
        Path(lease): Path<u64>,
    ) -> Result<Json<LeaseStatus>, ApiError> {
        service.status(LeaseId(lease)).await.map(Json)
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let router = axum::Router::new()
        .route("/v1/leases/{lease}/status", axum::routing::get(status))
        .with_state(service);
    tokio::spawn(axum_server::from_tcp(listener)?.serve(router.into_make_service()));
    Ok(address.to_string())
}

struct Clients {
    tls: rustls::ClientConfig,
    /// A new connection for each request.
    fresh: bool,
}

impl Clients {
    fn http(&self) -> Result<reqwest::Client> {
        let builder =
            reqwest::Client::builder().tls_backend_preconfigured(self.tls.clone()).http1_only().no_proxy();
        let kept = if self.fresh { 0 } else { 1 };
        builder.pool_max_idle_per_host(kept).build().context("no HTTP client")
    }

    /// As many as all clients together get answered.
    async fn requests_per_second(&self, url: &str) -> Result<f64> {
        let clients: Vec<reqwest::Client> = (0..CLIENTS).map(|_| self.http()).collect::<Result<_>>()?;
        // Connect and check outside of the measured time.
        try_join_all(clients.iter().map(|client| ask(client, url))).await?;
        let start = Instant::now();
        let tasks =
            clients.into_iter().map(|client| tokio::spawn(one_after_another(client, url.to_owned(), start)));
        let counts = try_join_all(tasks).await?.into_iter().collect::<Result<Vec<u32>>>()?;
        Ok(f64::from(counts.iter().sum::<u32>()) / seconds(start))
    }
}

/// How many requests one client gets answered until the run's end.
async fn one_after_another(client: reqwest::Client, url: String, start: Instant) -> Result<u32> {
    let mut count = 0;
    while start.elapsed() < LENGTH {
        ask(&client, &url).await?;
        count += 1;
    }
    Ok(count)
}

async fn ask(client: &reqwest::Client, url: &str) -> Result<()> {
    let answer = client.get(url).send().await?;
    ensure!(answer.status() == 200, "{url} answered {}", answer.status());
    ensure!(!answer.bytes().await?.is_empty(), "an empty answer");
    Ok(())
}
