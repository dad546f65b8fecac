//! What of `provider check` looks at names: those of the configuration, what they resolve to, and the certificates.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::{Checked, checked, failed, passed};
use iono_host::certificates;
use iono_host::config::Config;

/// Time for the name servers.
const PATIENCE: Duration = Duration::from_secs(10);
/// A name that no lease has, as good as any other below the domain.
const ANY: &str = "ionosphere-check";

/// All of them.
pub(super) async fn check(config: &Config, checks: &mut Vec<Checked>) {
    let public = &config.public;
    let examples = public.examples();
    if !examples.is_empty() {
        let keys = examples.join(" and ");
        let message = format!("{keys}: still the template's example; write this machine's own name");
        checks.push(failed("names", message));
    } else {
        checks.push(name("names: endpoint", public.endpoint_host(), public.endpoint_host()).await);
        let (shown, any) = (format!("*.{}", public.domain), format!("{ANY}.{}", public.domain));
        checks.push(name("names: domain", &shown, &any).await);
    }
    let found = certificates::inspect(config);
    if found.is_empty() {
        let message = "none: services are announced and answer over plain HTTP alone";
        checks.push(passed("certificates", message));
    }
    checks.extend(found.into_iter().map(|found| checked("certificates", found.state)));
}

async fn name(check: &'static str, shown: &str, host: &str) -> Checked {
    match resolve(host).await {
        Ok(addresses) => {
            let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            passed(check, format!("{shown} is {}", addresses.join(", ")))
        }
        Err(why) => {
            failed(check, format!("{shown} does not resolve ({why}); point it at this machine in the DNS"))
        }
    }
}

async fn resolve(host: &str) -> Result<BTreeSet<IpAddr>, String> {
    // Loopback by definition (RFC 6761); not every resolver knows it.
    if host == "localhost" || host.ends_with(".localhost") {
        return Ok([IpAddr::from([127, 0, 0, 1])].into());
    }
    let found = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host, 0))).await;
    let found = found.map_err(|_| format!("no answer within {} s", PATIENCE.as_secs()))?;
    Ok(found.map_err(|error| error.to_string())?.map(|address| address.ip()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use iono_host::config::Role;
    use iono_host::config::template::TEMPLATE;

    async fn checks(set: &[&str]) -> Vec<Checked> {
        let set: Vec<String> = set.iter().map(ToString::to_string).collect();
        let config = Config::parse(Role::Provider, "test", TEMPLATE, [], &set).unwrap();
        let mut checks = Vec::new();
        check(&config, &mut checks).await;
        checks
    }

    #[tokio::test]
    async fn the_templates_names_are_refused() {
        let found = checks(&[]).await;
        assert!(!found[0].ok && found[0].message.contains("public.endpoint and public.domain"), "{found:?}");
        let found = checks(&["public.endpoint=127.0.0.1:1"]).await;
        assert!(!found[0].ok && found[0].message.starts_with("public.domain:"), "{found:?}");
    }

    #[tokio::test]
    async fn names_are_resolved() {
        let local = ["public.endpoint=127.0.0.1:1", "public.domain=apps.localhost"];
        let found = checks(&local).await;
        assert_eq!(found[0].message, "127.0.0.1 is 127.0.0.1");
        assert_eq!(found[1].message, "*.apps.localhost is 127.0.0.1");
        assert!(found.iter().all(|check| check.ok), "{found:?}");
        // A name that cannot be: `.invalid` never resolves (RFC 2606).
        let found = checks(&["public.endpoint=127.0.0.1:1", "public.domain=apps.invalid"]).await;
        assert!(!found[1].ok && found[1].message.contains("*.apps.invalid does not resolve"), "{found:?}");
    }

    #[tokio::test]
    async fn a_certificate_that_is_not_there_is_missed() {
        let mut set = vec!["public.endpoint=127.0.0.1:1", "public.domain=apps.localhost"];
        set.extend(["public.certificate=/nowhere/a.crt", "public.certificate_key=/nowhere/a.key"]);
        let found = checks(&set).await;
        let last = found.last().unwrap();
        assert!(!last.ok && last.message.contains("cannot read /nowhere/a.crt"), "{last:?}");
    }
}
