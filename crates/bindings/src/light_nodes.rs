//! All light nodes of the registry, by pages (SP-35).

use alloy::eips::BlockId;
use alloy::primitives::U256;
use alloy::providers::Provider;

use crate::Fizz;
use crate::IFizzRegistry::IFizzRegistryInstance;

/// Light nodes in one answer of 224 bytes each, 45 kB in all.
const PAGE: u32 = 200;

/// What `pick` makes of each light node at block `at`, by id. One whose proposal was taken back is among them, with the
/// state None.
///
/// # Errors
/// When the registry cannot be read; a block that the RPC does not have is one of the reasons.
pub async fn light_nodes<P: Provider, T>(
    registry: &IFizzRegistryInstance<P>,
    at: BlockId,
    mut pick: impl FnMut(u32, Fizz) -> Option<T>,
) -> Result<Vec<T>, alloy::contract::Error> {
    let mut picked = Vec::new();
    for first in (1..=u32::MAX).step_by(PAGE as usize) {
        let page = registry.nodesFrom(U256::from(first), U256::from(PAGE)).block(at).call().await?;
        let is_last = page.len() < PAGE as usize;
        picked.extend((first..).zip(page).filter_map(|(id, node)| pick(id, node)));
        if is_last {
            break;
        }
    }
    Ok(picked)
}
