//! The book as documents of the store: what changed is written with the follower's next step, and read back at the start.

use iono_primitives::{LeaseId, OrderId};
use iono_store::{Change, Document, StoreError};

use super::Book;
use crate::market::lease::Lease;
use crate::market::party::Party;
use crate::market::tracked::Tracked;

/// Namespace of orders in the store.
const ORDERS: &str = "order";
/// Namespace of leases in the store.
const LEASES: &str = "lease";

/// What a document is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Order(OrderId),
    Lease(LeaseId),
}

impl Book {
    /// The book as it was stored; every lease is read from the chain again.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] names the document that cannot be read.
    pub fn restore(me: Party, orders: &[Document], leases: &[Document]) -> Result<Self, StoreError> {
        let mut book = Self::new(me);
        for document in orders {
            let tracked: Tracked = document.parse()?;
            book.orders.insert(tracked.order.id, tracked);
        }
        for document in leases {
            let mut lease: Lease = document.parse()?;
            lease.stale = true;
            book.leases.insert(lease.id, lease);
        }
        Ok(book)
    }

    /// The namespaces that [`Book::restore`] takes, in its order.
    #[must_use]
    pub fn namespaces() -> [&'static str; 2] {
        [ORDERS, LEASES]
    }

    /// What to write: one document for everything that changed since the last call.
    ///
    /// # Errors
    /// [`StoreError`] when something cannot be written as JSON.
    pub fn take_changes(&mut self) -> Result<Vec<Change>, StoreError> {
        let dirty = std::mem::take(&mut self.dirty);
        dirty.into_iter().map(|key| self.document(key)).collect()
    }

    /// Puts changes back that could not be written, to be written next time.
    pub fn keep_dirty(&mut self, changes: &[Change]) {
        for change in changes {
            let (Change::Put { namespace, key, .. } | Change::Delete { namespace, key }) = change;
            let Ok(id) = key.parse() else { continue };
            self.dirty.insert(if namespace == ORDERS {
                Key::Order(OrderId(id))
            } else {
                Key::Lease(LeaseId(id))
            });
        }
    }

    fn document(&self, key: Key) -> Result<Change, StoreError> {
        // Padded, so that the store's order is that of the numbers.
        match key {
            Key::Order(id) => match self.orders.get(&id) {
                Some(tracked) => Change::put(ORDERS, format!("{:020}", id.0), tracked),
                None => Ok(Change::delete(ORDERS, format!("{:020}", id.0))),
            },
            Key::Lease(id) => match self.leases.get(&id) {
                Some(lease) => Change::put(LEASES, format!("{:020}", id.0), lease),
                None => Ok(Change::delete(LEASES, format!("{:020}", id.0))),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ME, matched, order};
    use super::*;
    use crate::market::events::Event;

    #[test]
    fn what_is_stored_is_restored() {
        let mut book = Book::new(ME);
        book.apply(1, order(1));
        book.apply(4, matched(1, 2));
        book.apply(4, Event::Leased { lease: LeaseId(1), by: ME });
        let documents: Vec<(String, Document)> = book
            .take_changes()
            .unwrap()
            .into_iter()
            .filter_map(|change| match change {
                Change::Put { namespace, key, body, .. } => {
                    Some((namespace, Document { key, version: 1, body }))
                }
                Change::Delete { .. } => None,
            })
            .collect();
        let of = |name: &str| -> Vec<Document> {
            documents
                .iter()
                .filter(|(namespace, _)| namespace == name)
                .map(|(_, document)| document.clone())
                .collect()
        };
        let again = Book::restore(ME, &of(ORDERS), &of(LEASES)).unwrap();
        assert_eq!(again.orders, book.orders);
        assert_eq!(again.leases, book.leases);
        assert!(book.take_changes().unwrap().is_empty());
    }
}
