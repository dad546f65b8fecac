//! Light nodes: where one finds its gateway, what a provider's gateway is like, and which of the two a file is for.

use std::net::SocketAddr;

use iono_primitives::{FizzId, ProviderId};
use serde::{Deserialize, Serialize};

use super::values::{Cores, Seconds};
use super::{Cap, Config, ConfigError, Engine};

/// Whose settings they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A provider's, which has a hot key and is reached from outside.
    Provider,
    /// A light node's, which has a gateway.
    Light,
}

impl Role {
    /// The program that reads them.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Light => "fizz",
        }
    }

    /// What variables that are settings begin with.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Provider => "IONO_PROVIDER__",
            Self::Light => "IONO_FIZZ__",
        }
    }
}

/// A light node's gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// `host:port` of its tunnel.
    pub address: String,
    /// The provider whose it is; the registry has its keys.
    pub provider: ProviderId,
    /// The light node's own number, as `iono fizz register` gave it.
    pub fizz: FizzId,
}

/// A provider's gateway for light nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subnet {
    /// Where light nodes connect.
    pub listen: SocketAddr,
    /// How long a light node may be out of reach before its leases are paused; they are not billed from when it was lost.
    #[serde(default = "pause_after")]
    pub pause_after: Seconds,
    /// Most light nodes that are asked for one order.
    #[serde(default = "ask")]
    pub ask: u8,
    /// What the registry counts for light nodes beside this provider's own machines: leases of both take from the sum.
    #[serde(default)]
    pub lends: Cap,
}

fn pause_after() -> Seconds {
    Seconds::secs(10)
}

fn ask() -> u8 {
    4
}

/// When a light node takes no new leases, for its owner's sake. What runs goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pause {
    /// While the machine runs on battery.
    pub on_battery: bool,
    /// While what its owner runs, in all sessions together, takes more than so many cores.
    pub owner_cores: Option<Cores>,
}

impl Config {
    /// Checks the sections that only one of the two programs has.
    pub(super) fn fits(&self, role: Role) -> Result<(), ConfigError> {
        let wrong = |key, why: &str| Err(ConfigError::Value { key, why: why.to_owned() });
        match role {
            Role::Provider if self.keys.is_none() => wrong("keys.hot_key", "name the hot key's file"),
            Role::Provider if self.gateway.is_some() => {
                wrong("gateway", "a light node has one; a provider that is one writes [subnet]")
            }
            Role::Provider => self.public.validate(),
            Role::Light if self.keys.is_some() => {
                wrong("keys", "a light node sends nothing to the chain; keep this key elsewhere")
            }
            Role::Light if self.subnet.is_some() => wrong("subnet", "a provider has one; leave it out"),
            Role::Light if self.runtime.engine != Engine::Docker => {
                wrong("runtime.engine", "a light node runs its leases on docker")
            }
            Role::Light => match &self.gateway {
                None => wrong(
                    "gateway.address",
                    "write the gateway's host:port, its provider and this node's number",
                ),
                Some(gateway) => gateway.validate(),
            },
        }
    }

    /// The hot key's files.
    ///
    /// # Errors
    /// [`ConfigError::Value`] when they are not named.
    pub fn keys(&self) -> Result<&super::Keys, ConfigError> {
        let why = || "name the hot key's file".to_owned();
        self.keys.as_ref().ok_or_else(|| ConfigError::Value { key: "keys.hot_key", why: why() })
    }
}

impl Gateway {
    fn validate(&self) -> Result<(), ConfigError> {
        let wrong = |key, why: &str| Err(ConfigError::Value { key, why: why.to_owned() });
        let port = self
            .address
            .rsplit_once(':')
            .and_then(|(host, port)| port.parse::<u16>().ok().filter(|port| *port != 0 && !host.is_empty()));
        if port.is_none() || self.address.len() > 260 {
            return wrong("gateway.address", "write host:port");
        }
        if self.provider.0 == 0 || self.fizz.0 == 0 {
            return wrong("gateway.fizz", "write the provider's and this node's number, both above zero");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::template::TEMPLATE;

    const LIGHT: &str = "
        data_dir = '/d'
        chain = { rpc = ['http://localhost'], address_book = '/b' }
        gateway = { address = 'gateway.test:7443', provider = 1, fizz = 2 }
        prices = { cpu = 0.01, memory = 0.002, storage = {} , gpu = {} }
    ";

    fn why(role: Role, text: &str, set: &[&str]) -> String {
        let set: Vec<String> = set.iter().map(ToString::to_string).collect();
        let parsed = Config::parse(role, "test", text, [], &set);
        parsed.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn each_program_has_sections_of_its_own() {
        assert_eq!(why(Role::Provider, TEMPLATE, &["subnet.listen=\"0.0.0.0:7443\""]), "");
        assert_eq!(why(Role::Light, LIGHT, &[]), "");
        for (role, text, set, said) in [
            (Role::Provider, LIGHT, vec![], "keys.hot_key"),
            (Role::Light, TEMPLATE, vec![], "keys: a light node sends nothing"),
            (Role::Light, LIGHT, vec!["subnet.listen=\"0.0.0.0:7443\""], "subnet"),
            (Role::Light, LIGHT, vec!["runtime.engine=kubernetes"], "docker"),
            (Role::Light, LIGHT, vec!["gateway.address=gateway"], "host:port"),
            (Role::Light, LIGHT, vec!["gateway.fizz=0"], "above zero"),
        ] {
            let why = why(role, text, &set);
            assert!(why.contains(said), "{said}: {why}");
        }
        let both = ["gateway={address=\"a:1\",provider=1,fizz=1}"];
        assert!(why(Role::Provider, TEMPLATE, &both).contains("[subnet]"));
    }

    #[test]
    fn variables_of_the_other_program_do_not_count() {
        let variable = |name: &str| vec![(name.to_owned(), "7".to_owned())];
        let fizz = |name| {
            Config::parse(Role::Light, "test", LIGHT, variable(name), &[]).unwrap().gateway.unwrap().fizz
        };
        assert_eq!(fizz("IONO_FIZZ__GATEWAY__FIZZ"), FizzId(7));
        assert_eq!(fizz("IONO_PROVIDER__GATEWAY__FIZZ"), FizzId(2));
    }
}
