//! Replicas on loopback addresses of their own, and a plain client.

#![allow(dead_code, reason = "each test file uses its part")]

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use iono_primitives::LeaseId;
use iono_router::{HttpOptions, Limits, Route, Router, RouterConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const LEASE: LeaseId = LeaseId(7);
pub(crate) const HOST: &str = "app.example";

/// A replica that answers with its name, the request's line, headers and body.
pub(crate) struct Replica {
    pub(crate) ip: IpAddr,
    pub(crate) port: u16,
    pub(crate) requests: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An address of 127/8 that no other test of this process uses.
pub(crate) fn next_ip() -> IpAddr {
    static NEXT: AtomicU8 = AtomicU8::new(10);
    let [a, b] = (std::process::id() as u16).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, a.max(1), b, NEXT.fetch_add(1, SeqCst)))
}

async fn answer(name: &str, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let delay = head.uri.path().strip_prefix("/sleep/").and_then(|ms| ms.parse().ok());
    if let Some(ms) = delay {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let mut text = format!("{name} {} {}\n", head.method, head.uri);
    for (name, value) in &head.headers {
        text += &format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()));
    }
    text += &format!("\n{}", String::from_utf8_lossy(&body));
    let mut response = Response::new(Full::from(text));
    if let Some(status) = head.uri.path().strip_prefix(&format!("/status/{name}/")) {
        *response.status_mut() = status.parse().unwrap();
    }
    response
}

impl Replica {
    pub(crate) async fn start(name: &'static str, ip: IpAddr, port: u16) -> Self {
        Self::serve(name, TcpListener::bind((ip, port)).await.unwrap())
    }

    /// Answers what comes to a listener.
    pub(crate) fn serve(name: &'static str, listener: TcpListener) -> Self {
        let (ip, port) = listener.local_addr().map(|local| (local.ip(), local.port())).unwrap();
        let requests = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let count = Arc::clone(&count);
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        count.fetch_add(1, SeqCst);
                        async move { Ok::<_, Infallible>(answer(name, request).await) }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { ip, port, requests, task }
    }

    pub(crate) fn seen(&self) -> u64 {
        self.requests.load(SeqCst)
    }
}

pub(crate) fn host_route(host: &str, port: u16, options: HttpOptions) -> Route {
    Route::Host { host: host.to_owned(), service: "web".to_owned(), port, options }
}

pub(crate) fn limits() -> Limits {
    Limits {
        hold: Duration::from_millis(300),
        connect_timeout: Duration::from_millis(500),
        ..Limits::default()
    }
}

/// A router with one host that leads to `replicas`.
pub(crate) async fn router(limits: Limits, options: HttpOptions, port: u16, replicas: &[IpAddr]) -> Router {
    let any = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let ports_on = Ipv4Addr::LOCALHOST.into();
    let router =
        Router::start(RouterConfig { http: any, https: any, ports_on, limits, behind: false }).await.unwrap();
    router.set_routes(LEASE, vec![host_route(HOST, port, options)]).await.unwrap();
    router.switch(LEASE, "web", replicas, Duration::ZERO).await;
    router
}

/// Sends bytes as they are and reads until the end.
pub(crate) async fn raw(router: &Router, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(router.http_address().unwrap()).await.unwrap();
    // A router that refuses early may close before all is written.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

pub(crate) async fn get(router: &Router, path: &str) -> String {
    raw(router, format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n").as_bytes()).await
}

pub(crate) fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}
