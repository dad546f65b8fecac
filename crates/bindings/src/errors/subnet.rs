//! Words for what the registry of light nodes and the votes of subnets refuse.

use alloy::sol_types::SolInterface as _;

use super::{Explained, plain, say};
use crate::generated::{IFizzRegistry, ISubnetGovernor};

pub(super) fn words(data: &[u8]) -> Option<Explained> {
    registry(data).or_else(|| governor(data))
}

fn registry(data: &[u8]) -> Option<Explained> {
    use IFizzRegistry::IFizzRegistryErrors as E;
    Some(match E::abi_decode(data).ok()? {
        E::FizzRegistry_NotOwner(e) => say(
            "FizzRegistry_NotOwner",
            format!("{} does not own light node {}", e.caller, e.fizz),
            "use the key that registered it",
        ),
        E::FizzRegistry_NotProvider(e) => say(
            "FizzRegistry_NotProvider",
            format!("{} neither owns provider {} nor is its hot key", e.caller, e.provider),
            "",
        ),
        E::FizzRegistry_NoSubnet(e) => say(
            "FizzRegistry_NoSubnet",
            format!("provider {} has no subnet of light nodes", e.provider),
            "its owner founds one first",
        ),
        E::FizzRegistry_Founded(e) => say(
            "FizzRegistry_Founded",
            format!("provider {} has founded its subnet already", e.provider),
            "its terms change by vote",
        ),
        E::FizzRegistry_Expelled(e) => say(
            "FizzRegistry_Expelled",
            format!("{} is expelled from the subnet of provider {}", e.member, e.provider),
            "join another subnet, or ask its members for a vote on readmission",
        ),
        E::FizzRegistry_BadTerms(e) => {
            say("FizzRegistry_BadTerms", format!("a subnet cannot have these terms: {}", e.what), "")
        }
        E::FizzRegistry_BadRecord(e) => {
            say("FizzRegistry_BadRecord", format!("the light node's record is refused: {}", e.what), "")
        }
        E::FizzRegistry_BadShare(e) => say(
            "FizzRegistry_BadShare",
            format!("a share of at least {} bp is asked for, and {} bp is the most", e.asked, e.given),
            "ask for less",
        ),
        other => plain(&other),
    })
}

fn governor(data: &[u8]) -> Option<Explained> {
    use ISubnetGovernor::ISubnetGovernorErrors as E;
    Some(match E::abi_decode(data).ok()? {
        E::SubnetGovernor_TooFewShares(e) => say(
            "SubnetGovernor_TooFewShares",
            format!(
                "{} shares of the provider's pool were held before the proposal's era, and {} are needed",
                e.held, e.needed
            ),
            "stake counts in votes from the era after it came",
        ),
        E::SubnetGovernor_OneAtATime(e) => say(
            "SubnetGovernor_OneAtATime",
            format!("your last proposal is voted on until {} (unix seconds)", e.closes),
            "wait until then",
        ),
        E::SubnetGovernor_VoteClosed(e) => say(
            "SubnetGovernor_VoteClosed",
            format!("the vote on proposal {} closed at {} (unix seconds)", e.proposal, e.closes),
            "",
        ),
        E::SubnetGovernor_HasVoted(e) => {
            say("SubnetGovernor_HasVoted", format!("{} has voted on proposal {}", e.voter, e.proposal), "")
        }
        E::SubnetGovernor_StillOpen(e) => say(
            "SubnetGovernor_StillOpen",
            format!("proposal {} is voted on until {} (unix seconds)", e.proposal, e.closes),
            "execute it afterwards",
        ),
        E::SubnetGovernor_Expired(e) => say(
            "SubnetGovernor_Expired",
            format!("proposal {} could be executed until {} (unix seconds)", e.proposal, e.until),
            "propose it anew",
        ),
        E::SubnetGovernor_NotPassed(e) => say(
            "SubnetGovernor_NotPassed",
            format!(
                "proposal {} has {} yes against {} no, and needs more yes than no and at least {}",
                e.proposal, e.yes, e.no, e.quorum
            ),
            "",
        ),
        E::SubnetGovernor_Superseded(e) => say(
            "SubnetGovernor_Superseded",
            format!("proposal {} decided the same anew after proposal {}", e.by, e.proposal),
            "",
        ),
        other => plain(&other),
    })
}
