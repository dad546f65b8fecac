//! `iono ps` and `iono status`: leases found from the key alone, by the chain's events, those of wallets that others
//! delegated to it included; money that ends is warned of.

use alloy::primitives::U256;
use futures::stream::{self, StreamExt, TryStreamExt};
use iono_bindings::{LeaseWords, OrderWords};
use iono_lease_api::{LeaseStatus, MoneyWarning, PausedReason};
use iono_primitives::{LeaseId, LeaseState, OrderState, Rate};
use serde_json::{Value, json};

use super::delegate::{Access, delegated_to};
use super::deploy::Running;
use crate::agreed;
use crate::args::lease::{Ps, Status};
use crate::chain::{Call, Chain};
use crate::context::{Context, wallets_of};
use crate::error::Result;
use crate::holdings::{lease_words, order_words, orders_of};
use crate::lease_file::LeaseFile;
use crate::order::per_hour;
use crate::output::{Report, facts, table};
use crate::providers;
use crate::remote::{self, Need, Remote};
use crate::time;
use crate::token::Tokens;

/// How many leases are read at a time.
const PARALLEL: usize = 16;

/// One order and what became of it.
struct Entry {
    order: u64,
    wallet: u64,
    access: Access,
    words: OrderWords,
    /// Once it was matched.
    lease: Option<LeaseWords>,
}

impl Entry {
    async fn load(chain: &Chain, wallet: u64, access: Access, order: u64) -> Result<Self> {
        let words = order_words(chain, order).await?;
        let lease = if words.order_state() == Some(OrderState::Matched) {
            Some(lease_words(chain, order).await?)
        } else {
            None
        };
        Ok(Self { order, wallet, access, words, lease })
    }

    /// Open, pending, active or paused.
    fn is_live(&self) -> bool {
        match &self.lease {
            Some(lease) => lease.lease_state() != Some(LeaseState::Closed),
            None => self.words.order_state() == Some(OrderState::Open),
        }
    }

    fn state(&self) -> String {
        match &self.lease {
            Some(lease) => lease_state(lease),
            None => match self.words.order_state() {
                Some(OrderState::Open) => "bidding".to_owned(),
                Some(OrderState::Void) => "void".to_owned(),
                Some(OrderState::Cancelled) => "cancelled".to_owned(),
                _ => "unknown".to_owned(),
            },
        }
    }

    fn rate(&self) -> Rate {
        self.lease.as_ref().map_or(Rate(self.words.max_rate), LeaseWords::rate)
    }
}

/// A lease's state in one word, as JSON and tables have it.
fn lease_state(lease: &LeaseWords) -> String {
    match lease.lease_state() {
        Some(LeaseState::Pending) => "pending",
        Some(LeaseState::Active) => "active",
        Some(LeaseState::Paused) => "paused",
        Some(LeaseState::Closed) => "closed",
        Some(LeaseState::None) | None => "unknown",
    }
    .to_owned()
}

/// Paid seconds that are left; `None` unless it runs.
fn left(lease: &LeaseWords, now: u64) -> Option<u64> {
    matches!(lease.lease_state(), Some(LeaseState::Active | LeaseState::Paused))
        .then(|| lease.end.saturating_sub(now))
}

fn warning(lease: u64, words: &LeaseWords, now: u64) -> Option<MoneyWarning> {
    MoneyWarning::for_lease(LeaseId(lease), left(words, now)?)
}

pub(crate) async fn ps(context: &Context, args: &Ps) -> Result<Report> {
    let owner = context.address().await?;
    let chain = context.chain().await?;
    let tokens = Tokens::load(&chain).await?;
    let (_, now) = chain.head().await?;
    let (own, lent) = tokio::try_join!(wallets_of(&chain, owner), delegated_to(&chain, owner, now))?;
    // Who named itself a delegate of its own wallet is its owner all the same.
    let lent = lent.into_iter().filter(|(wallet, _)| !own.contains(wallet));
    let wallets = own.iter().map(|wallet| (*wallet, Access::Owner)).chain(lent);
    let mut wanted = Vec::new();
    for (wallet, access) in wallets {
        wanted.extend(orders_of(&chain, wallet).await?.into_iter().map(|order| (wallet, access, order)));
    }
    wanted.sort_by_key(|(_, _, order)| *order);
    let entries: Vec<Entry> = stream::iter(wanted)
        .map(|(wallet, access, order)| Entry::load(&chain, wallet, access, order))
        .buffered(PARALLEL)
        .try_collect()
        .await?;
    let shown: Vec<&Entry> = entries.iter().filter(|entry| args.all || entry.is_live()).collect();
    let mut rows = Vec::new();
    let mut json: Vec<Value> = Vec::new();
    for entry in &shown {
        let token = tokens.by_id(entry.words.token)?;
        let lease = entry.lease.as_ref();
        let time_left = lease.and_then(|lease| left(lease, now));
        let warning = lease.and_then(|lease| warning(entry.order, lease, now));
        let reason = lease.and_then(LeaseWords::close_reason).filter(|reason| reason.code() != 0);
        if let Some(warning) = &warning {
            context.output.warn(&warning.message);
        }
        rows.push(vec![
            entry.order.to_string(),
            reason.map_or_else(|| entry.state(), |reason| format!("closed: {reason}")),
            lease.map_or_else(|| "–".to_owned(), |lease| lease.provider.to_string()),
            per_hour(entry.rate(), token),
            time_left.map_or_else(|| "–".to_owned(), time::span),
            match entry.access {
                Access::Owner => entry.wallet.to_string(),
                Access::Read => format!("{} (delegate, reads)", entry.wallet),
                Access::Write => format!("{} (delegate)", entry.wallet),
            },
        ]);
        json.push(json!({
            "order": entry.order,
            "lease": lease.map(|_| entry.order),
            "wallet": entry.wallet,
            "access": entry.access,
            "state": entry.state(),
            "close_reason": reason,
            "provider": lease.map(|lease| lease.provider),
            "token": token.symbol,
            "rate_per_hour": entry.rate().hourly(),
            "ends_at": lease.filter(|_| time_left.is_some()).map(|lease| lease.end),
            "seconds_left": time_left,
            "warning": warning,
        }));
    }
    if rows.is_empty() {
        let closed = entries.len();
        context.output.note(&if closed == 0 {
            format!("{owner} has no leases")
        } else {
            format!("no live lease; --all shows {closed} that ended")
        });
        return Ok(Report::new(&json, ""));
    }
    Ok(Report::new(&json, table(&["LEASE", "STATE", "PROVIDER", "PRICE", "LEFT", "WALLET"], rows)))
}

pub(crate) async fn status(context: &Context, args: &Status) -> Result<Report> {
    let chain = context.chain().await?;
    let tokens = Tokens::load(&chain).await?;
    let order = order_words(&chain, args.lease).await?;
    let words = match order.order_state() {
        None | Some(OrderState::None) => return Err(agreed::unknown("order", args.lease)),
        Some(OrderState::Matched) => lease_words(&chain, args.lease).await?,
        Some(_) => return Ok(order_status(args.lease, &order, &tokens)),
    };
    let (_, now) = chain.head().await?;
    let token = tokens.by_id(words.token)?;
    let locked = chain
        .lease_book()
        .lockedOf(U256::from(args.lease))
        .call()
        .await
        .or_call("cannot read the lease's lock")?;
    let warning = warning(args.lease, &words, now);
    if let Some(warning) = &warning {
        context.output.warn(&warning.message);
    }
    let provider = providers::Provider::load(&chain, words.provider).await?;
    let seen = seen_by_provider(context, &chain, args.lease).await;
    if let Err(failure) = &seen {
        context.output.warn(&failure.message);
    }
    let reason = words.close_reason().filter(|reason| reason.code() != 0);
    let (ok, problem) = (seen.as_ref().ok(), seen.as_ref().err());
    let running = ok.map(|status| Running::of(&status.services)).unwrap_or_default();
    let json = json!({
        "lease": args.lease,
        "wallet": words.wallet,
        "state": lease_state(&words),
        "close_reason": reason,
        "paused_reason": ok.and_then(|status| status.paused_reason),
        "provider": words.provider,
        "endpoint": provider.record.endpoint,
        "token": token.symbol,
        "rate_per_hour": words.rate().hourly(),
        "locked": token.plain(locked),
        "ends_at": left(&words, now).map(|_| words.end),
        "seconds_left": left(&words, now),
        "manifest_hash": ok.and_then(|status| status.manifest_hash),
        "services": ok.map(|status| &status.services),
        "urls": running.urls,
        "ports": running.ports,
        "warning": warning,
        "provider_error": problem,
    });
    let mut pairs = vec![
        ("lease", args.lease.to_string()),
        ("state", reason.map_or_else(|| lease_state(&words), |reason| format!("closed: {reason}"))),
        ("provider", format!("{} ({}, {})", words.provider, provider.record.endpoint, provider.region())),
        ("price", per_hour(words.rate(), token)),
        ("locked", token.show(locked)),
    ];
    if let Some(left) = left(&words, now) {
        pairs.push(("left", time::span(left)));
    }
    let mut text = facts(&pairs);
    if let Some(status) = ok {
        text.push_str(&services(status));
    }
    Ok(Report::new(&json, text))
}

/// An order without a lease.
fn order_status(id: u64, order: &OrderWords, tokens: &Tokens) -> Report {
    let state = order.order_state();
    let words = state.map_or("unknown", OrderState::words);
    let rate = Rate(order.max_rate);
    let price = tokens.by_id(order.token).map_or_else(|_| rate.hourly(), |token| per_hour(rate, token));
    let json = json!({
        "order": id, "lease": null, "wallet": order.wallet, "state": state, "bids": order.occupancy.count_ones(),
        "close_block": order.close_block, "max_rate_per_hour": rate.hourly(),
    });
    let text = facts(&[
        ("order", id.to_string()),
        ("state", words.to_owned()),
        ("bids", order.occupancy.count_ones().to_string()),
        ("at most", price),
        ("bidding until", format!("block {}", order.close_block)),
    ]);
    Report::new(&json, text)
}

async fn seen_by_provider(context: &Context, chain: &Chain, lease: u64) -> Result<LeaseStatus> {
    let remote = Remote::open(context, chain, lease, Need::Read).await?;
    let ask = async || {
        let status = remote.client.status(remote.lease).await;
        status.map_err(|error| remote::failure("the provider does not say how the workload is", error))
    };
    let status = ask().await?;
    if status.paused_reason != Some(PausedReason::AwaitingManifest) {
        return Ok(status);
    }
    // The provider lost the manifest and waits unpaid; whoever has it sends it again.
    let hash = agreed::agreed(chain, lease).await?.manifest_hash;
    let Some(kept) = LeaseFile::load(&context.home, hash)? else { return Ok(status) };
    let remote = Remote::open(context, chain, lease, Need::Write).await?;
    super::deploy::send(&remote, &kept.salted()?).await?;
    context.output.note("the provider had lost the manifest: sent it again");
    ask().await
}

/// Services with replicas and where they are reached.
fn services(status: &LeaseStatus) -> String {
    let mut text = String::new();
    if let Some(reason) = status.paused_reason {
        text.push_str(&format!(
            "\npaused: {}",
            match reason {
                PausedReason::AwaitingManifest => format!(
                    "the provider lost the manifest: `iono send-manifest {lease}` sends it again, \
                     `iono update {lease} FILE` another one within the same resources",
                    lease = status.lease
                ),
                PausedReason::NodeLost =>
                    "the machine cannot be reached; not billed until it is back".to_owned(),
                PausedReason::Arbiter => "by an arbiter".to_owned(),
            }
        ));
    }
    let rows = status.services.iter().map(|service| {
        let last = service
            .last_exit
            .as_ref()
            .map_or_else(|| "–".to_owned(), |exit| format!("{} ({})", exit.code, exit.reason));
        vec![
            service.name.clone(),
            format!("{}/{}", service.ready, service.desired),
            service.restarts.to_string(),
            last,
        ]
    });
    if !status.services.is_empty() {
        text.push_str("\n\n");
        text.push_str(&table(&["SERVICE", "READY", "RESTARTS", "LAST EXIT"], rows));
    }
    let running = Running::of(&status.services);
    for url in &running.urls {
        text.push_str(&format!("\n{url}"));
    }
    for port in &running.ports {
        text.push_str(&format!(
            "\n{}:{} → {} {}/{}",
            port.host, port.port, port.service, port.container_port, port.protocol
        ));
    }
    text
}
