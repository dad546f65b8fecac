//! Reverts in words for people: what failed and why, and what to do about it. Daemons log them, `iono` prints them.

mod quorum;

use std::fmt;

use alloy::primitives::{Bytes, hex};
use alloy::sol_types::{Panic, Revert, SolError, SolInterface};
use alloy::transports::{RpcError, TransportErrorKind};
use iono_primitives::{CloseReason, LeaseState, OrderState};

use crate::generated::{
    IBlsVerifier, IEscrow, IFoundationDelegation, ILeaseAccess, ILeaseBook, IMatchPolicy, IOrderBook,
    IPaymentTokens, IProviderAccount, IProviderRegistry, IRandomness, IRatings, IStakingManager,
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
    order_book(data)
        .or_else(|| lease_book(data))
        .or_else(|| escrow(data))
        .or_else(|| provider_registry(data))
        .or_else(|| staking(data))
        .or_else(|| foundation(data))
        .or_else(|| quorum::words(data))
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

fn order_state(code: u8) -> String {
    OrderState::from_code(code).map_or_else(|| format!("in state {code}"), |s| s.words().to_owned())
}

fn lease_state(code: u8) -> String {
    LeaseState::from_code(code).map_or_else(|| format!("in state {code}"), |s| s.words().to_owned())
}

fn dollars(cents: impl fmt::Display) -> String {
    let cents = format!("{:0>3}", cents.to_string());
    let (whole, rest) = cents.split_at(cents.len() - 2);
    format!("${whole}.{rest}")
}

fn order_book(data: &[u8]) -> Option<Explained> {
    use IOrderBook::IOrderBookErrors as E;
    Some(match E::abi_decode(data).ok()? {
        E::OrderBook_NotOpen(e) => {
            say("OrderBook_NotOpen", format!("order {} is {}", e.order, order_state(e.state)), "")
        }
        E::OrderBook_BiddingClosed(e) => say(
            "OrderBook_BiddingClosed",
            format!("bidding for order {} ended with block {}", e.order, e.closeBlock),
            "",
        ),
        E::OrderBook_TooEarly(e) => say(
            "OrderBook_TooEarly",
            format!("order {} cannot be resolved before block {}", e.order, e.readyBlock),
            "wait for that block",
        ),
        E::OrderBook_BadTerms(e) => {
            say("OrderBook_BadTerms", format!("the order's terms are refused: {}", e.what), "")
        }
        E::OrderBook_TokenDisabled(e) => say(
            "OrderBook_TokenDisabled",
            format!("payment token {} is not enabled for new orders", e.token),
            "choose another token",
        ),
        E::OrderBook_BelowMinimumDeposit(e) => say(
            "OrderBook_BelowMinimumDeposit",
            format!("the wallet has {} free, and an order needs at least {}", e.free, e.minimum),
            "deposit more",
        ),
        E::OrderBook_BeyondBracket(e) => say(
            "OrderBook_BeyondBracket",
            format!(
                "resources of this size ask for a wallet worth {}, and it holds {}",
                dollars(e.neededCents),
                dollars(e.heldCents)
            ),
            "deposit more or order less",
        ),
        E::OrderBook_NotProvider(e) => say(
            "OrderBook_NotProvider",
            format!("{} is no registered provider's hot key", e.caller),
            "register, or set the hot key with the owner's key",
        ),
        E::OrderBook_Ineligible(e) => say(
            "OrderBook_Ineligible",
            format!("provider {} may not bid for order {}: {}", e.provider, e.order, e.why),
            "",
        ),
        E::OrderBook_RateTooHigh(e) => say(
            "OrderBook_RateTooHigh",
            format!("the bid of {} is above the order's limit of {}", e.rate, e.maxRate),
            "",
        ),
        E::OrderBook_Outbid(e) if e.holder == e.provider => say(
            "OrderBook_Outbid",
            format!(
                "provider {} has bid less for order {} already; a bid cannot be raised",
                e.holder, e.order
            ),
            "the lower bid stands",
        ),
        E::OrderBook_Outbid(e) => say(
            "OrderBook_Outbid",
            format!(
                "provider {} holds the slot of order {} with at least as good a score",
                e.holder, e.order
            ),
            "a lower rate may win it",
        ),
        #[allow(unreachable_patterns)]
        other => plain(&other),
    })
}

fn lease_book(data: &[u8]) -> Option<Explained> {
    use ILeaseBook::ILeaseBookErrors as E;
    Some(match E::abi_decode(data).ok()? {
        E::LeaseBook_WrongState(e) => {
            say("LeaseBook_WrongState", format!("lease {} is {}", e.lease, lease_state(e.state)), "")
        }
        E::LeaseBook_NotTenant(e) => say(
            "LeaseBook_NotTenant",
            format!("{} does not own the wallet of lease {}", e.caller, e.lease),
            "use the owner's key",
        ),
        E::LeaseBook_NotProvider(e) => say(
            "LeaseBook_NotProvider",
            format!("{} is not the hot key of lease {}'s provider", e.caller, e.lease),
            "",
        ),
        E::LeaseBook_ConfirmTooLate(e) => say(
            "LeaseBook_ConfirmTooLate",
            format!("lease {} had to be confirmed by {} (unix seconds)", e.lease, e.confirmBy),
            "it can only expire now",
        ),
        E::LeaseBook_ConfirmStillOpen(e) => say(
            "LeaseBook_ConfirmStillOpen",
            format!("lease {} may still be confirmed until {} (unix seconds)", e.lease, e.confirmBy),
            "wait until then",
        ),
        E::LeaseBook_NotExpired(e) => {
            say("LeaseBook_NotExpired", format!("lease {} runs until {} (unix seconds)", e.lease, e.end), "")
        }
        E::LeaseBook_BadReason(e) => {
            let reason = CloseReason::from_code(e.reason).map_or("unknown", CloseReason::words);
            say("LeaseBook_BadReason", format!("a provider cannot close with the reason \"{reason}\""), "")
        }
        E::LeaseBook_TooLong(e) => say(
            "LeaseBook_TooLong",
            format!("{} seconds are more than the {} a lease may last", e.duration, e.maximum),
            "ask for less",
        ),
        E::LeaseBook_QuoteExpired(e) => say(
            "LeaseBook_QuoteExpired",
            format!("the provider's quote ended at {} (unix seconds)", e.expiry),
            "ask for a new quote",
        ),
        E::LeaseBook_QuoteMismatch(e) => say(
            "LeaseBook_QuoteMismatch",
            format!("the quote is not for this lease as it is now: {}", e.what),
            "ask for a new quote",
        ),
        E::LeaseBook_NothingToSettle(e) => {
            say("LeaseBook_NothingToSettle", format!("nothing of lease {} is due yet", e.lease), "")
        }
        E::LeaseBook_BeyondBracket(e) => say(
            "LeaseBook_BeyondBracket",
            format!(
                "resources of this size ask for a wallet worth {}, and it holds {}",
                dollars(e.neededCents),
                dollars(e.heldCents)
            ),
            "deposit more or ask for less",
        ),
        other => plain(&other),
    })
}

fn escrow(data: &[u8]) -> Option<Explained> {
    use IEscrow::IEscrowErrors as E;
    Some(match E::abi_decode(data).ok()? {
        E::Escrow_NotOwner(e) => say(
            "Escrow_NotOwner",
            format!("{} does not own wallet {}", e.caller, e.wallet),
            "use the owner's key",
        ),
        E::Escrow_UnknownWallet(e) => {
            say("Escrow_UnknownWallet", format!("there is no wallet {}", e.wallet), "")
        }
        E::Escrow_Insufficient(e) => say(
            "Escrow_Insufficient",
            format!(
                "wallet {} has {} of token {} free, and {} are needed",
                e.wallet, e.free, e.token, e.needed
            ),
            "deposit more, or ask for a shorter time or a lower rate",
        ),
        E::Escrow_TransferMismatch(e) => say(
            "Escrow_TransferMismatch",
            format!("token {} moved {} instead of {}", e.token, e.received, e.expected),
            "tokens that take a fee or rebase are refused",
        ),
        E::Escrow_TokenDisabled(e) => say(
            "Escrow_TokenDisabled",
            format!("payment token {} is not enabled", e.token),
            "choose another token",
        ),
        E::Escrow_NotProviderOwner(e) => say(
            "Escrow_NotProviderOwner",
            format!("{} does not own provider {}", e.caller, e.provider),
            "use the owner's key, not the hot key",
        ),
        E::Escrow_NothingToCashOut(e) => say(
            "Escrow_NothingToCashOut",
            format!("the ledger of payee {} in token {} is empty", e.payee, e.token),
            "settle first",
        ),
        other => plain(&other),
    })
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

    use super::*;

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
    fn strings_panics_and_garbage_are_not_lost() {
        assert!(explain(&Revert::from("no way").abi_encode()).what.contains("no way"));
        assert!(explain(&Panic::from(U256::from(0x11)).abi_encode()).what.contains("overflow"));
        assert_eq!(explain(&[0xde, 0xad, 0xbe, 0xef, 1]).code, "0xdeadbeef");
        assert_eq!(explain(&[]).code, "0x");
    }

    #[test]
    fn cents_are_dollars() {
        assert_eq!(dollars(5), "$0.05");
        assert_eq!(dollars(1234), "$12.34");
    }
}
