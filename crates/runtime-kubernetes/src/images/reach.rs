//! Where a registry may be. A tenant names it, and this process stands inside the provider's network: without a bound it
//! would knock at whatever is there on a stranger's behalf.

use std::net::IpAddr;

use iono_runtime::isolation::is_private;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;

/// Redirects that are followed; registries use one or two.
const REDIRECTS: usize = 5;

/// Where a registry may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The provider's owner named it.
    Anywhere,
    /// At a public address.
    Internet,
}

/// A name or an address is not of the internet.
#[derive(Debug, thiserror::Error)]
#[error("{0} is on a private network; the provider's owner lets leases use it by `private_registries`")]
pub(super) struct Inside(pub(super) String);

impl Inside {
    /// The one behind a failed request, if that is why it failed.
    pub(super) fn behind(error: &reqwest::Error) -> Option<String> {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(inside) = error.downcast_ref::<Self>() {
                return Some(inside.to_string());
            }
            cause = error.source();
        }
        None
    }
}

/// Refuses what an address says without any name server.
///
/// # Errors
/// When it is a private address, or a name that stands for this machine.
pub(super) fn refuse_inside(url: &Url) -> Result<(), Inside> {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_inside =
        host == "localhost" || host.ends_with(".localhost") || bare.parse::<IpAddr>().is_ok_and(is_private);
    if is_inside { Err(Inside(host.to_owned())) } else { Ok(()) }
}

/// Follows redirects to where [`refuse_inside`] lets them.
pub(super) fn redirects() -> Policy {
    Policy::custom(|attempt| match refuse_inside(attempt.url()) {
        Err(inside) => attempt.error(inside),
        Ok(()) if attempt.previous().len() > REDIRECTS => attempt.error("too many redirects"),
        Ok(()) => attempt.follow(),
    })
}

/// Finds public addresses alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Internet;

impl Resolve for Internet {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let public: Vec<_> = found.into_iter().filter(|address| !is_private(address.ip())).collect();
            if public.is_empty() {
                return Err(Inside(name.as_str().to_owned()).into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_inside_are_refused_by_themselves() {
        let refused = |url: &str| refuse_inside(&url.parse().unwrap()).is_err();
        for inside in [
            "http://localhost:5000",
            "https://a.localhost",
            "https://10.0.0.1",
            "https://[::1]:5000",
            "https://2130706433",
        ] {
            assert!(refused(inside), "{inside}");
        }
        assert!(!refused("https://ghcr.io") && !refused("https://8.8.8.8"));
    }

    #[tokio::test]
    async fn names_of_what_is_inside_are_not_found() {
        let client = reqwest::Client::builder().dns_resolver(std::sync::Arc::new(Internet)).build().unwrap();
        let error = client.get("http://localhost:1/").send().await.unwrap_err();
        assert!(Inside::behind(&error).unwrap().contains("private_registries"));
    }
}
