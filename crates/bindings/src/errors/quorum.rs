//! Words for what the operators' contracts refuse.

use alloy::sol_types::SolInterface as _;

use super::{Explained, plain, say};
use crate::generated::{IMatchTaskManager, IOperatorRegistry};

pub(super) fn words(data: &[u8]) -> Option<Explained> {
    registry(data).or_else(|| tasks(data))
}

fn registry(data: &[u8]) -> Option<Explained> {
    use IOperatorRegistry::IOperatorRegistryErrors as E;
    Some(match E::abi_decode(data).ok()? {
        E::OperatorRegistry_NotOwner(e) => say(
            "OperatorRegistry_NotOwner",
            format!("{} does not own operator {}", e.caller, e.operator),
            "use the key that registered it",
        ),
        E::OperatorRegistry_Unknown(e) => {
            say("OperatorRegistry_Unknown", format!("there is no operator {}", e.operator), "")
        }
        E::OperatorRegistry_KeyTaken(e) => say(
            "OperatorRegistry_KeyTaken",
            format!("this BLS key is that of operator {}", e.operator),
            "each operator needs a key of its own",
        ),
        E::OperatorRegistry_BadProof(_) => say(
            "OperatorRegistry_BadProof",
            "the proof does not show that you know this BLS key",
            "it must be made for the account that registers, on this chain",
        ),
        E::OperatorRegistry_LongEndpoint(e) => say(
            "OperatorRegistry_LongEndpoint",
            format!("the endpoint has {} bytes, and at most {} are kept", e.length, e.longest),
            "",
        ),
        E::OperatorRegistry_Ejected(e) => say(
            "OperatorRegistry_Ejected",
            format!("operator {} was slashed and is out for good", e.operator),
            "register a new key; what is left of the stake can be unstaked",
        ),
        E::OperatorRegistry_IsMember(e) => {
            say("OperatorRegistry_IsMember", format!("operator {} is in the set already", e.operator), "")
        }
        E::OperatorRegistry_NotMember(e) => say(
            "OperatorRegistry_NotMember",
            format!("operator {} is not in the set", e.operator),
            "name a member to evict only when the set is full",
        ),
        E::OperatorRegistry_TooLight(e) => say(
            "OperatorRegistry_TooLight",
            format!("operator {} weighs {} wei of SPON, and {} are needed", e.operator, e.weight, e.needed),
            "stake more first",
        ),
        E::OperatorRegistry_TooHeavyToEvict(e) => say(
            "OperatorRegistry_TooHeavyToEvict",
            format!(
                "operator {} weighs {} wei of SPON, more than the average of {}",
                e.operator, e.weight, e.average
            ),
            "the set is full: name a member of at most average weight",
        ),
        E::OperatorRegistry_NoQuorum(e) => say(
            "OperatorRegistry_NoQuorum",
            format!("{} of {} wei signed, which is not more than two thirds", e.signed, e.total),
            "",
        ),
        other => plain(&other),
    })
}

fn tasks(data: &[u8]) -> Option<Explained> {
    use IMatchTaskManager::IMatchTaskManagerErrors as E;
    Some(match E::abi_decode(data).ok()? {
        E::MatchTasks_BlockGone(e) => say(
            "MatchTasks_BlockGone",
            format!("block {} is older than what the chain remembers", e.blockNumber),
            "`resolve` ends the order",
        ),
        E::MatchTasks_NoCase(e) => say(
            "MatchTasks_NoCase",
            format!("the match of order {} is the right one, or was proven wrong already", e.order),
            "",
        ),
        E::MatchTasks_NotTheMatch(e) => say(
            "MatchTasks_NotTheMatch",
            format!("that is not how order {} was matched by a quorum", e.order),
            "",
        ),
        E::MatchTasks_NotMember(e) => say(
            "MatchTasks_NotMember",
            format!("operator {} was not in the set of era {}", e.operator, e.era),
            "",
        ),
        E::MatchTasks_AlreadyPunished(e) => say(
            "MatchTasks_AlreadyPunished",
            format!("operator {} was punished for this already", e.operator),
            "",
        ),
        E::MatchTasks_NothingToClaim(e) => say(
            "MatchTasks_NothingToClaim",
            format!("nothing waits for operator {} of era {} in token {}", e.operator, e.era, e.token),
            "`iono operator status` shows what does",
        ),
        other => plain(&other),
    })
}

#[cfg(test)]
mod tests {
    use alloy::primitives::U256;
    use alloy::sol_types::SolError as _;

    use super::*;
    use crate::explain;

    #[test]
    fn owners_get_words_and_a_hint() {
        let error = IOperatorRegistry::OperatorRegistry_TooLight {
            operator: U256::from(3),
            weight: U256::from(5),
            needed: U256::from(7),
        };
        let words = "operator 3 weighs 5 wei of SPON, and 7 are needed; stake more first";
        assert_eq!(explain(&error.abi_encode()).to_string(), words);
        let error = IMatchTaskManager::MatchTasks_NoCase { order: U256::from(9) };
        assert_eq!(explain(&error.abi_encode()).code, "MatchTasks_NoCase");
    }
}
