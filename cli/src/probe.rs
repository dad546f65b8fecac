//! Asks a workload's URL whether it answers. Nothing secret is sent and nothing of the answer is used but its status,
//! so any certificate will do.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use url::{Host, Url};

use crate::error::{Context, Kind, Result};

/// For one answer.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Asks URLs.
pub(crate) struct Probe {
    client: reqwest::Client,
}

impl Probe {
    /// For the given URLs. `*.localhost` is this machine by RFC 6761, which not every resolver knows.
    pub(crate) fn new(urls: &[Url]) -> Result<Self> {
        let mut builder = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .danger_accept_invalid_certs(true);
        for url in urls {
            if let Some(Host::Domain(host)) = url.host()
                && (host == "localhost" || host.ends_with(".localhost"))
            {
                builder = builder.resolve(host, SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0));
            }
        }
        Ok(Self { client: builder.build().or_fail(Kind::Failed, "cannot make an HTTP client")? })
    }

    /// The status with which a URL answers; `None` while nobody does, or only the router for a service that is not
    /// there yet.
    pub(crate) async fn status(&self, url: &Url) -> Option<u16> {
        let status = self.client.get(url.clone()).send().await.ok()?.status().as_u16();
        (!matches!(status, 502..=504)).then_some(status)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_router_without_service_does_not_count_as_an_answer() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            for status in ["503 Busy", "404 Not Found"] {
                let (mut socket, _) = listener.accept().await.unwrap();
                let _ = socket.read(&mut [0; 1024]).await.unwrap();
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                socket.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let url: Url = format!("http://web-1.localhost:{port}/").parse().unwrap();
        let probe = Probe::new(std::slice::from_ref(&url)).unwrap();
        assert_eq!(probe.status(&url).await, None);
        assert_eq!(probe.status(&url).await, Some(404));
        assert_eq!(probe.status(&url).await, None, "nobody is there any more");
    }
}
