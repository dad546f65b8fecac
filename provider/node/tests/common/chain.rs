//! What the chain says of a lease: its words, its state, how often something happened.

use alloy::primitives::{Address, B256, U256};
use alloy::providers::Provider as _;
use alloy::rpc::types::Filter;
use alloy::sol_types::SolEvent;
use iono_bindings::{ILeaseBook, IOrderBook, LeaseWords};
use iono_primitives::{CloseReason, LeaseId};

use super::Market;

impl Market {
    pub async fn words(&self, lease: LeaseId) -> LeaseWords {
        self.devnet.lease(lease).await.unwrap()
    }

    pub async fn reason(&self, lease: LeaseId) -> Option<CloseReason> {
        self.words(lease).await.close_reason()
    }

    /// One bid, one confirmation.
    pub async fn assert_once(&self, lease: LeaseId) {
        let book = &self.devnet.book;
        assert_eq!(self.count::<IOrderBook::BidPlaced>(book.order_book, lease).await, 1, "bids of {lease}");
        assert_eq!(
            self.count::<ILeaseBook::LeaseConfirmed>(book.lease_book, lease).await,
            1,
            "confirmations of {lease}"
        );
    }

    /// How often an event of a lease, an order or a provider was emitted.
    pub async fn count<E: SolEvent>(&self, contract: Address, id: impl Into<U256>) -> usize {
        let filter = Filter::new()
            .address(contract)
            .event_signature(E::SIGNATURE_HASH)
            .topic1(B256::from(id.into()))
            .from_block(0);
        self.devnet.anvil.provider().get_logs(&filter).await.unwrap().len()
    }

    /// Amounts of all cash-outs.
    pub async fn cash_outs(&self) -> Vec<U256> {
        let filter = Filter::new()
            .address(self.devnet.book.escrow)
            .event_signature(iono_bindings::IEscrow::CashedOut::SIGNATURE_HASH)
            .topic1(B256::from(U256::from(self.me.0)))
            .from_block(0);
        let logs = self.devnet.anvil.provider().get_logs(&filter).await.unwrap();
        let amount = |log| iono_bindings::IEscrow::CashedOut::decode_log(log).unwrap().data.amount;
        logs.iter().map(|log| amount(&log.inner)).collect()
    }
}
