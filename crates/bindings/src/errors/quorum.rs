//! Words for what the operators' contracts refuse.

use alloy::primitives::U256;
use alloy::primitives::utils::format_ether;
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
            "use the key that registered it: `iono operator status` names its owner",
        ),
        E::OperatorRegistry_Unknown(e) => say(
            "OperatorRegistry_Unknown",
            format!("there is no operator {}", e.operator),
            "check its number",
        ),
        E::OperatorRegistry_KeyTaken(e) => say(
            "OperatorRegistry_KeyTaken",
            format!("this BLS key is that of operator {}", e.operator),
            "each operator needs a key of its own: `iono operator key`",
        ),
        E::OperatorRegistry_BadProof(_) => say(
            "OperatorRegistry_BadProof",
            "the proof does not show that you know this BLS key",
            "it must be made for the account that registers, on this chain",
        ),
        E::OperatorRegistry_LongEndpoint(e) => say(
            "OperatorRegistry_LongEndpoint",
            format!("the endpoint has {} bytes, and at most {} are taken", e.length, e.longest),
            "announce a shorter one",
        ),
        E::OperatorRegistry_Ejected(e) => say(
            "OperatorRegistry_Ejected",
            format!("operator {} was slashed and is out for good", e.operator),
            "register a new key; what is left of the stake can be unstaked",
        ),
        E::OperatorRegistry_IsMember(e) => {
            let what = format!("operator {} is in the set already", e.operator);
            say(
                "OperatorRegistry_IsMember",
                what,
                "what is staked more counts from the next era on by itself",
            )
        }
        // Number 0 is nobody's: a full set was entered without saying who is to leave.
        E::OperatorRegistry_NotMember(e) if e.operator.is_zero() => say(
            "OperatorRegistry_NotMember",
            "the set is full, and nobody was named to leave",
            "name a member of at most average weight to evict",
        ),
        E::OperatorRegistry_NotMember(e) => say(
            "OperatorRegistry_NotMember",
            format!("operator {} is not in the set, or need not leave it as there is room", e.operator),
            "`iono operator list` shows who is in it",
        ),
        E::OperatorRegistry_TooLight(e) => say(
            "OperatorRegistry_TooLight",
            format!(
                "operator {} weighs {} SPON, and {} SPON are needed",
                e.operator,
                spon(e.weight),
                spon(e.needed)
            ),
            "stake more first",
        ),
        E::OperatorRegistry_TooHeavyToEvict(e) => say(
            "OperatorRegistry_TooHeavyToEvict",
            format!(
                "operator {} weighs {} SPON, more than the average of {} SPON",
                e.operator,
                spon(e.weight),
                spon(e.average)
            ),
            "the set is full: name a member of at most average weight",
        ),
        E::OperatorRegistry_NoQuorum(e) => say(
            "OperatorRegistry_NoQuorum",
            format!(
                "operators with {} of {} SPON signed, which is not more than two thirds",
                spon(e.signed),
                spon(e.total)
            ),
            "gather more shares, or resolve the orders one by one",
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
            "nothing is left to prove of it",
        ),
        E::MatchTasks_ChallengeFirst(e) => say(
            "MatchTasks_ChallengeFirst",
            format!("order {} was matched by this lie, and what its tenant is owed comes first", e.order),
            "challenge the match, then name its signers",
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
            "it is slashed once for each matter",
        ),
        E::MatchTasks_NothingToClaim(e) => say(
            "MatchTasks_NothingToClaim",
            format!("nothing waits for operator {} of era {} in token {}", e.operator, e.era, e.token),
            "`iono operator status` shows what does",
        ),
        other => plain(&other),
    })
}

/// Wei of SPON as whole ones, without zeros at the end.
fn spon(wei: U256) -> String {
    let text = format_ether(wei);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use alloy::sol_types::SolError as _;

    use super::*;
    use crate::explain;

    #[test]
    fn owners_get_words_and_a_hint() {
        let error = IOperatorRegistry::OperatorRegistry_TooLight {
            operator: U256::from(3),
            weight: U256::from(5_u64.pow(18)),
            needed: U256::from(1000) * U256::from(10_u64.pow(18)),
        };
        let words = "operator 3 weighs 0.000003814697265625 SPON, and 1000 SPON are needed; stake more first";
        assert_eq!(explain(&error.abi_encode()).to_string(), words);
        let of = |operator| IOperatorRegistry::OperatorRegistry_NotMember { operator: U256::from(operator) };
        assert!(explain(&of(0).abi_encode()).what.contains("full"));
        assert!(explain(&of(8).abi_encode()).what.contains("operator 8 is not in the set"));
        let error = IMatchTaskManager::MatchTasks_NoCase { order: U256::from(9) };
        assert_eq!(explain(&error.abi_encode()).code, "MatchTasks_NoCase");
    }
}
