//! What waits on payees' ledgers: `iono cash-out`, `iono provider cash-out` and, for the market's fees,
//! `iono admin collect-fees`. Anyone may send them on, since each payee's receiver is fixed.

use alloy::primitives::{Address, U256};
use futures::stream::{self, StreamExt, TryStreamExt};
use iono_bindings::IEscrow;
use serde_json::{Value, json};

use crate::args::money::CashOut;
use crate::chain::{Call, Chain};
use crate::context::Context;
use crate::error::{Failure, Kind, Result};
use crate::output::Report;
use crate::token::{Token, Tokens};
use crate::tx::{Sender, Sent, Step};

/// Ledgers that are read at a time.
const PARALLEL: usize = 16;
/// Payees whose fees one transaction collects: two slots each.
const BATCH: usize = 200;

/// An account's ledger: a matchmaker's match fees, the foundation's collected ones.
pub(crate) async fn account(context: &Context, args: &CashOut) -> Result<Report> {
    let payee = match args.payee {
        Some(payee) => payee,
        None => context.address().await?,
    };
    let whose = json!({ "payee": payee });
    pay(context, payee_of(payee), payee.to_string(), whose, args.token.as_deref()).await
}

/// A provider's ledger.
pub(crate) async fn provider(context: &Context, provider: u32, token: Option<&str>) -> Result<Report> {
    let whose = json!({ "provider": provider });
    pay(context, U256::from(provider), format!("provider {provider}"), whose, token).await
}

/// A light node's ledger, by who is paid for it.
pub(crate) async fn light_node(
    context: &Context,
    fizz: u32,
    payee: Address,
    token: Option<&str>,
) -> Result<Report> {
    let whose = json!({ "fizz": fizz, "payee": payee });
    pay(context, payee_of(payee), payee.to_string(), whose, token).await
}

/// What waits for an account, in the token's smallest unit.
pub(crate) async fn waiting(chain: &Chain, account: Address, token: &Token) -> Result<U256> {
    Ok(ledger(chain, payee_of(account), token).await?.0)
}

/// An address as the escrow numbers its payees.
fn payee_of(account: Address) -> U256 {
    U256::from_be_slice(account.as_slice())
}

async fn pay(
    context: &Context,
    payee: U256,
    name: String,
    mut json: Value,
    token: Option<&str>,
) -> Result<Report> {
    let chain = context.chain().await?;
    let tokens = Tokens::load(&chain).await?;
    let token = context.pick_token(&tokens, token)?;
    if ledger(&chain, payee, token).await?.0.is_zero() {
        return Err(Failure::new(Kind::Funds, format!("no {} waits for {name} in escrow", token.symbol))
            .hint("a lease's bill comes here when it is settled, which lags behind by the holdback"));
    }
    let sender = context.sender(&chain).await?;
    let step = step(&chain, payee, token, format!("cash out {name}"));
    let Some(sent) = sender.send(step).await? else { return Ok(sender.plan()) };
    let paid = paid(&sent)?;
    json["token"] = json!(token.symbol);
    json["amount"] = json!(token.plain(paid.amount));
    json["to"] = json!(paid.to);
    json["transactions"] = json!([sent]);
    Ok(Report::new(&json, format!("paid {} to {}", token.show(paid.amount), paid.to)))
}

fn step(chain: &Chain, payee: U256, token: &Token, doing: String) -> Step {
    let call = IEscrow::cashOutCall { payee, token: U256::from(token.id) };
    Step::new("cash_out", doing, chain.book.escrow, &call)
}

fn paid(sent: &Sent) -> Result<IEscrow::CashedOut> {
    sent.event().ok_or_else(|| Failure::new(Kind::Rpc, "the receipt shows no payment"))
}

/// `iono admin collect-fees`: from the providers' ledgers to the foundation's, and out to the foundation.
pub(crate) async fn collect_fees(context: &Context, token: Option<&str>) -> Result<Report> {
    let chain = context.chain().await?;
    let tokens = Tokens::load(&chain).await?;
    let token = context.pick_token(&tokens, token)?;
    let sender = context.sender(&chain).await?;
    let foundation = chain.escrow().foundation().call().await.or_call("cannot read who earns the fees")?;
    let (own, _) = ledger(&chain, foundation, token).await?;
    let mut sent = Vec::new();
    let collected = collect(&chain, &sender, token, &mut sent).await?;
    let mut paid_out = U256::ZERO;
    if !(own + collected).is_zero() {
        let doing = "cash out the foundation".to_owned();
        if let Some(last) = sender.send(step(&chain, foundation, token, doing)).await? {
            paid_out = paid(&last)?.amount;
            sent.push(last);
        }
    }
    if context.global.dry_run {
        return Ok(sender.plan());
    }
    let to = Address::from_word(foundation.into());
    let json = json!({
        "token": token.symbol, "foundation": to, "collected": token.plain(collected),
        "paid_out": token.plain(paid_out), "transactions": sent,
    });
    let text = if paid_out.is_zero() {
        format!("no fees wait in {}", token.symbol)
    } else {
        format!("collected {}; paid {} to the foundation, {to}", token.show(collected), token.show(paid_out))
    };
    Ok(Report::new(&json, text))
}

/// Moves the fee part of every provider's ledger to the foundation's; no other payee's has one.
async fn collect(chain: &Chain, sender: &Sender, token: &Token, sent: &mut Vec<Sent>) -> Result<U256> {
    let count = chain.registry().providerCount().call().await.or_call("cannot count the providers")?;
    let fees: Vec<(U256, U256)> = stream::iter(1..=count.saturating_to::<u32>())
        .map(|id| async move {
            let payee = U256::from(id);
            ledger(chain, payee, token).await.map(|(_, fee)| (payee, fee))
        })
        .buffered(PARALLEL)
        .try_collect()
        .await?;
    let waiting: Vec<(U256, U256)> = fees.into_iter().filter(|(_, fee)| !fee.is_zero()).collect();
    for batch in waiting.chunks(BATCH) {
        let payees = batch.iter().map(|(payee, _)| *payee).collect();
        let call = IEscrow::collectFeesCall { payees, token: U256::from(token.id) };
        let step = Step::new("collect_fees", "collect the fees", chain.book.escrow, &call);
        sent.extend(sender.send(step).await?);
    }
    Ok(waiting.iter().map(|(_, fee)| *fee).sum())
}

async fn ledger(chain: &Chain, payee: U256, token: &Token) -> Result<(U256, U256)> {
    let ledger = chain.escrow().ledgerOf(payee, U256::from(token.id)).call().await;
    ledger.or_call("cannot read a ledger").map(|ledger| (ledger.net, ledger.fee))
}
