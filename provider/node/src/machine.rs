//! What of this machine, or of the cluster, can be offered (SP-31), as a command sees it.

use alloy::primitives::Address;
use anyhow::Result;
use iono_host::capacity::{Offer, cluster};
use iono_host::config::{Config, Engine};
use iono_host::machine;
pub use iono_host::machine::Seen;
use iono_primitives::ProviderId;
use iono_runtime::{Owner, Vault};

use crate::backend;

/// Looks at this machine and, where it has cards, asks the engine whether it can assign them; or at the cluster.
///
/// # Errors
/// When the machine cannot be measured, or the cluster cannot be asked.
pub async fn look(config: &Config) -> Result<Seen> {
    if config.runtime.engine == Engine::Docker {
        return machine::look(config).await;
    }
    // Only what runs there already has an owner, and that is not asked about.
    let nobody = Owner { chain_id: 0, registry: Address::ZERO, provider: ProviderId(0) };
    let runtime = backend::open(config, Vault::new(&[0; 32], nobody)).await?;
    let machines = runtime.machines().await?.unwrap_or_default();
    let all = cluster::offer(&machines, &config.runtime.kubernetes);
    Ok(Seen { this: None, offer: Offer::of(all, &config.reserve, &config.offer), unknown: None })
}
