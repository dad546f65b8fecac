//! Where every unit of the payment tokens is: recomputed from the chain's events and storage, never from a daemon.

use std::collections::BTreeSet;

use alloy::primitives::{Address, U256};
use alloy::providers::DynProvider;
use anyhow::{Context, Result};
use iono_bindings::{
    AddressBook, IERC20, IEscrow, ILeaseBook, IOrderBook, IPaymentTokens, OrderWords, TokenWord,
};
use iono_primitives::{OrderState, Rate, money};

use crate::events;

/// A token's whereabouts, in its smallest unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accounts {
    /// What the escrow contract holds by the token's own word.
    pub escrow: u128,
    /// Free in wallets.
    pub wallets: u128,
    /// Reserved by open orders.
    pub reserved: u128,
    /// Locked by leases.
    pub locked: u128,
    /// Payees' ledgers.
    pub ledgers: u128,
    /// Foundation's part of the ledgers, not collected yet.
    pub fees: u128,
}

impl Accounts {
    /// What the escrow holds and nobody owns, or owes and does not hold.
    #[must_use]
    pub fn unaccounted(&self) -> i128 {
        let owned = self.wallets + self.reserved + self.locked + self.ledgers + self.fees;
        i128::try_from(self.escrow).unwrap_or(i128::MAX) - i128::try_from(owned).unwrap_or(i128::MAX)
    }
}

/// Reads all of it for every payment token; the place in the list is the token's id, and SPON comes first.
///
/// # Errors
/// When the chain does not answer.
pub async fn all(chain: &DynProvider, book: &AddressBook) -> Result<Vec<Accounts>> {
    let tokens = IPaymentTokens::new(book.payment_tokens, chain).tokenCount().call().await?;
    let mut accounts = Vec::new();
    for token in 0..u16::try_from(tokens)? {
        accounts.push(read(chain, book, token).await?);
    }
    Ok(accounts)
}

/// Reads all of it for one token.
///
/// # Errors
/// When the chain does not answer.
pub async fn read(chain: &DynProvider, book: &AddressBook, token: u16) -> Result<Accounts> {
    let token_id = U256::from(token);
    let asset: Address = IPaymentTokens::new(book.payment_tokens, chain).assetOf(token_id).call().await?;
    let escrow = IEscrow::new(book.escrow, chain);
    let held = IERC20::new(asset, chain).balanceOf(book.escrow).call().await?;

    let mut wallets = U256::ZERO;
    for wallet in 1..=escrow.walletCount().call().await?.to::<u64>() {
        wallets += escrow.balanceOf(U256::from(wallet), token_id).call().await?;
    }

    let orders = IOrderBook::new(book.order_book, chain);
    let leases = ILeaseBook::new(book.lease_book, chain);
    let tokens = IPaymentTokens::new(book.payment_tokens, chain);
    let decimals = TokenWord::read([tokens.tokenWord(token_id).call().await?]).decimals;
    let (mut reserved, mut locked) = (U256::ZERO, U256::ZERO);
    // Everyone who was ever credited: providers by id, keepers and light nodes' payees by address, and the foundation.
    let mut payees = BTreeSet::from([escrow.foundation().call().await?]);
    for order in 1..=orders.orderCount().call().await?.to::<u64>() {
        let words = orders.orderWords(U256::from(order)).call().await?;
        let words = OrderWords::read([words.word0, words.word1]);
        if words.token != token {
            continue;
        }
        if OrderState::from_code(words.state) == Some(OrderState::Open) {
            let gross = Rate(words.max_rate).gross(u64::from(words.duration), decimals);
            reserved += gross + money::payer_fee(gross, words.payer_fee) + U256::from(words.match_fee);
        }
        locked += leases.lockedOf(U256::from(order)).call().await?;
        // Nobody's where the lease is not a light node's; nothing is in that ledger.
        payees.insert(U256::from_be_slice(leases.payeeOf(U256::from(order)).call().await?.as_slice()));
    }
    for settled in events::all::<ILeaseBook::LeaseSettled>(chain, book.lease_book).await? {
        payees.insert(settled.event.provider);
    }
    for matched in events::all::<IOrderBook::OrderMatched>(chain, book.order_book).await? {
        payees.insert(matched.event.provider);
        payees.insert(U256::from_be_slice(matched.event.keeper.as_slice()));
    }
    let (mut ledgers, mut fees) = (U256::ZERO, U256::ZERO);
    for payee in payees {
        let ledger = escrow.ledgerOf(payee, token_id).call().await?;
        ledgers += ledger.net;
        fees += ledger.fee;
    }
    let small = |amount: U256| u128::try_from(amount).context("an amount above 128 bits");
    Ok(Accounts {
        escrow: small(held)?,
        wallets: small(wallets)?,
        reserved: small(reserved)?,
        locked: small(locked)?,
        ledgers: small(ledgers)?,
        fees: small(fees)?,
    })
}
