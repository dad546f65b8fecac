//! The operators as the daemon's store knows them.

use alloy::primitives::Address;
use iono_quorum::Roster;
use iono_store::{LogQuery, SharedStore, StoreError};

/// Folds the registry's stored logs, of which there are few.
pub(crate) async fn load(store: &SharedStore, registry: Address) -> Result<Roster, StoreError> {
    let query = LogQuery { address: Some(registry), ..LogQuery::blocks(0..=u64::MAX) };
    let mut roster = Roster::default();
    store.logs(&query).await?.iter().for_each(|log| roster.apply(&log.log));
    Ok(roster)
}
