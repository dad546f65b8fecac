//! `extend`, `close`, `rate`, `restart`: one step each in a lease's life.

use alloy::primitives::U256;
use iono_bindings::{ILeaseBook, IRatings, LeaseWords};
use iono_primitives::LeaseState;
use serde_json::json;

use super::escrow;
use crate::agreed;
use crate::args::lease::{Close, Extend, Rate, Restart};
use crate::chain::Chain;
use crate::context::Context;
use crate::error::{Failure, Kind, Result};
use crate::holdings::{lease_words, lock_of};
use crate::output::Report;
use crate::providers::stars;
use crate::remote::{Need, Remote, Remotely};
use crate::time;
use crate::token::Tokens;
use crate::tx::Step;

/// The words of a lease that is there.
async fn known(chain: &Chain, lease: u64) -> Result<LeaseWords> {
    let words = lease_words(chain, lease).await?;
    match words.lease_state() {
        None | Some(LeaseState::None) => Err(agreed::unknown("lease", lease)),
        Some(_) => Ok(words),
    }
}

pub(crate) async fn extend(context: &Context, args: &Extend) -> Result<Report> {
    let chain = context.chain().await?;
    let words = known(&chain, args.lease).await?;
    let tokens = Tokens::load(&chain).await?;
    let token = tokens.by_id(words.token)?;
    let sender = context.sender(&chain).await?;
    let price = lock_of(words.rate(), u64::from(args.duration), words.decimals, words.payer_fee);
    let free = escrow::free_of(&chain, words.wallet, token).await?;
    let mut sent = Vec::new();
    if free < price {
        escrow::top_up(&chain, &sender, token, words.wallet, price - free, context.output, &mut sent).await?;
    }
    let call = ILeaseBook::extendCall { lease: U256::from(args.lease), secs: args.duration };
    let step = Step::new("extend", format!("extend lease {}", args.lease), chain.book.lease_book, &call);
    let Some(extended) = sender.send(step).await? else { return Ok(sender.plan()) };
    let event = extended
        .event::<ILeaseBook::LeaseExtended>()
        .ok_or_else(|| Failure::new(Kind::Rpc, "the receipt shows no extension"))?;
    sent.push(extended);
    let (_, now) = chain.head().await?;
    let ends_at: u64 = event.end.saturating_to();
    let left = ends_at.saturating_sub(now);
    let json = json!({
        "lease": args.lease, "ends_at": ends_at, "seconds_left": left, "locked": token.plain(event.amount),
        "token": token.symbol, "transactions": sent,
    });
    Ok(Report::new(
        &json,
        format!(
            "lease {} runs for {} more; locked {}",
            args.lease,
            time::span(left),
            token.show(event.amount)
        ),
    ))
}

pub(crate) async fn close(context: &Context, args: &Close) -> Result<Report> {
    let chain = context.chain().await?;
    let words = known(&chain, args.lease).await?;
    let tokens = Tokens::load(&chain).await?;
    let token = tokens.by_id(words.token)?;
    let sender = context.sender(&chain).await?;
    let call = ILeaseBook::closeCall { lease: U256::from(args.lease) };
    let step = Step::new("close", format!("close lease {}", args.lease), chain.book.lease_book, &call);
    let Some(sent) = sender.send(step).await? else { return Ok(sender.plan()) };
    let refund = sent.event::<ILeaseBook::LeaseClosed>().map_or(U256::ZERO, |event| event.refund);
    let json = json!({
        "lease": args.lease, "wallet": words.wallet, "refund": token.plain(refund), "token": token.symbol,
        "transactions": [sent],
    });
    Ok(Report::new(
        &json,
        format!(
            "lease {} is closed; {} are free in wallet {} again",
            args.lease,
            token.show(refund),
            words.wallet
        ),
    ))
}

pub(crate) async fn rate(context: &Context, args: &Rate) -> Result<Report> {
    let chain = context.chain().await?;
    let words = known(&chain, args.lease).await?;
    let sender = context.sender(&chain).await?;
    let call = IRatings::rateCall { lease: U256::from(args.lease), stars: U256::from(args.stars) };
    let step = Step::new("rate", format!("rate lease {}", args.lease), chain.book.ratings, &call);
    let Some(sent) = sender.send(step).await? else { return Ok(sender.plan()) };
    let average: u16 = sent.event::<IRatings::Rated>().map_or(0, |event| event.average.saturating_to());
    let shown = stars(average.saturating_add(1));
    let json = json!({
        "lease": args.lease, "provider": words.provider, "stars": args.stars, "average": f64::from(average) / 100.0,
        "transactions": [sent],
    });
    Ok(Report::new(
        &json,
        format!("rated provider {} with {} stars; its average is {shown}", words.provider, args.stars),
    ))
}

pub(crate) async fn restart(context: &Context, args: &Restart) -> Result<Report> {
    let chain = context.chain().await?;
    let remote = Remote::open(context, &chain, args.lease, Need::Write).await?;
    remote
        .client
        .restart(remote.lease, args.service.as_deref())
        .await
        .or_remote("the provider did not restart the workload")?;
    let what = args.service.as_deref().unwrap_or("all services");
    let json = json!({ "lease": args.lease, "service": args.service });
    Ok(Report::new(&json, format!("restarted {what} of lease {}", args.lease)))
}
