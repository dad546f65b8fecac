//! A pool of RPC endpoints behind one alloy provider. Calls go to the preferred endpoint that works; one that fails
//! rests for a while, growing with every failure, and must show its chain id again before it is used. The health check
//! is red while no endpoint answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::rpc::client::RpcClient;
use alloy::transports::http::{Http, reqwest};
use alloy::transports::{TransportError, TransportErrorKind, TransportFut};
use alloy_json_rpc::{Id, Request, RequestPacket, ResponsePacket};
use iono_telemetry::Check;
use tower::Service;
use url::Url;

use crate::{ChainConfig, ChainError};

/// The shortest and the longest rest of a failing endpoint.
const REST: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));

/// All endpoints of a chain as one; cheap to clone.
#[derive(Clone)]
pub struct Rpc {
    provider: DynProvider,
    pool: Pool,
    config: Arc<ChainConfig>,
}

impl Rpc {
    /// Makes the pool; nothing is asked yet, so that a daemon starts during an outage. Endpoints of another chain than
    /// `chain_id` are never used.
    ///
    /// # Errors
    /// [`ChainError`] when no HTTP endpoint is configured.
    pub fn connect(config: &ChainConfig, chain_id: u64, check: Check) -> Result<Self, ChainError> {
        if config.rpc.is_empty() {
            return Err(ChainError::NoEndpoint);
        }
        let client = reqwest::Client::builder()
            .timeout(config.timeout())
            .connect_timeout(config.timeout().min(Duration::from_secs(3)))
            .pool_idle_timeout(Duration::from_secs(30))
            .build()
            .map_err(|error| ChainError::Client(error.to_string()))?;
        let mut endpoints = Vec::new();
        for url in &config.rpc {
            if !matches!(url.scheme(), "http" | "https") {
                return Err(ChainError::NotHttp(url.to_string()));
            }
            endpoints.push(Endpoint::new(client.clone(), url));
        }
        let pool = Pool { endpoints: endpoints.into(), chain_id, check: Arc::new(check) };
        let provider = ProviderBuilder::new()
            .disable_recommended_fillers()
            .connect_client(RpcClient::new(pool.clone(), false))
            .erased();
        Ok(Self { provider, pool, config: Arc::new(config.clone()) })
    }

    /// Reads over all endpoints; also for contract instances.
    #[must_use]
    pub fn provider(&self) -> &DynProvider {
        &self.provider
    }

    /// The chain's id, as the address book has it.
    #[must_use]
    pub fn chain_id(&self) -> u64 {
        self.pool.chain_id
    }

    pub(crate) fn config(&self) -> &ChainConfig {
        &self.config
    }
}

/// One URL and how it fares.
struct Endpoint {
    transport: Http<reqwest::Client>,
    /// Host and port: URLs often carry a secret in their path.
    name: String,
    /// It showed the right chain id since it last failed.
    verified: AtomicBool,
    rest: Mutex<Option<Rest>>,
}

#[derive(Clone, Copy)]
struct Rest {
    until: Instant,
    length: Duration,
}

impl Endpoint {
    fn new(client: reqwest::Client, url: &Url) -> Self {
        let name = format!("{}:{}", url.host_str().unwrap_or("?"), url.port_or_known_default().unwrap_or(0));
        let transport = Http::with_client(client, url.clone());
        Self { transport, name, verified: AtomicBool::new(false), rest: Mutex::new(None) }
    }

    fn resting_until(&self) -> Option<Instant> {
        let rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        rest.map(|rest| rest.until).filter(|until| *until > Instant::now())
    }

    fn succeeded(&self) {
        *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn failed(&self, error: &TransportError) {
        metrics::counter!("iono_rpc_failures_total", "endpoint" => self.name.clone()).increment(1);
        self.verified.store(false, Ordering::Relaxed);
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        let length = rest.map_or(REST.0, |rest| (rest.length * 2).min(REST.1));
        if rest.is_none() {
            tracing::warn!(endpoint = self.name, %error, "RPC endpoint failed");
        }
        *rest = Some(Rest { until: Instant::now() + length, length });
    }

    /// Asks for the chain id once after each failure.
    async fn verify(&self, chain_id: u64) -> Result<(), TransportError> {
        if self.verified.load(Ordering::Relaxed) {
            return Ok(());
        }
        let request =
            Request::new("eth_chainId", Id::Number(0), ()).serialize().map_err(TransportErrorKind::custom)?;
        let response = self.transport.clone().call(RequestPacket::Single(request)).await?;
        let ResponsePacket::Single(response) = response else {
            return Err(TransportErrorKind::custom_str("a batch came back for one request"));
        };
        let payload = response.try_success_as::<alloy::primitives::U64>();
        match payload {
            Some(Ok(id)) if id.to::<u64>() == chain_id => {
                self.verified.store(true, Ordering::Relaxed);
                Ok(())
            }
            Some(Ok(id)) => Err(TransportErrorKind::custom_str(&format!(
                "it serves chain {id} and not {chain_id}; take it out of chain.rpc"
            ))),
            _ => Err(TransportErrorKind::custom_str("it did not tell its chain id")),
        }
    }

    async fn call(&self, request: RequestPacket, chain_id: u64) -> Result<ResponsePacket, TransportError> {
        self.verify(chain_id).await?;
        self.transport.clone().call(request).await
    }
}

/// The transport that alloy sees.
#[derive(Clone)]
struct Pool {
    endpoints: Arc<[Endpoint]>,
    chain_id: u64,
    check: Arc<Check>,
}

impl Pool {
    async fn send(self, request: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let mut last = None;
        let rested: Vec<_> = self.endpoints.iter().filter(|e| e.resting_until().is_none()).collect();
        for endpoint in rested {
            match endpoint.call(request.clone(), self.chain_id).await {
                Ok(response) => {
                    endpoint.succeeded();
                    self.check.ok();
                    return Ok(response);
                }
                Err(error) => {
                    endpoint.failed(&error);
                    last = Some(format!("{}: {error}", endpoint.name));
                }
            }
        }
        let Some(last) = last else {
            // All rest: callers retry, and the check keeps its reason.
            return Err(TransportErrorKind::custom_str(
                "no RPC endpoint answers; waiting before the next attempt",
            ));
        };
        self.check.fail(format!("no RPC endpoint answers; the last said {last}"));
        Err(TransportErrorKind::custom_str(&last))
    }
}

impl Service<RequestPacket> for Pool {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: RequestPacket) -> Self::Future {
        Box::pin(self.clone().send(request))
    }
}
