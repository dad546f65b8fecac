//! From the confirmed lease to the answering workload: the manifest goes to the provider, its replicas come up, its
//! URLs answer.

use std::time::{Duration, Instant};

use iono_lease_api::{
    ClientError, LeaseStatus, ManifestReceipt, PausedReason, SaltedManifest, ServiceStatus,
};
use iono_primitives::LeaseState;
use serde::Serialize;
use url::Url;

use super::Run;
use crate::error::Result;
use crate::holdings::lease_words;
use crate::probe::Probe;
use crate::remote::{self, Remote};

/// How often the provider is asked for the state; the first answer is what people wait for.
const POLL: Duration = Duration::from_millis(50);
/// How often a URL is tried.
const PROBE: Duration = Duration::from_millis(10);
/// How long the provider may take to see the lease that it has confirmed.
const SEEN: Duration = Duration::from_secs(60);
/// Between two attempts to send the manifest.
const AGAIN: Duration = Duration::from_millis(300);

/// Where the workload is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Running {
    pub(crate) urls: Vec<String>,
    pub(crate) ports: Vec<Port>,
    pub(crate) ips: Vec<String>,
}

/// A public port and what is behind it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Port {
    pub(crate) service: String,
    pub(crate) container_port: u16,
    pub(crate) protocol: String,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Running {
    /// What a provider's status says.
    pub(crate) fn of(services: &[ServiceStatus]) -> Self {
        let ports = services.iter().flat_map(|service| {
            service.ports.iter().map(|port| Port {
                service: service.name.clone(),
                container_port: port.container_port,
                protocol: port.protocol.clone(),
                host: port.host.clone(),
                port: port.port,
            })
        });
        Self {
            urls: services.iter().flat_map(|service| service.urls.clone()).collect(),
            ports: ports.collect(),
            ips: services.iter().flat_map(|service| service.ips.clone()).collect(),
        }
    }
}

/// Sends a manifest; a provider that has not yet seen its own confirmation gets some time.
pub(crate) async fn send(remote: &Remote, manifest: &SaltedManifest) -> Result<ManifestReceipt> {
    let deadline = Instant::now() + SEEN;
    loop {
        match remote.client.put_manifest(remote.lease, manifest).await {
            Ok(receipt) => return Ok(receipt),
            Err(error) if Instant::now() < deadline && early(&error) => tokio::time::sleep(AGAIN).await,
            Err(error) => return Err(remote::failure("the provider did not take the manifest", error)),
        }
    }
}

/// The provider may only be behind the chain.
fn early(error: &ClientError) -> bool {
    error.is_transient() || matches!(error.code(), Some("unknown_lease" | "lease_pending" | "not_active"))
}

impl Run<'_> {
    /// Sends the manifest and waits until everything serves.
    pub(super) async fn start(&mut self, remote: &Remote, manifest: &SaltedManifest) -> Result<Running> {
        self.progress.wait("sending the manifest");
        let begun = Instant::now();
        send(remote, manifest).await?;
        self.seconds.manifest = self.clock();
        self.progress.done("the provider has the manifest");
        let mut answered = false;
        loop {
            if let Some(status) = self.look(remote, manifest).await? {
                let running = Running::of(&status.services);
                if !answered && let Some(url) = running.urls.first().and_then(|url| url.parse::<Url>().ok()) {
                    answered = self.first_answer(&url).await?;
                    if answered {
                        self.seconds.manifest_to_http = Some(begun.elapsed().as_secs_f64());
                    }
                }
                if serves(&status)
                    && (answered || running.urls.is_empty())
                    && self.rest_answer(&running).await?
                {
                    self.seconds.ready = self.clock();
                    let what = running
                        .urls
                        .first()
                        .map_or("everything runs".to_owned(), |url| format!("{url} answers"));
                    self.progress.done(&what);
                    return Ok(running);
                }
            }
            self.in_time("the workload")?;
            tokio::time::sleep(POLL).await;
        }
    }

    /// The provider's view; `None` while it cannot be asked. A lease that closed ends the wait.
    async fn look(&self, remote: &Remote, manifest: &SaltedManifest) -> Result<Option<LeaseStatus>> {
        match remote.client.status(remote.lease).await {
            Ok(status) => {
                if status.state == LeaseState::Closed {
                    let words = lease_words(self.chain, remote.lease.0).await?;
                    return Err(self.closed(remote.lease.0, &words).await);
                }
                if status.paused_reason == Some(PausedReason::AwaitingManifest) {
                    send(remote, manifest).await?;
                }
                self.progress.wait(&summary(&status.services));
                Ok(Some(status))
            }
            Err(error) if early(&error) => {
                let words = lease_words(self.chain, remote.lease.0).await?;
                if words.lease_state() == Some(LeaseState::Closed) {
                    return Err(self.closed(remote.lease.0, &words).await);
                }
                Ok(None)
            }
            Err(error) => Err(remote::failure("the provider does not say how the lease is", error)),
        }
    }

    /// Tries the first URL in quick succession for a moment.
    async fn first_answer(&self, url: &Url) -> Result<bool> {
        let probe = Probe::new(std::slice::from_ref(url))?;
        let until = Instant::now() + Duration::from_secs(1);
        while Instant::now() < until {
            if probe.status(url).await.is_some() {
                return Ok(true);
            }
            tokio::time::sleep(PROBE).await;
        }
        Ok(false)
    }

    /// All other URLs, once.
    async fn rest_answer(&self, running: &Running) -> Result<bool> {
        let urls: Vec<Url> = running.urls.iter().skip(1).filter_map(|url| url.parse().ok()).collect();
        let probe = Probe::new(&urls)?;
        for url in &urls {
            // A name of the tenant's own may not lead to the provider yet: that is for the tenant to arrange.
            if url.host_str().is_some_and(|host| !own_name(host, running)) {
                continue;
            }
            if probe.status(url).await.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether a host lies in the same domain as the first URL's, which the provider gave.
fn own_name(host: &str, running: &Running) -> bool {
    let first = running.urls.first().and_then(|url| url.parse::<Url>().ok());
    let domain =
        first.as_ref().and_then(|url| url.host_str()?.split_once('.').map(|(_, domain)| domain.to_owned()));
    domain.is_some_and(|domain| host.ends_with(&format!(".{domain}")))
}

fn serves(status: &LeaseStatus) -> bool {
    !status.services.is_empty() && status.services.iter().all(|service| service.ready >= service.desired)
}

fn summary(services: &[ServiceStatus]) -> String {
    if services.is_empty() {
        return "waiting for the containers".to_owned();
    }
    let parts = services.iter().map(|service| {
        let exit = service
            .last_exit
            .as_ref()
            .map(|exit| format!(" (ended before: {})", exit.reason))
            .unwrap_or_default();
        format!("{} {}/{}{exit}", service.name, service.ready, service.desired)
    });
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(desired: u32, ready: u32) -> ServiceStatus {
        ServiceStatus {
            name: "web".into(),
            desired,
            ready,
            restarts: 0,
            last_exit: None,
            urls: vec!["http://web-1.apps.example/".into()],
            ports: Vec::new(),
            ips: Vec::new(),
            replicas: Vec::new(),
        }
    }

    #[test]
    fn only_all_replicas_of_all_services_serve() {
        let status = |services| LeaseStatus {
            lease: iono_primitives::LeaseId(1),
            state: LeaseState::Active,
            close_reason: None,
            paused_reason: None,
            started_at: None,
            ends_at: None,
            seconds_left: 0,
            manifest_hash: None,
            services,
            warnings: Vec::new(),
        };
        assert!(!serves(&status(Vec::new())));
        assert!(!serves(&status(vec![service(1, 1), service(2, 1)])));
        assert!(serves(&status(vec![service(1, 1), service(2, 2)])));
    }

    #[test]
    fn names_of_the_tenant_are_not_waited_for() {
        let running = Running::of(&[service(1, 1)]);
        assert!(own_name("web-80-1.apps.example", &running));
        assert!(!own_name("www.tenant.example", &running));
    }
}
