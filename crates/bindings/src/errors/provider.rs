//! Words for what the registry of providers, their stakes and the foundation's delegations refuse.

use alloy::sol_types::SolInterface as _;

use super::{Explained, plain, say};
use crate::generated::{IFoundationDelegation, IProviderRegistry, IStakingManager};

pub(super) fn words(data: &[u8]) -> Option<Explained> {
    provider_registry(data).or_else(|| staking(data)).or_else(|| foundation(data))
}

fn provider_registry(data: &[u8]) -> Option<Explained> {
    use IProviderRegistry::IProviderRegistryErrors as E;
    Some(match E::abi_decode(data).ok()? {
        E::ProviderRegistry_NotOwner(e) => say(
            "ProviderRegistry_NotOwner",
            format!("{} does not own provider {}", e.caller, e.provider),
            "use the owner's key, not the hot key",
        ),
        E::ProviderRegistry_NotHotKey(e) => say(
            "ProviderRegistry_NotHotKey",
            format!("{} is not the hot key of provider {}", e.caller, e.provider),
            "",
        ),
        E::ProviderRegistry_HotKeyTaken(e) => say(
            "ProviderRegistry_HotKeyTaken",
            format!("{} is another provider's hot key already, or admits another owner only", e.hotKey),
            "make a key for each provider; if a stranger registered yours, `provider admit OWNER` on its machine takes it back",
        ),
        E::ProviderRegistry_UnknownProvider(e) => {
            say("ProviderRegistry_UnknownProvider", format!("there is no provider {}", e.provider), "")
        }
        E::ProviderRegistry_BadRecord(e) => {
            say("ProviderRegistry_BadRecord", format!("the provider's record is refused: {}", e.what), "")
        }
        other => plain(&other),
    })
}

fn staking(data: &[u8]) -> Option<Explained> {
    use IStakingManager::IStakingManagerErrors as E;
    Some(match E::abi_decode(data).ok()? {
        E::StakingManager_NotOwner(e) => say(
            "StakingManager_NotOwner",
            format!("{} does not own provider {}", e.caller, e.provider),
            "others may delegate instead",
        ),
        E::StakingManager_StillUnbonding(e) => say(
            "StakingManager_StillUnbonding",
            format!("request {} unbonds until {} (unix seconds)", e.request, e.until),
            "wait until then",
        ),
        E::StakingManager_InsufficientShares(e) => say(
            "StakingManager_InsufficientShares",
            format!("{} shares are held and {} asked for", e.have, e.need),
            "",
        ),
        E::StakingManager_UnknownProvider(e) => say(
            "StakingManager_UnknownProvider",
            format!("there is no provider {}", e.provider),
            "register first",
        ),
        E::StakingManager_EraNotOver(e) => say(
            "StakingManager_EraNotOver",
            format!("what was held in era {} is known once it is over, and it is era {}", e.era, e.current),
            "ask for an earlier era",
        ),
        other => plain(&other),
    })
}

fn foundation(data: &[u8]) -> Option<Explained> {
    use IFoundationDelegation::IFoundationDelegationErrors as E;
    Some(match E::abi_decode(data).ok()? {
        E::FoundationDelegation_NotFoundation(e) => say(
            "FoundationDelegation_NotFoundation",
            format!("{} is not the foundation", e.caller),
            "others delegate with `iono stake delegate`",
        ),
        E::FoundationDelegation_Committed(e) => say(
            "FoundationDelegation_Committed",
            format!(
                "provider {} has leased {} bp of its capacity, below {} bp, and the promise to it holds until {} (unix seconds)",
                e.provider, e.utilisation, e.threshold, e.committedUntil
            ),
            "wait for either",
        ),
        other => plain(&other),
    })
}
