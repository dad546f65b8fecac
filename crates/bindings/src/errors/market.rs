//! Words for what orders, leases and the escrow refuse.

use std::fmt;

use alloy::sol_types::SolInterface as _;
use iono_primitives::{CloseReason, LeaseState, OrderState};

use super::{Explained, plain, say};
use crate::generated::{IEscrow, ILeaseBook, IOrderBook};

pub(super) fn words(data: &[u8]) -> Option<Explained> {
    order_book(data).or_else(|| lease_book(data)).or_else(|| escrow(data))
}

fn order_state(code: u8) -> String {
    OrderState::from_code(code).map_or_else(|| format!("in state {code}"), |s| s.words().to_owned())
}

fn lease_state(code: u8) -> String {
    LeaseState::from_code(code).map_or_else(|| format!("in state {code}"), |s| s.words().to_owned())
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

fn dollars(cents: impl fmt::Display) -> String {
    let cents = format!("{:0>3}", cents.to_string());
    let (whole, rest) = cents.split_at(cents.len() - 2);
    format!("${whole}.{rest}")
}

#[cfg(test)]
mod tests {
    use super::dollars;

    #[test]
    fn cents_are_dollars() {
        assert_eq!(dollars(5), "$0.05");
        assert_eq!(dollars(1234), "$12.34");
    }
}
