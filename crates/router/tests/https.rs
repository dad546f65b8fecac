//! TLS by host name, HTTP/2, and connections that are used for another host.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::{HOST, LEASE, Replica, host_route, limits, next_ip, router};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use iono_router::{Certificate, HttpOptions, Router};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

struct Made {
    chain: String,
    key: String,
}

impl Made {
    fn parsed(&self) -> Certificate {
        Certificate::parse(self.chain.as_bytes(), self.key.as_bytes()).unwrap()
    }
}

fn make(names: &[&str]) -> Made {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    Made { chain: made.cert.pem(), key: made.signing_key.serialize_pem() }
}

/// The status and body of a request over HTTP/2 on a connection that was opened for `name`; trusts `made` alone.
async fn ask(router: &Router, made: &Made, name: &str, host: &str) -> Result<(u16, String), std::io::Error> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(made.chain.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(router.https_address().unwrap()).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let tls = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get(format!("https://{host}/")).body(Empty::<Bytes>::new()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

#[tokio::test]
async fn serves_each_host_with_its_certificate() {
    let replica = Replica::start("a", next_ip(), 0).await;
    let router = router(limits(), HttpOptions::default(), replica.port, &[replica.ip]).await;
    let second = host_route("b.example", replica.port, HttpOptions::default());
    let own = host_route("own.org", replica.port, HttpOptions::default());
    let first = host_route(HOST, replica.port, HttpOptions::default());
    router.set_routes(LEASE, vec![first, second, own]).await.unwrap();
    let (shared, tenant) = (make(&[HOST, "b.example"]), make(&["own.org"]));
    router.certificates().set_default(shared.parsed());
    router.certificates().set("own.org", tenant.parsed());
    assert!(router.is_secure(HOST) && router.is_secure("own.org") && !router.is_secure("third.org"));
    let (status, body) = ask(&router, &shared, HOST, HOST).await.unwrap();
    assert!(
        status == 200 && body.contains("x-forwarded-proto: https") && body.contains("host: app.example"),
        "{body}"
    );
    assert_eq!(ask(&router, &tenant, "own.org", "own.org").await.unwrap().0, 200);
    assert!(ask(&router, &shared, "own.org", "own.org").await.is_err());
    // One connection may serve all hosts of one certificate, and no others.
    assert_eq!(ask(&router, &shared, HOST, "b.example").await.unwrap().0, 200);
    assert_eq!(ask(&router, &shared, HOST, "own.org").await.unwrap().0, 421);
    // A renewed certificate holds from the next handshake on.
    let renewed = make(&["own.org"]);
    router.certificates().set("own.org", renewed.parsed());
    assert!(ask(&router, &tenant, "own.org", "own.org").await.is_err());
    assert_eq!(ask(&router, &renewed, "own.org", "own.org").await.unwrap().0, 200);
}
