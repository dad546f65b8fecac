//! The lease API's methods (SP-28). Rights were checked before any of them is called.

use std::sync::Arc;

use async_trait::async_trait;
use iono_identity::unix_now;
use iono_lease_api::{
    ApiError, BidAnswer, ByteStream, EventQuery, EventStream, FilePath, LeaseService, LeaseStatus, LogQuery,
    LogStream, ManifestReceipt, ProviderInfo, QuoteRequest, RestartRequest, SaltedManifest, ShellRequest,
    ShellSession, SignedQuote,
};
use iono_primitives::{LeaseId, LeaseState, OrderId, Rate, Region, TokenId};
use iono_runtime::Workload;
use iono_telemetry::fail_point;
use tokio::sync::Semaphore;

use super::stream::{self, api_error};
use super::{offer, quote, status};
use crate::lease::actions::Switch;
use crate::lease::reconcile::Reconciler;
use crate::lease::routes;
use crate::market::lease::Facts;
use crate::market::order::LeaseSpec;
use crate::node::Node;
use crate::pricing::{self, Purpose, Request, Token, to_dollars, to_rate};

/// Most quotes that a script prices at the same time.
const QUOTES: usize = 2;

/// The provider behind the interface.
pub struct Service {
    node: Arc<Node>,
    reconciler: Arc<Reconciler>,
    /// Places for scripts that price quotes.
    quotes: Semaphore,
}

impl Service {
    /// Serves `node`'s leases.
    #[must_use]
    pub fn new(node: Arc<Node>, reconciler: Arc<Reconciler>) -> Self {
        Self { node, reconciler, quotes: Semaphore::new(QUOTES) }
    }

    /// The lease's facts as last read; from the chain itself where this provider has not read them yet.
    async fn facts(&self, lease: LeaseId) -> Result<Facts, ApiError> {
        let known = self.node.book().leases().get(&lease).and_then(|lease| lease.facts.clone());
        match known {
            Some(facts) => Ok(facts),
            None => self.read_facts(lease).await,
        }
    }

    /// The lease's facts as the chain has them this moment.
    async fn read_facts(&self, lease: LeaseId) -> Result<Facts, ApiError> {
        let known = self.node.book().leases().get(&lease).cloned();
        let created = known.as_ref().map_or(0, |lease| lease.created);
        let before = known.as_ref().filter(|lease| !lease.reread).and_then(|lease| lease.facts.as_ref());
        let read = self.node.reader.facts(lease, created, before).await;
        let facts = read.map_err(|error| ApiError::unavailable("chain_unreachable", error.to_string(), 2))?;
        let facts =
            facts.ok_or_else(|| ApiError::not_found(format!("the chain has no lease {lease}"), ""))?;
        let mut book = self.node.book();
        if !book.leases().contains_key(&lease) {
            book.adopt(lease, created);
        }
        book.change_lease(lease, |lease| {
            lease.reread = false;
            lease.facts = Some(facts.clone());
        });
        Ok(facts)
    }

    /// What must hold before a manifest is kept: it is the one that the chain names, fits the order, and can run here.
    fn check(&self, lease: LeaseId, facts: &Facts, sent: &SaltedManifest) -> Result<(), ApiError> {
        let manifest = sent.manifest();
        let fits = manifest.check_fits(&facts.spec.resources, &facts.spec.groups);
        fits.map_err(|error| {
            ApiError::unprocessable("exceeds_order", error.to_string(), "order what it needs")
        })?;
        let domain = &self.node.config().public.domain;
        let routed = routes::check(lease, manifest, domain);
        routed
            .map_err(|error| ApiError::unprocessable("no_route", error.to_string(), "change the manifest"))?;
        let runs = Workload::from_manifest(lease, String::new(), manifest);
        runs.map(drop).map_err(|error| api_error(&error))
    }

    /// Price of new terms for a lease, for which the tenant pays at most `most`, or why there is none.
    async fn price(
        &self,
        lease: LeaseId,
        facts: &Facts,
        spec: &LeaseSpec,
        most: Option<Rate>,
    ) -> Result<Rate, ApiError> {
        let no_quote = |why: String| ApiError::conflict("no_quote", why, "ask for less, or order elsewhere");
        let (config, words) = (self.node.config(), &facts.words);
        let free = self.node.free(&self.node.book(), Some(lease.0));
        let placed = free.place(spec, self.node.machine.storage_class);
        let allocation = placed.map_err(|reason| no_quote(reason.to_string()))?;
        let token = self.node.token(TokenId(words.token)).filter(|(word, _)| word.flags & 1 != 0);
        let (word, asset) =
            token.ok_or_else(|| no_quote("the lease's payment token is not enabled".to_owned()))?;
        let ordered = self.node.book().orders().get(&lease.into()).map(|tracked| tracked.order.words);
        let request = Request {
            purpose: Purpose::Update,
            order: lease.into(),
            wallet: words.wallet,
            region: ordered.map_or(Region::ANY, |order| Region(order.region)),
            tier: ordered.map_or(0, |order| pricing::tier(&order)),
            duration: words.end.saturating_sub(unix_now()),
            token: Token::new(TokenId(words.token), asset, &word),
            max_rate: most.map(|most| to_dollars(most, word.price)),
            free_percent: (free.cpu * 100).checked_div(self.node.offer().cpu).unwrap_or_default(),
            table: config.prices.hourly(&allocation).ok(),
            allocation,
        };
        let price = match config.pricing.at_once(&config.prices, &request) {
            Some(price) => price,
            None => {
                // Places of their own: whoever asks for many quotes does not keep bids waiting.
                let _place = self.quotes.try_acquire().map_err(|_| {
                    ApiError::unavailable("busy", "other quotes are being priced at present", 5)
                })?;
                config.pricing.hourly(&config.prices, &request, pricing::LONGEST).await
            }
        };
        let rate = price.and_then(|hourly| to_rate(hourly, word.price));
        rate.map_err(|error| no_quote(error.to_string()))
    }
}

#[async_trait]
impl LeaseService for Service {
    async fn provider_info(&self) -> Result<ProviderInfo, ApiError> {
        Ok(offer::provider_info(&self.node))
    }

    async fn why_no_bid(&self, order: OrderId) -> Result<BidAnswer, ApiError> {
        Ok(offer::bid_answer(order, self.node.book().orders().get(&order)))
    }

    async fn put_manifest(
        &self,
        lease: LeaseId,
        manifest: SaltedManifest,
    ) -> Result<ManifestReceipt, ApiError> {
        let hash = manifest.hash();
        let mut facts = self.facts(lease).await?;
        if facts.manifest_hash != hash {
            // The tenant may just have changed it on chain.
            facts = self.read_facts(lease).await?;
        }
        if facts.words.lease_state() == Some(LeaseState::Closed) {
            return Err(ApiError::conflict(
                "lease_closed",
                format!("lease {lease} is closed"),
                "order again",
            ));
        }
        if facts.manifest_hash != hash {
            let message = format!(
                "this manifest's salted hash is {hash:#x}, the chain has {:#x} for lease {lease}",
                facts.manifest_hash
            );
            let hint =
                "send the manifest that was ordered, or change its hash on chain first (`iono update`)";
            return Err(ApiError::unprocessable("manifest_mismatch", message, hint));
        }
        self.check(lease, &facts, &manifest)?;
        let stored = self.node.manifests.get(lease).await.map_err(|error| api_error(&error))?;
        let changed = stored.is_none_or(|stored| stored.hash() != hash);
        if changed {
            self.node.manifests.put(lease, manifest).await.map_err(|error| api_error(&error))?;
            fail_point("host.manifest.stored");
            self.node.book().change_lease(lease, |lease| lease.trouble = None);
            tracing::info!(%lease, "manifest received");
        }
        self.reconciler.retry_now(lease);
        Ok(ManifestReceipt { hash, changed })
    }

    async fn get_manifest(&self, lease: LeaseId) -> Result<SaltedManifest, ApiError> {
        let stored = self.node.manifests.get(lease).await.map_err(|error| api_error(&error))?;
        let hint = "send it with `iono deploy` or `iono update`";
        stored
            .map(|manifest| SaltedManifest::clone(&manifest))
            .ok_or_else(|| ApiError::not_found("no manifest was sent for this lease", hint))
    }

    async fn status(&self, lease: LeaseId) -> Result<LeaseStatus, ApiError> {
        // As the chain has it this moment; as it was last read while the chain cannot be asked.
        let facts = match self.read_facts(lease).await {
            Err(error) if error.retry_after.is_some() => self.facts(lease).await?,
            read => read?,
        };
        let observed = self.node.runtime.observe().await;
        let observed =
            observed.map_err(|error| api_error(&error))?.into_iter().find(|seen| seen.lease == lease);
        let manifest = self.node.manifests.get(lease).await.map_err(|error| api_error(&error))?;
        Ok(status::status(&self.node, lease, &facts, manifest.as_deref(), observed.as_ref()))
    }

    async fn logs(&self, lease: LeaseId, query: LogQuery) -> Result<LogStream, ApiError> {
        stream::logs(&*self.node.runtime, lease, query).await
    }

    async fn events(&self, lease: LeaseId, query: EventQuery) -> Result<EventStream, ApiError> {
        stream::events(&*self.node.runtime, lease, query).await
    }

    async fn shell(&self, lease: LeaseId, request: ShellRequest) -> Result<ShellSession<ApiError>, ApiError> {
        stream::shell(&*self.node.runtime, lease, request).await
    }

    async fn quote(&self, lease: LeaseId, request: QuoteRequest) -> Result<SignedQuote, ApiError> {
        let malformed = || ApiError::bad_request("spec is not the ABI encoding of one Spec");
        let (spec, spec_hash) = quote::decode_spec(&request.spec).ok_or_else(malformed)?;
        let spec = LeaseSpec::read(&spec).map_err(|error| ApiError::bad_request(error.to_string()))?;
        let facts = self.read_facts(lease).await?;
        if facts.words.lease_state() != Some(LeaseState::Active) {
            let message = format!("lease {lease} is not active; only an active one can be updated");
            return Err(ApiError::conflict("no_quote", message, "wait until it is confirmed"));
        }
        let most = request.max_rate.as_deref().map(str::parse::<u128>).transpose();
        let most = most
            .map_err(|_| ApiError::bad_request("max_rate is no decimal number of 1e-18 tokens per second"))?
            .map(Rate);
        let rate = self.price(lease, &facts, &spec, most).await?;
        if let Some(most) = most.filter(|most| *most < rate) {
            let message = format!("price: {rate} tokens asked here, {most} at most offered");
            return Err(ApiError::conflict("no_quote", message, "offer more, or ask for less"));
        }
        let expiry = self.node.view().head.timestamp.max(unix_now())
            + self.node.config().money.quote_expiry.0.as_secs();
        let offer = quote::Offer {
            lease,
            version: facts.words.manifest_version,
            old_rate: facts.words.rate(),
            spec_hash,
            rate,
            expiry,
        };
        let signed = self.node.acts.sign(offer).await;
        signed.map_err(|error| ApiError::unavailable("no_quote", error.to_string(), 5))
    }

    async fn restart(&self, lease: LeaseId, request: RestartRequest) -> Result<(), ApiError> {
        let switch = Switch(Arc::clone(&self.node));
        let restarted = self.node.runtime.restart(lease, request.service.as_deref(), &switch).await;
        self.node.leases_changed.notify_one();
        restarted.map_err(|error| api_error(&error))
    }

    async fn copy_in(&self, lease: LeaseId, target: FilePath, archive: ByteStream) -> Result<(), ApiError> {
        let FilePath { service, replica, path } = target;
        let archive = stream::incoming(archive);
        let copied = self.node.runtime.copy_in(lease, &service, replica, &path, archive).await;
        copied.map_err(|error| api_error(&error))
    }

    async fn copy_out(&self, lease: LeaseId, source: FilePath) -> Result<ByteStream, ApiError> {
        let FilePath { service, replica, path } = source;
        let archive = self.node.runtime.copy_out(lease, &service, replica, &path).await;
        archive.map(stream::outgoing).map_err(|error| api_error(&error))
    }
}
