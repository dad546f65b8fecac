//! Passes one HTTP request on: finds the service by host, a replica by load, another one when the first fails, and
//! hands upgrades (WebSocket) through.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version, request};
use hyper::body::{Body, Incoming};
use hyper::upgrade::OnUpgrade;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use metrics::counter;
use tokio::sync::OwnedSemaphorePermit;

use crate::backend::{InFlight, Search};
use crate::body::{Attempt, Download, Hold, Upload};
use crate::config::RetryCase;
use crate::headers;
use crate::table::{Table, Target};
use crate::tls::Certificates;
use crate::{Limits, tunnel};

/// What every connection shares.
pub(crate) struct Proxy {
    pub(crate) table: Arc<Table>,
    pub(crate) certificates: Certificates,
    pub(crate) limits: Limits,
    /// Another router of ours stands before this one.
    behind: bool,
    client: Client<HttpConnector, Attempt>,
}

/// Who sent a request, and how.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// The name in the TLS handshake; `None` inside when there was none.
    pub(crate) tls: Option<Option<String>>,
}

/// Why a request was answered by the router itself.
struct Refusal(StatusCode, String);

fn refuse<T>(status: StatusCode, text: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(status, text.into()))
}

/// How an attempt ended without an answer.
enum Failure {
    /// The connection was refused; nothing was sent.
    Connect(String),
    /// The connection was neither taken nor refused in time; nothing was sent.
    Silent,
    /// The connection broke.
    Broken(String),
    /// No answer in time.
    Timeout,
}

impl Proxy {
    pub(crate) fn new(table: Arc<Table>, certificates: Certificates, limits: Limits, behind: bool) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(limits.connect_timeout));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(32)
            .build(connector);
        Self { table, certificates, limits, behind, client }
    }

    /// Answers one request.
    pub(crate) async fn serve(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: Peer,
    ) -> Result<Response<Download>, Infallible> {
        let answer = match self.forward(request, &peer).await {
            Ok(answer) => answer,
            Err(Refusal(status, text)) => {
                let mut answer = Response::new(Download::own(text + "\n"));
                *answer.status_mut() = status;
                let headers = answer.headers_mut();
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
                if status == StatusCode::PAYLOAD_TOO_LARGE || status == StatusCode::BAD_REQUEST {
                    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                answer
            }
        };
        let class = ["1xx", "2xx", "3xx", "4xx", "5xx"]
            .get(usize::from(answer.status().as_u16() / 100).wrapping_sub(1));
        counter!("iono_router_http_requests_total", "class" => *class.unwrap_or(&"other")).increment(1);
        Ok(answer)
    }

    async fn forward(&self, request: Request<Incoming>, peer: &Peer) -> Result<Response<Download>, Refusal> {
        let host = headers::host_of(&request).or_else(|reason| refuse(StatusCode::BAD_REQUEST, reason))?;
        if let Some(Some(name)) = &peer.tls
            && *name != host
            && !self.certificates.same(name, &host)
        {
            return refuse(StatusCode::MISDIRECTED_REQUEST, "this connection was opened for another host");
        }
        let Some(target) = self.table.host(&host) else {
            return refuse(StatusCode::NOT_FOUND, format!("nothing is deployed at {host}"));
        };
        if request.method() == Method::CONNECT {
            return refuse(StatusCode::METHOD_NOT_ALLOWED, "CONNECT is not served here");
        }
        let Ok(permit) = Arc::clone(&target.permits).try_acquire_owned() else {
            return refuse(StatusCode::SERVICE_UNAVAILABLE, "the service has too many requests under way");
        };
        let options = &target.options;
        if request.body().size_hint().lower() > options.max_body_size {
            let text = format!(
                "the body is larger than the {} bytes that the service allows",
                options.max_body_size
            );
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, text);
        }
        self.send(request, peer, &host, &target, permit).await
    }

    /// Sends the request to one replica after the other until one answers.
    async fn send(
        &self,
        mut request: Request<Incoming>,
        peer: &Peer,
        host: &str,
        target: &Target,
        permit: OwnedSemaphorePermit,
    ) -> Result<Response<Download>, Refusal> {
        let options = &target.options;
        let upgrade =
            headers::upgrade_of(request.headers()).filter(|_| request.version() == Version::HTTP_11);
        let client_side = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
        let (mut head, body) = request.into_parts();
        headers::strip_hop_by_hop(&mut head.headers);
        if !self.behind {
            headers::set_forwarded(&mut head.headers, peer.address.ip(), host, peer.tls.is_some());
        }
        if let Some(protocol) = upgrade {
            head.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            head.headers.insert(header::UPGRADE, protocol);
        }
        let host_field =
            HeaderValue::from_str(host).or_else(|_| refuse(StatusCode::BAD_REQUEST, "bad host"))?;
        head.headers.entry(header::HOST).or_insert(host_field);

        let upload = Upload::new(body, options.max_body_size, Duration::from_millis(options.send_timeout));
        let mut search = Search::new(self.limits.hold);
        let mut last =
            Refusal(StatusCode::SERVICE_UNAVAILABLE, "the service has no replica ready".to_owned());
        loop {
            let Some(replica) = search.next(&target.pool).await else { return Err(last) };
            let may_repeat = head.method.is_idempotent() && !upload.started();
            let more = may_try_more(target, &search);
            match self.attempt(&head, &upload, &replica, target).await {
                Ok(answer)
                    if more
                        && may_repeat
                        && !upload.started()
                        && options.retries_status(answer.status().as_u16()) =>
                {
                    last = Refusal(answer.status(), "every replica answered with an error".to_owned());
                }
                Ok(answer) => {
                    let hold = Hold { _replica: replica, _permit: permit };
                    return Ok(self.answer(answer, client_side, hold, options.read_timeout));
                }
                Err(_) if upload.too_large() => {
                    let text = format!(
                        "the body is larger than the {} bytes that the service allows",
                        options.max_body_size
                    );
                    return refuse(StatusCode::PAYLOAD_TOO_LARGE, text);
                }
                Err(failure) => {
                    let (again, case) = match &failure {
                        Failure::Connect(_) | Failure::Silent => (!upload.started(), RetryCase::Error),
                        Failure::Broken(_) => (may_repeat && !upload.started(), RetryCase::Error),
                        Failure::Timeout => (may_repeat && !upload.started(), RetryCase::Timeout),
                    };
                    if matches!(failure, Failure::Connect(_) | Failure::Silent) {
                        target.pool.failed(&replica.0);
                    }
                    if matches!(failure, Failure::Silent) {
                        search.was_silent(&replica.0);
                    }
                    last = failure.into();
                    let allowed = match case {
                        RetryCase::Error => !options.next_cases.contains(&RetryCase::Off),
                        other => options.retries(other),
                    };
                    if !(again && more && allowed) {
                        return Err(last);
                    }
                }
            }
            counter!("iono_router_http_retries_total").increment(1);
        }
    }

    async fn attempt(
        &self,
        head: &request::Parts,
        upload: &Arc<Upload>,
        replica: &InFlight,
        target: &Target,
    ) -> Result<Response<Incoming>, Failure> {
        let uri = headers::replica_uri(replica.0.ip, target.port, &head.uri)
            .map_err(|e| Failure::Broken(e.to_string()))?;
        let mut request = Request::new(upload.attempt());
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = head.headers.clone();
        upload.touch();
        tokio::select! {
            answer = self.client.request(request) => answer.map_err(|error| {
                match cause(&error) {
                    cause if !error.is_connect() => Failure::Broken(cause.to_string()),
                    cause if is_timeout(cause) => Failure::Silent,
                    cause => Failure::Connect(cause.to_string()),
                }
            }),
            () = upload.silent_for(Duration::from_millis(target.options.read_timeout)) => Err(Failure::Timeout),
        }
    }

    fn answer(
        &self,
        mut answer: Response<Incoming>,
        client_side: Option<OnUpgrade>,
        hold: Hold,
        read_timeout: u64,
    ) -> Response<Download> {
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            let Some(client_side) = client_side else {
                let mut refusal =
                    Response::new(Download::own("the service changed protocols unasked\n".to_owned()));
                *refusal.status_mut() = StatusCode::BAD_GATEWAY;
                return refusal;
            };
            let replica_side = hyper::upgrade::on(&mut answer);
            let idle = self.limits.idle;
            tokio::spawn(async move {
                let _hold = hold;
                if let (Ok(client), Ok(replica)) = tokio::join!(client_side, replica_side) {
                    tunnel::run(TokioIo::new(client), TokioIo::new(replica), idle).await;
                }
            });
            let (head, _) = answer.into_parts();
            return Response::from_parts(head, Download::own(String::new()));
        }
        let (mut head, body) = answer.into_parts();
        headers::strip_hop_by_hop(&mut head.headers);
        head.version = Version::default();
        Response::from_parts(head, Download::replica(body, Duration::from_millis(read_timeout), hold))
    }
}

fn may_try_more(target: &Target, search: &Search) -> bool {
    let options = &target.options;
    let tries = usize::try_from(options.next_tries).unwrap_or(usize::MAX);
    let in_time = options.next_timeout == 0 || search.elapsed() < Duration::from_millis(options.next_timeout);
    (tries == 0 || search.tries() < tries) && in_time
}

/// The innermost cause, which says what happened.
fn cause(error: &ClientError) -> &(dyn std::error::Error + 'static) {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause
}

/// Whether nothing came back: the connector's own deadline, or the kernel's.
fn is_timeout(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.is::<tokio::time::error::Elapsed>()
        || cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::TimedOut)
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Connect(why) => {
                Self(StatusCode::BAD_GATEWAY, format!("the service refused the connection: {why}"))
            }
            Failure::Broken(why) => {
                Self(StatusCode::BAD_GATEWAY, format!("the service broke the connection: {why}"))
            }
            Failure::Silent => Self(
                StatusCode::GATEWAY_TIMEOUT,
                "the service did not take the connection in time".to_owned(),
            ),
            Failure::Timeout => {
                Self(StatusCode::GATEWAY_TIMEOUT, "the service did not answer in time".to_owned())
            }
        }
    }
}
