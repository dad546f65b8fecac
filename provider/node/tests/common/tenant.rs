//! The tenant: orders, matches, manifests, and the URL that answers.

use std::time::Duration;

use alloy::primitives::aliases::{U24, U48, U80};
use alloy::primitives::{B256, U256};
use iono_bindings::words::order_flags;
use iono_bindings::{ILeaseBook, IOrderBook, IProviderRegistry, Spec, Terms};
use iono_identity::authorisation::Domain;
use iono_identity::{ClientIdentity, IdentityRequest, Pin};
use iono_lease_api::{Client, SaltedManifest};
use iono_manifest::{
    Expose, HttpOptions, LeaseManifest, Protocol, PullPolicy, Secret, Service, ServiceResources, Volume,
    VolumeKind,
};
use iono_primitives::{Group, LeaseId, LeaseState, OrderId, Rate, Resources, StorageClass};
use iono_testkit::{docker, eventually};

use super::{Market, SOON};

/// A lease and the manifest that its order names.
pub struct Ordered {
    pub lease: LeaseId,
    pub manifest: SaltedManifest,
    pub nonce: String,
}

impl Market {
    /// Orders an hour of the hello image with a nonce.
    pub async fn order(&self, nonce: &str, count: u16) -> Ordered {
        self.order_manifest(nonce, hello(nonce, count, docker::HELLO)).await
    }

    /// Orders an hour of a manifest.
    pub async fn order_manifest(&self, nonce: &str, manifest: LeaseManifest) -> Ordered {
        let manifest = SaltedManifest::new(B256::random(), manifest);
        let call = IOrderBook::createOrderCall { terms: self.terms(), spec: spec(&manifest) };
        let receipt = self.devnet.send(&self.tenant, self.devnet.book.order_book, call).await.unwrap();
        let created = receipt.decoded_log::<IOrderBook::OrderCreated>().unwrap();
        Ordered { lease: LeaseId(created.order.to()), manifest, nonce: nonce.to_owned() }
    }

    fn terms(&self) -> Terms {
        Terms {
            wallet: U48::from(self.wallet.0),
            token: self.devnet.dollar_id().0,
            duration: 3_600,
            maxRate: U80::from(Rate::from_hourly("1").unwrap().0),
            region: 0,
            requirements: U24::ZERO,
            flags: order_flags::PROVIDER,
        }
    }

    /// Waits until a bid of this provider stands.
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
            self.devnet.send(&self.tenant, self.devnet.book.order_book, call).await.ok()
        })
        .await
        .unwrap();
    }

    /// Bid, match and confirmation with a daemon that runs.
    pub async fn activate(&self, ordered: &Ordered) {
        self.bid_stands(ordered).await;
        self.resolve(ordered).await;
        self.until_state(ordered.lease, LeaseState::Active).await;
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
        let registry =
            IProviderRegistry::new(self.devnet.book.provider_registry, self.devnet.anvil.provider());
        let pin = Pin(registry.record(self.me.into()).call().await.unwrap().pin);
        let next = Pin(registry.nextPin(self.me.into()).call().await.unwrap());
        let domain =
            Domain { chain_id: self.devnet.book.chain_id, lease_access: self.devnet.book.lease_access };
        let request = IdentityRequest {
            domain,
            wallet: self.wallet,
            lease: None,
            write: true,
            nonce: 0,
            lifetime: Duration::from_secs(3_600),
        };
        let identity = ClientIdentity::issue(&self.tenant, &request).await.unwrap();
        Client::new(&self.endpoint, vec![pin, next], Some(&identity)).unwrap()
    }

    /// Sends the manifest and waits for the answer with its nonce.
    pub async fn serve(&self, ordered: &Ordered) {
        let client = self.client().await;
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

    pub async fn close(&self, lease: LeaseId) {
        let call = ILeaseBook::closeCall { lease: lease.into() };
        self.devnet.send(&self.tenant, self.devnet.book.lease_book, call).await.unwrap();
    }

    /// Closes a lease and waits until nothing of it runs.
    pub async fn close_and_empty(&self, lease: LeaseId) {
        self.close(lease).await;
        self.emptied(lease).await;
    }
}

/// A service that answers with a nonce.
pub fn hello(nonce: &str, count: u16, image: &str) -> LeaseManifest {
    let expose = Expose {
        port: 8_080,
        external: 80,
        protocol: Protocol::Http,
        global: true,
        public_port: false,
        ip: None,
        accept: Vec::new(),
        to: Vec::new(),
        http_options: HttpOptions::default(),
    };
    let service = Service {
        name: "web".to_owned(),
        image: image.to_owned(),
        command: Vec::new(),
        args: Vec::new(),
        env: [("NONCE".to_owned(), Secret::new(nonce))].into(),
        files: Vec::new(),
        credentials: None,
        pull_policy: PullPolicy::IfNotPresent,
        count,
        resources: ServiceResources { cpu: 100, memory: 64, ephemeral: 64, gpu: None },
        expose: vec![expose],
        volumes: Vec::new(),
    };
    LeaseManifest { endpoints: Vec::new(), services: vec![service], version: LeaseManifest::VERSION }
}

/// The same with a disk that outlives its container.
pub fn hello_with_volume(nonce: &str) -> LeaseManifest {
    let mut manifest = hello(nonce, 1, docker::HELLO);
    manifest.services[0].volumes.push(Volume {
        name: "data".to_owned(),
        mount: "/data".to_owned(),
        size: 32,
        class: StorageClass::Any,
        kind: VolumeKind::Persistent,
        read_only: false,
    });
    manifest
}

/// What is ordered for a manifest.
pub fn spec(manifest: &SaltedManifest) -> Spec {
    let groups = manifest.manifest().groups();
    let sum = |of: fn(&Group) -> u32| groups.iter().map(|group| of(group) * u32::from(group.count)).sum();
    let resources = Resources {
        cpu: sum(|group| group.cpu),
        memory: sum(|group| group.memory),
        storage: sum(|group| group.ephemeral + group.persistent),
        endpoints: 1,
        ..Resources::default()
    };
    Spec {
        resources: resources.word(),
        manifestHash: manifest.hash(),
        providers: U256::ZERO,
        groups: Group::encode(&groups).into(),
    }
}
