//! The `[public]` section and the `[[certificate]]` tables: what the outside is told of this provider, and under which
//! names it is reached.

use std::collections::BTreeSet;
use std::path::PathBuf;

use iono_primitives::Region;
use iono_primitives::attributes::{Compliance, Compute, Connectivity};
use serde::{Deserialize, Serialize};

use super::ConfigError;

/// What the registry says of this provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Public {
    /// `host:port` under which tenants reach the lease API.
    pub endpoint: String,
    /// Domain whose `*.domain` points here; services get `<service>-<lease>.<domain>`.
    pub domain: String,
    /// Port that `http` is reached under from outside, where it differs from the listening one.
    #[serde(default)]
    pub http_port: Option<u16>,
    /// Port that `https` is reached under from outside, where it differs from the listening one.
    #[serde(default)]
    pub https_port: Option<u16>,
    /// PEM file with the certificate chain for `*.domain`; without one services answer over plain HTTP alone.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// PEM file with its key.
    #[serde(default)]
    pub certificate_key: Option<PathBuf>,
    /// Where the machine stands.
    #[serde(default)]
    pub region: Region,
    /// Ids of the payment tokens that are taken.
    #[serde(default = "token")]
    pub tokens: Vec<u16>,
    /// Compute tier (SP-5) by the owner's word; as it is measured when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compute: Option<Compute>,
    /// Connectivity tier: the owner's word as well.
    #[serde(default = "low")]
    pub connectivity: Connectivity,
    /// Standards that the operation is audited for.
    #[serde(default)]
    pub compliance: BTreeSet<Compliance>,
}

/// The certificate of a tenant's own host name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostCertificate {
    /// The name, or `*.name` for all one level below it.
    pub host: String,
    /// PEM file with the certificate chain.
    pub chain: PathBuf,
    /// PEM file with its key.
    pub key: PathBuf,
}

impl Default for Public {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            domain: String::new(),
            http_port: None,
            https_port: None,
            certificate: None,
            certificate_key: None,
            region: Region::default(),
            tokens: token(),
            compute: None,
            connectivity: low(),
            compliance: BTreeSet::new(),
        }
    }
}

fn token() -> Vec<u16> {
    vec![0]
}
/// The floor, which any line reaches.
fn low() -> Connectivity {
    Connectivity::Low
}

fn wrong(key: &'static str, why: &str) -> Result<(), ConfigError> {
    Err(ConfigError::Value { key, why: why.to_owned() })
}

/// Whether it is a lower-case DNS name.
fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !label.is_empty() && label.len() <= 63 && label.bytes().all(known)
    };
    name.len() <= 253 && name.split('.').all(label)
}

impl Public {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.certificate.is_some() != self.certificate_key.is_some() {
            return wrong("public.certificate", "name both the certificate and its key, or none");
        }
        let port = self.endpoint.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if self.endpoint.len() > 128 || port.is_none_or(|port| port == 0) {
            return wrong("public.endpoint", "write host:port, at most 128 bytes");
        }
        if self.domain.len() > 180 || !is_name(&self.domain) {
            return wrong("public.domain", "write a lower-case DNS name, such as apps.example.org");
        }
        if self.tokens.is_empty() || self.tokens.iter().any(|id| *id >= 48) {
            return wrong("public.tokens", "name at least one token id between 0 and 47");
        }
        Ok(())
    }

    /// The endpoint's host: a name or an address.
    #[must_use]
    pub fn endpoint_host(&self) -> &str {
        let host = self.endpoint.rsplit_once(':').map_or("", |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The keys that still hold a name that is reserved for examples (RFC 2606), as the written template does: tenants
    /// would be sent to nobody.
    #[must_use]
    pub fn examples(&self) -> Vec<&'static str> {
        let names = [("public.endpoint", self.endpoint_host()), ("public.domain", &self.domain)];
        names.into_iter().filter(|(_, name)| is_example(name)).map(|(key, _)| key).collect()
    }
}

fn is_example(name: &str) -> bool {
    let reserved = ["example", "example.org", "example.com", "example.net"];
    reserved.iter().any(|reserved| {
        name.strip_suffix(reserved).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

impl HostCertificate {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if is_name(self.host.strip_prefix("*.").unwrap_or(&self.host)) {
            return Ok(());
        }
        wrong("certificate.host", "write a lower-case DNS name, or *. and one")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::template::TEMPLATE;
    use crate::config::{Config, Role};

    #[test]
    fn the_templates_names_are_examples_and_real_ones_are_not() {
        let config: Config = toml::from_str(TEMPLATE).unwrap();
        assert_eq!(config.public.examples(), ["public.endpoint", "public.domain"]);
        let with = |endpoint: &str, domain: &str| Public {
            endpoint: endpoint.to_owned(),
            domain: domain.to_owned(),
            ..config.public.clone()
        };
        assert!(with("[2001:db8::7]:8443", "myexample.org").examples().is_empty());
        assert_eq!(with("[2001:db8::7]:8443", "a.b").endpoint_host(), "2001:db8::7");
        assert_eq!(with("203.0.113.7:1", "apps.example").examples(), ["public.domain"]);
    }

    #[test]
    fn certificates_of_hosts_are_tables() {
        let table = "[[certificate]]\nhost = '*.shop.test'\nchain = '/c'\nkey = '/k'\n";
        let config =
            Config::parse(Role::Provider, "t", &format!("{TEMPLATE}\n{table}{table}"), [], &[]).unwrap();
        assert_eq!(config.certificates.len(), 2);
        assert_eq!(config.certificates[0].host, "*.shop.test");
        let unknown = format!("{TEMPLATE}\n{table}port = 1\n");
        assert!(
            Config::parse(Role::Provider, "t", &unknown, [], &[]).unwrap_err().to_string().contains("port")
        );
    }
}
