//! A tenant for tests of what hosts leases: orders, matches, manifests, and the URL that answers. It speaks to chain and
//! daemons directly, without the command line.
#![allow(clippy::unwrap_used, missing_docs)] // a test that cannot go on says so

mod manifests;

use std::time::Duration;

use alloy::primitives::B256;
use alloy::primitives::aliases::{U24, U48, U80};
use alloy::signers::local::PrivateKeySigner;
use iono_bindings::{ILeaseBook, IOrderBook, IProviderRegistry, LeaseWords, Terms};
use iono_identity::authorisation::Domain;
use iono_identity::{ClientIdentity, IdentityRequest, Pin};
use iono_lease_api::{Client, SaltedManifest};
use iono_manifest::LeaseManifest;
use iono_primitives::{LeaseId, LeaseState, OrderId, ProviderId, Rate, WalletId};
use iono_testkit::{Devnet, docker, eventually};

pub use manifests::{hello, hello_with_volume, spec};

/// Longer than anything here takes on a busy machine.
pub const SOON: Duration = Duration::from_secs(90);

/// A tenant with a wallet on a chain of its own, and where its workloads answer.
pub struct Tenant {
    pub devnet: Devnet,
    pub key: PrivateKeySigner,
    pub wallet: WalletId,
    /// The router's HTTP port on this machine.
    pub http: u16,
}

/// A lease and the manifest that its order names.
pub struct Ordered {
    pub lease: LeaseId,
    pub manifest: SaltedManifest,
    pub nonce: String,
}

impl Tenant {
    /// An hour for at most a dollar; `flags` are [`iono_bindings::order_flags`].
    pub fn terms(&self, flags: u8) -> Terms {
        Terms {
            wallet: U48::from(self.wallet.0),
            token: self.devnet.dollar_id().0,
            duration: 3_600,
            maxRate: U80::from(Rate::from_hourly("1").unwrap().0),
            region: 0,
            requirements: U24::ZERO,
            flags,
        }
    }

    /// Orders what answers with `nonce`.
    pub async fn place_order(&self, nonce: &str, manifest: LeaseManifest, terms: Terms) -> Ordered {
        let manifest = SaltedManifest::new(B256::random(), manifest);
        let call = IOrderBook::createOrderCall { terms, spec: spec(&manifest) };
        let receipt = self.devnet.send(&self.key, self.devnet.book.order_book, call).await.unwrap();
        let created = receipt.decoded_log::<IOrderBook::OrderCreated>().unwrap();
        Ordered { lease: LeaseId(created.order.to()), manifest, nonce: nonce.to_owned() }
    }

    /// Waits until a bid stands.
    pub async fn bid_stands(&self, ordered: &Ordered) {
        let orders = IOrderBook::new(self.devnet.book.order_book, self.devnet.anvil.provider());
        eventually("the bid", SOON, || async {
            let bids = orders.bidsOf(OrderId::from(ordered.lease).into()).call().await.ok()?;
            (!bids.is_empty()).then_some(())
        })
        .await
        .unwrap();
    }

    /// Resolves an order as soon as its seed is there, as a keeper does.
    pub async fn resolve(&self, ordered: &Ordered) {
        let order = OrderId::from(ordered.lease);
        eventually("the match", SOON, || async {
            let call = IOrderBook::resolveCall { order: order.into() };
            self.devnet.send(&self.key, self.devnet.book.order_book, call).await.ok()
        })
        .await
        .unwrap();
    }

    /// Bid, match and confirmation by daemons that run.
    pub async fn activate(&self, ordered: &Ordered) {
        self.bid_stands(ordered).await;
        self.resolve(ordered).await;
        self.until_state(ordered.lease, LeaseState::Active).await;
    }

    /// Waits until a lease is in a state.
    pub async fn until_state(&self, lease: LeaseId, state: LeaseState) -> LeaseWords {
        eventually(&format!("lease {lease} {state:?}"), SOON, || async {
            let words = self.devnet.lease(lease).await.ok()?;
            (words.lease_state() == Some(state)).then_some(words)
        })
        .await
        .unwrap()
    }

    pub async fn close(&self, lease: LeaseId) {
        let call = ILeaseBook::closeCall { lease: lease.into() };
        self.devnet.send(&self.key, self.devnet.book.lease_book, call).await.unwrap();
    }

    /// The key that lease APIs know the tenant by, signed by its wallet's owner.
    pub async fn identity(&self) -> ClientIdentity {
        let book = &self.devnet.book;
        let request = IdentityRequest {
            domain: Domain { chain_id: book.chain_id, lease_access: book.lease_access },
            wallet: self.wallet,
            lease: None,
            write: true,
            nonce: 0,
            lifetime: Duration::from_secs(3_600),
        };
        ClientIdentity::issue(&self.key, &request).await.unwrap()
    }

    /// Keys that the registry has of a provider: the present one, and the next or zero.
    pub async fn pins_of(&self, provider: ProviderId) -> Vec<Pin> {
        let registry =
            IProviderRegistry::new(self.devnet.book.provider_registry, self.devnet.anvil.provider());
        let pin = Pin(registry.record(provider.into()).call().await.unwrap().pin);
        vec![pin, Pin(registry.nextPin(provider.into()).call().await.unwrap())]
    }

    /// Sends the manifest by this client and waits for the answer with its nonce.
    pub async fn send_manifest(&self, client: &Client, ordered: &Ordered) {
        eventually("the manifest to be taken", SOON, || async {
            client.put_manifest(ordered.lease, &ordered.manifest).await.ok()
        })
        .await
        .unwrap();
        self.answers(ordered).await;
    }

    /// Waits for HTTP 200 with the nonce.
    pub async fn answers(&self, ordered: &Ordered) {
        eventually("HTTP 200 with the nonce", SOON, || async { self.get(ordered).await.then_some(()) })
            .await
            .unwrap();
    }

    /// Whether the URL answers with the nonce now.
    pub async fn get(&self, ordered: &Ordered) -> bool {
        let host = format!("web-{}.apps.localhost:{}", ordered.lease, self.http);
        let answer = reqwest::Client::new()
            .get(format!("http://127.0.0.1:{}/", self.http))
            .header("host", host)
            .timeout(Duration::from_secs(2))
            .send()
            .await;
        match answer {
            Ok(answer) if answer.status().is_success() => {
                answer.text().await.unwrap_or_default().contains(&ordered.nonce)
            }
            _ => false,
        }
    }
}

/// What the engine has of a lease: `kind` as Docker lists it (`ps -a`, `network ls`), `owner` as labels name the daemon.
pub async fn listed(kind: &[&str], owner: &str, lease: LeaseId) -> Vec<String> {
    let owner = format!("label=network.ionosphere.owner={owner}");
    let lease = format!("label=network.ionosphere.lease={lease}");
    let args = [kind, &["-q", "--filter", &owner, "--filter", &lease]].concat();
    docker::run(&args).await.unwrap().lines().map(str::to_owned).collect()
}
