//! The tenant of a provider: orders, leases up to the answer, and why there is no bid.

use iono_bindings::words::order_flags;
use iono_lease_api::Client;
use iono_manifest::LeaseManifest;
use iono_primitives::{LeaseId, OrderId};
use iono_provider_testkit::{Ordered, hello};
use iono_testkit::{docker, eventually};

use super::{Market, SOON};

impl Market {
    /// Orders an hour of the hello image with a nonce.
    pub async fn order(&self, nonce: &str, count: u16) -> Ordered {
        self.order_manifest(nonce, hello(nonce, count, docker::HELLO)).await
    }

    /// Orders an hour of a manifest.
    pub async fn order_manifest(&self, nonce: &str, manifest: LeaseManifest) -> Ordered {
        self.place_order(nonce, manifest, self.terms(order_flags::PROVIDER)).await
    }

    /// A confirmed lease of the hello image whose manifest was not sent yet.
    pub async fn active_lease(&self, nonce: &str) -> Ordered {
        let ordered = self.order(nonce, 1).await;
        self.activate(&ordered).await;
        ordered
    }

    /// From the order to the answer.
    pub async fn whole_lease(&self, nonce: &str) -> Ordered {
        let ordered = self.active_lease(nonce).await;
        self.serve(&ordered).await;
        ordered
    }

    /// The tenant's client.
    pub async fn client(&self) -> Client {
        let pins = self.pins_of(self.me).await;
        Client::new(&self.endpoint, pins, Some(&self.identity().await)).unwrap()
    }

    /// Sends the manifest and waits for the answer with its nonce.
    pub async fn serve(&self, ordered: &Ordered) {
        self.send_manifest(&self.client().await, ordered).await;
    }

    /// Orders, and expects no bid for a reason with these words, told to everyone.
    pub async fn refuses(&self, words: &str) {
        let ordered = self.order("refused", 1).await;
        let client = self.client().await;
        let answer = eventually("a decision", SOON, || async {
            let answer = client.why_no_bid(OrderId::from(ordered.lease)).await.ok()?;
            (!answer.reasons.is_empty()).then_some(answer)
        })
        .await
        .unwrap();
        assert!(answer.reasons[0].message.contains(words), "{answer:?}");
    }

    /// Closes a lease and waits until nothing of it runs.
    pub async fn close_and_empty(&self, lease: LeaseId) {
        self.close(lease).await;
        self.emptied(lease).await;
    }
}
