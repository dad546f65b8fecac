//! `iono deploy`: order → bids → match → lease → confirmation → manifest → URLs. Each step is found on the chain again,
//! so that an interrupted deployment is continued where it stood.

mod follow;
mod place;
mod start;

pub(crate) use start::{Running, send};

use std::time::{Duration, Instant};

use iono_bindings::{IOrderBook, LeaseWords};
use serde::Serialize;
use serde_json::json;

use crate::agreed;
use crate::args::lease::{Cancel, Deploy, Resolve, SendManifest};
use crate::chain::{Chain, topic};
use crate::context::{Context, wallet_topic, wallets_of};
use crate::error::{Failure, Kind, Result};
use crate::lease_file::LeaseFile;
use crate::manifest_file;
use crate::order::{Draft, Listed, per_hour};
use crate::output::{Progress, Report, facts};
use crate::remote::{Need, Remote};
use crate::time;
use crate::token::{Token, Tokens};
use crate::tx::{Sender, Sent, Step};

/// Seconds after which an order that is in no block will never be.
const FORGET: u64 = 3_600;

/// How long an order that a re-organisation took away may take to come back.
const REORGANISED: Duration = Duration::from_secs(20);

/// Seconds that each step took, from the command's start.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Seconds {
    /// Until the order was in a block.
    order: f64,
    /// Until the lease existed.
    lease: f64,
    /// Until the provider had confirmed.
    confirm: f64,
    /// Until the provider had the manifest.
    manifest: f64,
    /// Until every replica served and every URL answered.
    ready: f64,
    /// From sending the manifest to the first answer of the first URL; absent without URLs.
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest_to_http: Option<f64>,
}

/// One deployment on its way.
struct Run<'a> {
    context: &'a Context,
    chain: &'a Chain,
    sender: &'a Sender,
    progress: Progress,
    begun: Instant,
    deadline: tokio::time::Instant,
    seconds: Seconds,
    sent: Vec<Sent>,
}

impl Run<'_> {
    fn clock(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// Fails when the whole deployment takes too long; nothing is lost by it.
    fn in_time(&self, waiting_for: &str) -> Result<()> {
        if tokio::time::Instant::now() < self.deadline {
            return Ok(());
        }
        Err(Failure::new(Kind::Timeout, format!("gave up waiting for {waiting_for}"))
            .hint("`iono deploy --resume` continues; --timeout waits longer"))
    }
}

pub(crate) async fn run(context: &Context, args: &Deploy) -> Result<Report> {
    let chain = context.chain().await?;
    let tokens = Tokens::load(&chain).await?;
    let sender = context.sender(&chain).await?;
    if args.resume {
        return resume(context, &chain, &tokens, &sender, args).await;
    }
    let Some(path) = &args.file else { return Err(Failure::new(Kind::Usage, "which manifest?")) };
    let deployment = manifest_file::read(path, context.output)?;
    manifest_file::available(path, &deployment)?;
    let listed = listed(&chain, args, &deployment.providers).await?;
    let configured = context.config.token.as_deref();
    let draft = Draft::new(&deployment, &tokens, configured, &args.price, args.region, listed)?;
    for note in &draft.notes {
        context.output.note(note);
    }
    let manifest = manifest_file::salted(path, &deployment)?;
    let mut file = LeaseFile::new(&chain, sender.address(), &manifest)?;

    let mut run = begin(context, &chain, &sender, args);
    let order = match run.place(&draft, manifest.hash(), args.wallet, &mut file).await? {
        Some(order) => order,
        None => return Ok(sender.plan()),
    };
    run.finish(order, file, &tokens).await
}

fn begin<'a>(context: &'a Context, chain: &'a Chain, sender: &'a Sender, args: &Deploy) -> Run<'a> {
    Run {
        context,
        chain,
        sender,
        progress: context.output.progress(),
        begun: Instant::now(),
        deadline: tokio::time::Instant::now() + args.timeout,
        seconds: Seconds::default(),
        sent: Vec::new(),
    }
}

/// The command line's lists; else the providers that the manifest names.
async fn listed(chain: &Chain, args: &Deploy, named: &[String]) -> Result<Listed> {
    if !args.allow.is_empty() {
        return Ok(Listed::Allowed(args.allow.clone()));
    }
    if !args.deny.is_empty() {
        return Ok(Listed::Denied(args.deny.clone()));
    }
    Listed::named(chain, named).await
}

/// Continues every deployment of this key that did not come to its end.
async fn resume(
    context: &Context,
    chain: &Chain,
    tokens: &Tokens,
    sender: &Sender,
    args: &Deploy,
) -> Result<Report> {
    let mut reports = Vec::new();
    let mut failed = None;
    for mut file in LeaseFile::interrupted(&context.home, chain, sender.address())? {
        let Some(order) = order_of(chain, &file).await? else {
            if iono_identity::unix_now().saturating_sub(file.created) < FORGET {
                context.output.warn("something was interrupted before it was in a block; look again later");
            } else {
                // It never reached a block: there is nothing to continue and nothing was paid.
                file.remove(&context.home)?;
            }
            continue;
        };
        file.order = Some(order);
        context.output.note(&format!("continuing order {order}"));
        match begin(context, chain, sender, args).finish(order, file, tokens).await {
            Ok(report) => reports.push(report),
            Err(failure) => {
                context.output.warn(&format!("order {order}: {}", failure.message));
                failed = Some(failure);
            }
        }
    }
    match failed {
        Some(failure) => Err(failure),
        None if reports.is_empty() => {
            context.output.note("no deployment was interrupted");
            Ok(Report::new(&json!([]), ""))
        }
        None => {
            let json: Vec<_> = reports.iter().map(|report| report.json.clone()).collect();
            let text: Vec<_> = reports.into_iter().map(|report| report.text).collect();
            Ok(Report::new(&json, text.join("\n\n")))
        }
    }
}

/// The order or lease that a kept manifest is agreed on for: the number that was noted, unless the chain says otherwise
/// (a re-organisation may have renumbered it, an update may never have come).
async fn order_of(chain: &Chain, file: &LeaseFile) -> Result<Option<u64>> {
    if let Some(order) = file.order {
        match agreed::agreed(chain, order).await {
            Ok(agreed) if agreed.manifest_hash == file.hash => return Ok(Some(order)),
            Err(failure) if failure.kind != Kind::NotFound => return Err(failure),
            _ => {}
        }
    }
    for wallet in wallets_of(chain, file.account).await? {
        let topics = [None, wallet_topic(wallet), None];
        let orders = chain.all_events::<IOrderBook::OrderCreated>(chain.book.order_book, topics).await?;
        let found = orders.into_iter().find(|(event, _)| event.spec.manifestHash == file.hash);
        if let Some((event, _)) = found {
            return Ok(Some(event.order.saturating_to()));
        }
    }
    Ok(None)
}

impl Run<'_> {
    /// From the order to the answering workload.
    async fn finish(mut self, order: u64, mut file: LeaseFile, tokens: &Tokens) -> Result<Report> {
        let done = self.continue_from(order, &mut file, tokens).await;
        // What cannot go on is not tried again by --resume.
        if done.as_ref().is_err_and(|failure| failure.kind == Kind::NoMatch) {
            file.remove(&self.context.home)?;
        }
        if done.as_ref().is_err_and(|failure| matches!(failure.kind, Kind::Provider | Kind::Rpc)) {
            self.context.output.note(&format!(
                "lease {order} goes on: `iono deploy --resume` continues, `iono close {order}` ends it"
            ));
        }
        done
    }

    async fn continue_from(&mut self, order: u64, file: &mut LeaseFile, tokens: &Tokens) -> Result<Report> {
        let (order, words) = self.leased(order, file).await?;
        let (lease_block, confirm_block) = agreed::blocks(self.chain, order).await?;
        let ordered = agreed::agreed(self.chain, order).await?.ordered;
        let remote = Remote::open(self.context, self.chain, order, Need::Write).await?;
        let running = self.start(&remote, &file.salted()?).await?;
        file.done = true;
        file.save(&self.context.home)?;

        let token = tokens.by_id(words.token)?;
        let json = json!({
            "order": order,
            "lease": order,
            "wallet": words.wallet,
            "provider": words.provider,
            "endpoint": remote.provider.record.endpoint,
            "token": token.symbol,
            "rate_per_hour": words.rate().hourly(),
            "ends_at": words.end,
            "manifest_hash": file.hash,
            "urls": running.urls,
            "ports": running.ports,
            "ips": running.ips,
            "blocks": { "order": ordered, "lease": lease_block, "confirm": confirm_block },
            "transactions": self.sent,
            "seconds": self.seconds,
        });
        Ok(Report::new(&json, describe(order, &words, token, &remote, &running)))
    }

    /// Follows the order to its confirmed lease, also when a re-organisation of the chain takes it away or gives its
    /// number to somebody else's.
    async fn leased(&mut self, mut order: u64, file: &mut LeaseFile) -> Result<(u64, LeaseWords)> {
        loop {
            match self.follow(order).await {
                Ok(words) if order_of(self.chain, file).await? == Some(order) => return Ok((order, words)),
                Err(failure) if failure.kind != Kind::NotFound => return Err(failure),
                _ => {}
            }
            self.context
                .output
                .warn(&format!("the chain was re-organised: order {order} is not ours any more"));
            order = self.found_again(file).await?;
            file.order = Some(order);
            file.save(&self.context.home)?;
        }
    }

    /// A transaction that a re-organisation threw out comes into another block as a rule.
    async fn found_again(&self, file: &LeaseFile) -> Result<u64> {
        let until = Instant::now() + REORGANISED;
        while Instant::now() < until {
            if let Some(order) = order_of(self.chain, file).await? {
                return Ok(order);
            }
            tokio::time::sleep(REORGANISED / 20).await;
        }
        Err(Failure::new(
            Kind::NoMatch,
            "a re-organisation of the chain took the order away; nothing was paid",
        )
        .hint("deploy again"))
    }
}

fn describe(
    lease: u64,
    words: &LeaseWords,
    token: &Token,
    remote: &Remote,
    running: &start::Running,
) -> String {
    let mut pairs = vec![
        ("lease", lease.to_string()),
        (
            "provider",
            format!("{} ({}, {})", words.provider, remote.provider.record.endpoint, remote.provider.region()),
        ),
        ("price", per_hour(words.rate(), token)),
        ("paid for", time::span(u64::from(words.duration))),
    ];
    pairs.extend(running.urls.iter().map(|url| ("url", url.clone())));
    pairs.extend(running.ports.iter().map(|port| {
        let at = format!(
            "{}:{} → {} {}/{}",
            port.host, port.port, port.service, port.container_port, port.protocol
        );
        ("port", at)
    }));
    pairs.extend(running.ips.iter().map(|ip| ("address", ip.clone())));
    facts(&pairs)
}

/// `iono send-manifest`: the kept manifest, or the file that was ordered with the kept salt.
pub(crate) async fn send_manifest(context: &Context, args: &SendManifest) -> Result<Report> {
    let chain = context.chain().await?;
    let hash = agreed::agreed(&chain, args.lease).await?.manifest_hash;
    let Some(mut kept) = LeaseFile::load(&context.home, hash)? else {
        // Without the salt no file can be shown to be the one that was ordered.
        let why = format!("this machine has neither manifest nor salt of lease {}", args.lease);
        return Err(Failure::new(Kind::Setup, why).hint(format!(
            "`iono manifest get {lease}` returns them if the provider has them; else `iono update {lease} FILE` agrees \
             on a manifest anew",
            lease = args.lease
        )));
    };
    let salted = kept.salted()?;
    if let Some(path) = &args.file {
        let deployment = manifest_file::read(path, context.output)?;
        if manifest_file::salted(path, &deployment)?.manifest() != salted.manifest() {
            let why = format!("{} is not what lease {} was ordered with", path.display(), args.lease);
            return Err(Failure::new(Kind::Manifest, why)
                .hint("its hash is on the chain: `iono update LEASE FILE` agrees on another manifest"));
        }
    }
    let remote = Remote::open(context, &chain, args.lease, Need::Write).await?;
    let receipt = start::send(&remote, &salted).await?;
    kept.done = true;
    kept.save(&context.home)?;
    let text = if receipt.changed {
        "the provider has the manifest now"
    } else {
        "the provider had the manifest already"
    };
    let json = json!({ "lease": args.lease, "manifest_hash": receipt.hash, "changed": receipt.changed });
    Ok(Report::new(&json, text))
}

/// `iono resolve`: what a matchmaker does.
pub(crate) async fn resolve(context: &Context, args: &Resolve) -> Result<Report> {
    use IOrderBook::{OrderMatched, OrderVoided, resolveCall};
    let chain = context.chain().await?;
    let sender = context.sender(&chain).await?;
    let call = resolveCall { order: alloy::primitives::U256::from(args.order) };
    let step = Step::new("resolve", format!("resolve order {}", args.order), chain.book.order_book, &call);
    let Some(sent) = sender.send(step).await? else { return Ok(sender.plan()) };
    let provider: u32 = sent.event::<OrderMatched>().map_or(0, |event| event.provider.saturating_to());
    let void = sent.event::<OrderVoided>().is_some();
    let json = json!({ "order": args.order, "provider": provider, "void": void, "transactions": [sent] });
    let text = if void {
        format!("order {} is void: what it reserved is free again", args.order)
    } else {
        format!("order {} goes to provider {provider}", args.order)
    };
    Ok(Report::new(&json, text))
}

/// `iono cancel`: while bidding is open.
pub(crate) async fn cancel(context: &Context, args: &Cancel) -> Result<Report> {
    let chain = context.chain().await?;
    let sender = context.sender(&chain).await?;
    let call = IOrderBook::cancelCall { order: alloy::primitives::U256::from(args.order) };
    let step = Step::new("cancel", format!("cancel order {}", args.order), chain.book.order_book, &call);
    let Some(sent) = sender.send(step).await? else { return Ok(sender.plan()) };
    let json = json!({ "order": args.order, "transactions": [sent] });
    Ok(Report::new(&json, format!("order {} is cancelled: what it reserved is free again", args.order)))
}

/// The topic of an order or lease.
fn id_topic(id: u64) -> Option<alloy::primitives::B256> {
    topic(alloy::primitives::U256::from(id))
}
