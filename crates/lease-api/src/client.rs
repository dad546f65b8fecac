//! The tenant's side: a client that trusts the registry's pins alone, shows the wallet's certificate, and hands on the
//! provider's words when it is refused.

mod shell;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http::{Method, StatusCode, header};
use iono_identity::{ClientIdentity, IdentityError, Pin, client_config};
use iono_primitives::{FizzId, LeaseId, OrderId};
use reqwest::{RequestBuilder, Response};
use serde::de::DeserializeOwned;
use url::Url;

use crate::light::light_node_name;
use crate::types::*;
use crate::{ErrorBody, query};

/// For a connection to stand.
const CONNECT: Duration = Duration::from_secs(10);
/// Tries after the first one, for errors that may pass.
const RETRIES: usize = 3;
/// For a small answer; more than the provider's own limit, so that its words arrive.
const ANSWER: Duration = Duration::from_secs(90);
/// Largest small answer in bytes; the provider is not trusted.
const MAX_ANSWER: usize = 4 << 20;

/// A request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The endpoint in the registry cannot be used.
    #[error("`{0}` is no host:port")]
    BadEndpoint(String),
    /// The client certificate cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The provider refused, in its own words.
    #[error("{body}")]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// Code, reason and hint.
        body: ErrorBody,
    },
    /// No answer: the network, the TLS handshake, or a connection that broke.
    #[error("the provider at {endpoint} cannot be reached: {why}")]
    Unreachable {
        /// host:port.
        endpoint: String,
        /// The cause, all of it.
        why: String,
    },
    /// The server is not the one in the registry.
    #[error(
        "{endpoint} is not the provider: {why}; do not trust this address until the registry has this key"
    )]
    WrongServer {
        /// host:port.
        endpoint: String,
        /// Both pins.
        why: String,
    },
    /// An answer that is not the interface's.
    #[error("the provider's answer cannot be understood: {0}")]
    Malformed(String),
}

impl ClientError {
    /// The provider's stable code, when it refused.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { body, .. } => Some(&body.code),
            _ => None,
        }
    }

    /// Whether trying again may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => {
                matches!(*status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS)
            }
            _ => false,
        }
    }
}

/// Finds the endpoint's addresses, whatever name the server is asked for by.
struct Elsewhere((String, u16));

impl reqwest::dns::Resolve for Elsewhere {
    fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let to = self.0.clone();
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host(to).await?.collect();
            Ok(Box::new(found.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

/// A provider's lease API. Cheap to clone; connections are kept.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    tls: Arc<rustls::ClientConfig>,
    /// Of the server that is meant.
    base: Url,
    /// Where connections go: the host and the port of the endpoint.
    to: (String, u16),
    endpoint: String,
    retries: usize,
}

impl Client {
    /// For the provider at `endpoint` (host:port), whose key has one of `pins` (the registry's current and next one).
    /// Without `identity` only what is public answers.
    ///
    /// # Errors
    /// [`ClientError::BadEndpoint`] or [`ClientError::Identity`].
    pub fn new(
        endpoint: &str,
        pins: Vec<Pin>,
        identity: Option<&ClientIdentity>,
    ) -> Result<Self, ClientError> {
        Self::with_name(endpoint, None, pins, identity)
    }

    /// For a light node whose provider is at `endpoint`: the provider carries the connection on, and the light node's key
    /// has one of `pins`.
    ///
    /// # Errors
    /// As of [`Client::new`].
    pub fn for_light_node(
        endpoint: &str,
        fizz: FizzId,
        pins: Vec<Pin>,
        identity: Option<&ClientIdentity>,
    ) -> Result<Self, ClientError> {
        Self::with_name(endpoint, Some(&light_node_name(fizz)), pins, identity)
    }

    fn with_name(
        endpoint: &str,
        name: Option<&str>,
        pins: Vec<Pin>,
        identity: Option<&ClientIdentity>,
    ) -> Result<Self, ClientError> {
        let bad = || ClientError::BadEndpoint(endpoint.chars().take(128).collect());
        let mut base = Url::parse(&format!("https://{endpoint}/v1/")).map_err(|_| bad())?;
        if base.path() != "/v1/" || !base.username().is_empty() {
            return Err(bad());
        }
        let host = base.host_str().ok_or_else(bad)?.trim_matches(['[', ']']).to_owned();
        let to = (host, base.port_or_known_default().ok_or_else(bad)?);
        let resolver = Elsewhere(to.clone());
        if let Some(name) = name {
            base.set_host(Some(name)).map_err(|_| bad())?;
        }
        let mut tls = client_config(pins, identity)?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .dns_resolver(Arc::new(resolver))
            .build()
            .map_err(|error| ClientError::Malformed(chain(&error)))?;
        Ok(Self { http, tls: Arc::new(tls), base, to, endpoint: endpoint.to_owned(), retries: RETRIES })
    }

    /// Asks once: for who asks many providers and would rather hear soon why one does not answer.
    #[must_use]
    pub fn once(self) -> Self {
        Self { retries: 0, ..self }
    }

    fn patience(&self) -> ExponentialBuilder {
        ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(300))
            .with_max_times(self.retries)
            .with_jitter()
    }

    /// What the provider offers.
    ///
    /// # Errors
    /// [`ClientError`]; so do all methods. Those that may be repeated are, up to three times.
    pub async fn provider(&self) -> Result<ProviderInfo, ClientError> {
        self.get("provider").await
    }

    /// What the provider decided about an order.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn why_no_bid(&self, order: OrderId) -> Result<BidAnswer, ClientError> {
        self.get(&format!("orders/{order}/bid")).await
    }

    /// Sends the manifest; sending it twice is the same as once.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put_manifest(
        &self,
        lease: LeaseId,
        manifest: &SaltedManifest,
    ) -> Result<ManifestReceipt, ClientError> {
        let send = async || {
            let request = self
                .request(Method::PUT, &format!("leases/{lease}/manifest"))
                .timeout(ANSWER)
                .header(header::CONTENT_TYPE, "application/json")
                .header(SALT_HEADER, manifest.salt().to_string())
                .body(manifest.canonical().clone());
            self.json(self.send(request).await?).await
        };
        send.retry(self.patience()).when(ClientError::is_transient).await
    }

    /// The manifest as it was sent.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::Malformed`] also when it is no manifest. Compare its hash with the chain's.
    pub async fn get_manifest(&self, lease: LeaseId) -> Result<SaltedManifest, ClientError> {
        let path = format!("leases/{lease}/manifest");
        let send = async || self.send(self.request(Method::GET, &path).timeout(ANSWER)).await;
        let response = send.retry(self.patience()).when(ClientError::is_transient).await?;
        let salt = response.headers().get(SALT_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
        let salt =
            salt.ok_or_else(|| ClientError::Malformed(format!("the header {SALT_HEADER} is missing")))?;
        let bytes = self.body(response).await?;
        SaltedManifest::decode(salt, bytes).map_err(|error| ClientError::Malformed(error.to_string()))
    }

    /// The lease now.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn status(&self, lease: LeaseId) -> Result<LeaseStatus, ClientError> {
        self.get(&format!("leases/{lease}/status")).await
    }

    /// The provider's signed price for new terms. The signature must be checked against the provider's hot key.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn quote(&self, lease: LeaseId, request: &QuoteRequest) -> Result<SignedQuote, ClientError> {
        let request =
            self.request(Method::POST, &format!("leases/{lease}/quote")).timeout(ANSWER).json(request);
        self.json(self.send(request).await?).await
    }

    /// Restarts a service's replicas one after the other (all services with `None`), and waits for it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn restart(&self, lease: LeaseId, service: Option<&str>) -> Result<(), ClientError> {
        let body = RestartRequest { service: service.map(str::to_owned) };
        self.send(self.request(Method::POST, &format!("leases/{lease}/restart")).json(&body)).await.map(drop)
    }

    /// Unpacks a tar archive below a directory of a replica.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn copy_in<E>(
        &self,
        lease: LeaseId,
        target: &FilePath,
        archive: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    ) -> Result<(), ClientError>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let path = format!("leases/{lease}/files?{}", query::write_file(target));
        let request = self
            .request(Method::PUT, &path)
            .header(header::CONTENT_TYPE, "application/x-tar")
            .body(reqwest::Body::wrap_stream(archive));
        self.send(request).await.map(drop)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let send = async || {
            let response = self.send(self.request(Method::GET, path).timeout(ANSWER)).await?;
            self.json(response).await
        };
        send.retry(self.patience()).when(ClientError::is_transient).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = self.base.join(path).expect("paths of this interface are relative and valid");
        self.http.request(method, url)
    }

    /// Sends a request; an answer that is no success becomes the provider's words.
    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().await.map_err(|error| self.transport(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let bytes = self.body(response).await?;
        Err(refused(status, &bytes))
    }

    async fn json<T: DeserializeOwned>(&self, response: Response) -> Result<T, ClientError> {
        let bytes = self.body(response).await?;
        serde_json::from_slice(&bytes).map_err(|error| ClientError::Malformed(error.to_string()))
    }

    async fn body(&self, response: Response) -> Result<Bytes, ClientError> {
        let mut bytes = Vec::new();
        let mut pieces = response.bytes_stream();
        while let Some(piece) = pieces.next().await {
            bytes.extend_from_slice(&piece.map_err(|error| self.transport(&error))?);
            if bytes.len() > MAX_ANSWER {
                return Err(ClientError::Malformed(format!("more than {MAX_ANSWER} bytes")));
            }
        }
        Ok(bytes.into())
    }

    fn transport(&self, error: &(dyn std::error::Error + 'static)) -> ClientError {
        let endpoint = self.endpoint.clone();
        match pin_mismatch(error) {
            Some(why) => ClientError::WrongServer { endpoint, why },
            None => ClientError::Unreachable { endpoint, why: chain(error) },
        }
    }
}

/// The provider's words from a body, or its status when there are none.
fn refused(status: StatusCode, bytes: &[u8]) -> ClientError {
    let body = serde_json::from_slice(bytes).unwrap_or_else(|_| ErrorBody {
        code: "http".into(),
        message: format!("the provider answered {status} without a reason"),
        hint: String::new(),
    });
    ClientError::Refused { status, body }
}

/// An error with all its causes.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
}

/// The pinning verifier's words, if it was what failed.
fn pin_mismatch(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        // An io::Error that wraps another one shows that one's sources only.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let inner = inner.map(|inner| inner as &(dyn std::error::Error + 'static));
        for candidate in [Some(error), inner].into_iter().flatten() {
            if let Some(rustls::Error::General(why)) = candidate.downcast_ref() {
                return Some(why.clone());
            }
        }
        cause = inner.or_else(|| error.source());
    }
    None
}
