//! Docker as the settings describe it.

use anyhow::Result;
use iono_runtime::Vault;
use iono_runtime_docker::{DockerConfig, Egress};

use crate::config::{self, Config};

/// What the engine of this machine is started with.
///
/// # Errors
/// When `runtime.addresses` is no block of addresses.
pub fn docker(config: &Config, vault: Vault) -> Result<DockerConfig> {
    let runtime = &config.runtime;
    Ok(DockerConfig {
        socket: runtime.docker.clone(),
        addresses: runtime.addresses.parse()?,
        dns: runtime.dns.clone(),
        egress: match runtime.egress {
            config::Egress::Guard => Egress::Guard,
            config::Egress::External => Egress::External,
        },
        ..DockerConfig::new(vault, config.engine_dir())
    })
}
