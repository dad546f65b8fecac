//! The chain's logs as this provider reads them. A lease's events only say that something changed: its state is read
//! from the chain afterwards, so the order of events and re-orgs cannot lead astray.

use alloy::primitives::{B256, Log, U256};
use alloy::sol_types::SolEventInterface as _;
use iono_bindings::IEscrow::IEscrowEvents;
use iono_bindings::IFizzRegistry::IFizzRegistryEvents;
use iono_bindings::ILeaseAccess::ILeaseAccessEvents;
use iono_bindings::ILeaseBook::ILeaseBookEvents;
use iono_bindings::IOrderBook::IOrderBookEvents;
use iono_bindings::IPaymentTokens::IPaymentTokensEvents;
use iono_bindings::IProviderRegistry::IProviderRegistryEvents;
use iono_bindings::{AddressBook, BidWord, LeaseWords};
use iono_primitives::{FizzId, LeaseId, OrderId, ProviderId};

use super::order::Order;
use super::party::Party;

/// Something that concerns a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A new order.
    Order(Box<Order>),
    /// A bid was stored; the one that it replaced, if any, is gone.
    Bid {
        /// The order.
        order: OrderId,
        /// Its bidder, and for which machine.
        by: Party,
        /// Whose bid it replaced.
        replaced: ProviderId,
    },
    /// An order was decided.
    Matched {
        /// The order.
        order: OrderId,
        /// The winner.
        provider: ProviderId,
        /// Its bid.
        bid: BidWord,
        /// What the random part was drawn from.
        seed: B256,
    },
    /// A match was proven wrong before its lease was confirmed.
    Amended {
        /// The order.
        order: OrderId,
        /// Who wins it instead.
        provider: ProviderId,
        /// Its bid.
        bid: BidWord,
    },
    /// An order was cancelled or became void.
    Over(OrderId),
    /// A lease began, or began anew with another provider.
    Leased {
        /// The lease.
        lease: LeaseId,
        /// Who serves it.
        by: Party,
    },
    /// A lease changed.
    Lease(LeaseId),
    /// A provider's record or profile changed.
    Provider(ProviderId),
    /// Tokens, prices or market terms changed.
    Tokens,
    /// Owners, delegates or revocations changed.
    Access,
    /// The record of a light node changed, of whatever provider.
    LightNode(FizzId),
}

/// Reads a log of one of the book's contracts; `None` for what no provider needs, malformed orders included.
#[must_use]
pub fn read(log: &Log, book: &AddressBook) -> Option<Event> {
    let address = log.address;
    if address == book.order_book {
        order_event(IOrderBookEvents::decode_log(log).ok()?.data)
    } else if address == book.lease_book {
        lease_event(ILeaseBookEvents::decode_log(log).ok()?.data)
    } else if address == book.provider_registry {
        registry_event(IProviderRegistryEvents::decode_log(log).ok()?.data)
    } else if address == book.payment_tokens {
        IPaymentTokensEvents::decode_log(log).ok().map(|_| Event::Tokens)
    } else if address == book.lease_access {
        ILeaseAccessEvents::decode_log(log).ok().map(|_| Event::Access)
    } else if Some(address) == book.fizz_registry {
        fizz_event(IFizzRegistryEvents::decode_log(log).ok()?.data)
    } else if address == book.escrow {
        match IEscrowEvents::decode_log(log).ok()?.data {
            IEscrowEvents::WalletTransferred(_) => Some(Event::Access),
            _ => None,
        }
    } else {
        None
    }
}

fn order_event(event: IOrderBookEvents) -> Option<Event> {
    Some(match event {
        IOrderBookEvents::OrderCreated(event) => match Order::read(&event) {
            Ok(order) => Event::Order(Box::new(order)),
            Err(error) => {
                tracing::debug!(order = %event.order, %error, "an order cannot be read");
                return None;
            }
        },
        IOrderBookEvents::BidPlaced(event) => Event::Bid {
            order: OrderId(event.order.try_into().ok()?),
            by: party(event.provider, BidWord::read([event.bid]).fizz)?,
            replaced: ProviderId(event.replaced.try_into().ok()?),
        },
        IOrderBookEvents::OrderMatched(event) => Event::Matched {
            order: OrderId(event.order.try_into().ok()?),
            provider: ProviderId(event.provider.try_into().ok()?),
            bid: BidWord::read([event.bid]),
            seed: event.seed,
        },
        IOrderBookEvents::OrderAmended(event) => Event::Amended {
            order: OrderId(event.order.try_into().ok()?),
            provider: ProviderId(event.provider.try_into().ok()?),
            bid: BidWord::read([event.bid]),
        },
        IOrderBookEvents::OrderCancelled(event) => Event::Over(OrderId(event.order.try_into().ok()?)),
        IOrderBookEvents::OrderVoided(event) => Event::Over(OrderId(event.order.try_into().ok()?)),
    })
}

fn lease_event(event: ILeaseBookEvents) -> Option<Event> {
    let lease = match event {
        ILeaseBookEvents::LeaseCreated(event) => {
            return leased(event.lease, event.provider, [event.word0, event.word1]);
        }
        ILeaseBookEvents::LeaseReopened(event) => {
            return leased(event.lease, event.provider, [event.word0, event.word1]);
        }
        ILeaseBookEvents::LeaseConfirmed(event) => event.lease,
        ILeaseBookEvents::LeaseSettled(event) => event.lease,
        ILeaseBookEvents::LeasePaused(event) => event.lease,
        ILeaseBookEvents::LeaseResumed(event) => event.lease,
        ILeaseBookEvents::LeaseRefunded(event) => event.lease,
        ILeaseBookEvents::LeaseExtended(event) => event.lease,
        ILeaseBookEvents::LeaseUpdated(event) => event.lease,
        ILeaseBookEvents::ManifestChanged(event) => event.lease,
        ILeaseBookEvents::LeaseClosed(event) => event.lease,
    };
    Some(Event::Lease(LeaseId(lease.try_into().ok()?)))
}

fn leased(lease: U256, provider: U256, words: [U256; 2]) -> Option<Event> {
    let by = party(provider, LeaseWords::read(words).fizz)?;
    Some(Event::Leased { lease: LeaseId(lease.try_into().ok()?), by })
}

fn party(provider: U256, fizz: u32) -> Option<Party> {
    Some(Party { provider: ProviderId(provider.try_into().ok()?), fizz: FizzId(fizz) })
}

fn fizz_event(event: IFizzRegistryEvents) -> Option<Event> {
    let fizz = match event {
        IFizzRegistryEvents::FizzRegistered(event) => event.fizz,
        IFizzRegistryEvents::FizzJoined(event) => event.fizz,
        IFizzRegistryEvents::FizzLeft(event) => event.fizz,
        IFizzRegistryEvents::FizzPinRotated(event) => event.fizz,
        _ => return None,
    };
    Some(Event::LightNode(FizzId(fizz.try_into().ok()?)))
}

fn registry_event(event: IProviderRegistryEvents) -> Option<Event> {
    let provider = match event {
        IProviderRegistryEvents::ProviderRegistered(event) => event.provider,
        IProviderRegistryEvents::RecordChanged(event) => event.provider,
        IProviderRegistryEvents::PinRotated(event) => event.provider,
        IProviderRegistryEvents::DrainingSet(event) => event.provider,
        IProviderRegistryEvents::ProfileChanged(event) => event.provider,
        IProviderRegistryEvents::ProviderBarred(event) => event.provider,
        _ => return None,
    };
    Some(Event::Provider(ProviderId(provider.try_into().ok()?)))
}
