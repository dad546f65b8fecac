//! Reverts in words for people: what failed and why, and what to do about it. Daemons log them, `iono` prints them.

mod market;
mod provider;
mod quorum;
mod subnet;

use std::fmt;

use alloy::primitives::{Bytes, hex};
use alloy::sol_types::{Panic, Revert, SolError, SolInterface};
use alloy::transports::{RpcError, TransportErrorKind};

use crate::generated::{
    IBlsVerifier, ILeaseAccess, IMatchPolicy, IPaymentTokens, IProviderAccount, IRandomness, IRatings,
};
use crate::tokens::IERC20;

/// A decoded revert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The contract's own name for it, such as `OrderBook_TooEarly`; the selector when it is not one of ours.
    pub code: String,
    /// What failed and why.
    pub what: String,
    /// What to do; empty when there is nothing to do.
    pub hint: String,
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.hint.is_empty() { f.write_str(&self.what) } else { write!(f, "{}; {}", self.what, self.hint) }
    }
}

impl std::error::Error for Explained {}

/// Explains a revert's data: any custom error of ours, of the tokens' library, `Error(string)` or `Panic(uint256)`.
#[must_use]
pub fn explain(data: &[u8]) -> Explained {
    let mut explained = words(data);
    if explained.code.is_empty() {
        explained.code = hex::encode_prefixed(data.get(..4).unwrap_or(data));
    }
    explained
}

/// The revert in an RPC's answer, if the call reached the contract and was refused there.
#[must_use]
pub fn revert_of(error: &RpcError<TransportErrorKind>) -> Option<Explained> {
    let payload = error.as_error_resp()?;
    match payload.as_revert_data() {
        Some(data) if !data.is_empty() => Some(explain(&data)),
        _ => payload.message.contains("revert").then(|| Explained {
            code: "revert".to_owned(),
            what: format!("the contract refused without a reason ({})", payload.message),
            hint: "check the address book against the chain".to_owned(),
        }),
    }
}

/// The revert in a contract call's error, if there is one.
#[must_use]
pub fn revert_in(error: &alloy::contract::Error) -> Option<Explained> {
    match error {
        alloy::contract::Error::TransportError(error) => revert_of(error),
        alloy::contract::Error::ZeroData(function, _) => Some(Explained {
            code: "no_contract".to_owned(),
            what: format!("{function} got no answer: there is no contract at that address"),
            hint: "check the address book against the chain".to_owned(),
        }),
        _ => None,
    }
}

fn words(data: &[u8]) -> Explained {
    if let Ok(revert) = Revert::abi_decode(data) {
        return say("Error", format!("the contract refused: {}", revert.reason()), "");
    }
    if let Ok(panic) = Panic::abi_decode(data) {
        return say("Panic", format!("the contract hit a bug: {panic}"), "report it");
    }
    // Selectors are unique over all interfaces, so the order does not matter.
    market::words(data)
        .or_else(|| provider::words(data))
        .or_else(|| quorum::words(data))
        .or_else(|| subnet::words(data))
        .or_else(|| rest(data))
        .unwrap_or_else(|| Explained {
            code: String::new(),
            what: format!("the contract refused with unknown data {}", Bytes::copy_from_slice(data)),
            hint: "contracts and tools may be of different versions".to_owned(),
        })
}

fn say(code: &str, what: impl Into<String>, hint: impl Into<String>) -> Explained {
    Explained { code: code.to_owned(), what: what.into(), hint: hint.into() }
}

/// Errors that need no words of their own: name and values as Rust prints them.
fn plain(error: &dyn fmt::Debug) -> Explained {
    let text = format!("{error:?}");
    // Debug of `XErrors::Y(Y { a: 1 })`: the inner struct carries the name.
    let inner = text.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(&text);
    let code = inner.split([' ', '{']).next().unwrap_or(inner);
    say(code, inner.replace('_', ": "), "")
}

fn rest(data: &[u8]) -> Option<Explained> {
    use IERC20::IERC20Errors as T;
    use IRandomness::IRandomnessErrors as R;
    use IRatings::IRatingsErrors as G;
    if let Ok(error) = T::abi_decode(data) {
        return Some(match error {
            T::ERC20InsufficientBalance(e) => say(
                "ERC20InsufficientBalance",
                format!("{} has {} of the token, and {} are needed", e.sender, e.balance, e.needed),
                "get more of the token (on a devnet: `iono faucet`)",
            ),
            T::ERC20InsufficientAllowance(e) => say(
                "ERC20InsufficientAllowance",
                format!("{} may move {} of the token, and {} are needed", e.spender, e.allowance, e.needed),
                "approve more, or sign a permit",
            ),
            T::ERC2612ExpiredSignature(e) => say(
                "ERC2612ExpiredSignature",
                format!("the permit ended at {} (unix seconds)", e.deadline),
                "sign a new one",
            ),
            T::SafeERC20FailedOperation(e) => {
                say("SafeERC20FailedOperation", format!("token {} refused the transfer", e.token), "")
            }
            T::AccessManagedUnauthorized(e) => say(
                "AccessManagedUnauthorized",
                format!("{} is not allowed to do this", e.caller),
                "use the administrator's key",
            ),
            other => plain(&other),
        });
    }
    if let Ok(error) = R::abi_decode(data) {
        return Some(match error {
            R::Randomness_NotYet(e) => say(
                "Randomness_NotYet",
                format!("the seed of block {} is not there yet", e.blockNumber),
                "wait a block",
            ),
            R::Randomness_Gone(e) => say(
                "Randomness_Gone",
                format!("the seed of block {} is older than the chain's history", e.blockNumber),
                "the order is void; `resolve` refunds it",
            ),
        });
    }
    if let Ok(error) = G::abi_decode(data) {
        return Some(match error {
            G::Ratings_TooShort(e) => say(
                "Ratings_TooShort",
                format!(
                    "lease {} was billed for {} seconds, and a rating needs {}",
                    e.lease, e.billedSeconds, e.minimum
                ),
                "",
            ),
            G::Ratings_BadStars(e) => {
                say("Ratings_BadStars", format!("{} is no number of stars", e.stars), "give 0 to 5")
            }
            G::Ratings_AlreadyRated(e) => {
                say("Ratings_AlreadyRated", format!("lease {} is rated already", e.lease), "")
            }
            other => plain(&other),
        });
    }
    macro_rules! plainly {
        ($($errors:path),*) => {
            $(if let Ok(error) = <$errors>::abi_decode(data) { return Some(plain(&error)); })*
        };
    }
    plainly!(
        IPaymentTokens::IPaymentTokensErrors,
        ILeaseAccess::ILeaseAccessErrors,
        IMatchPolicy::IMatchPolicyErrors,
        IProviderAccount::IProviderAccountErrors,
        IBlsVerifier::IBlsVerifierErrors
    );
    None
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{Address, U256};
    use iono_primitives::LeaseState;

    use super::*;
    use crate::generated::{IEscrow, IFizzRegistry, ILeaseBook, IOrderBook, ISubnetGovernor};

    #[test]
    fn our_errors_get_words_and_a_hint() {
        let error = IOrderBook::OrderBook_TooEarly { order: U256::from(7), readyBlock: U256::from(12) };
        let explained = explain(&error.abi_encode());
        assert_eq!(explained.code, "OrderBook_TooEarly");
        assert_eq!(explained.to_string(), "order 7 cannot be resolved before block 12; wait for that block");
    }

    #[test]
    fn states_are_named() {
        let error =
            ILeaseBook::LeaseBook_WrongState { lease: U256::from(3), state: LeaseState::Closed.code() };
        assert_eq!(explain(&error.abi_encode()).to_string(), "lease 3 is closed");
    }

    #[test]
    fn errors_without_words_keep_name_and_values() {
        let error = IEscrow::Escrow_NotBook { caller: Address::ZERO };
        let explained = explain(&error.abi_encode());
        assert_eq!(explained.code, "Escrow_NotBook");
        assert!(
            explained.what.contains("NotBook") && explained.what.contains("0x0000"),
            "{}",
            explained.what
        );
    }

    #[test]
    fn refusals_of_subnets_say_what_to_do() {
        let error = IFizzRegistry::FizzRegistry_NoSubnet { provider: U256::from(7) };
        assert_eq!(
            explain(&error.abi_encode()).to_string(),
            "provider 7 has no subnet of light nodes; its owner founds one first"
        );
        let error = ISubnetGovernor::SubnetGovernor_Superseded { proposal: U256::from(3), by: U256::from(5) };
        assert_eq!(
            explain(&error.abi_encode()).to_string(),
            "proposal 5 decided the same anew after proposal 3"
        );
    }

    #[test]
    fn strings_panics_and_garbage_are_not_lost() {
        assert!(explain(&Revert::from("no way").abi_encode()).what.contains("no way"));
        assert!(explain(&Panic::from(U256::from(0x11)).abi_encode()).what.contains("overflow"));
        assert_eq!(explain(&[0xde, 0xad, 0xbe, 0xef, 1]).code, "0xdeadbeef");
        assert_eq!(explain(&[]).code, "0x");
    }
}
