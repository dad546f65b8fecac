//! `iono send`: tokens of the key itself to another account, outside escrow.

use iono_bindings::IERC20;
use serde_json::json;

use super::escrow::short;
use crate::args::money::Send;
use crate::context::Context;
use crate::error::{Failure, Kind, Result};
use crate::output::Report;
use crate::token::Tokens;
use crate::tx::Step;

pub(crate) async fn run(context: &Context, args: &Send) -> Result<Report> {
    let chain = context.chain().await?;
    let tokens = Tokens::load(&chain).await?;
    let token = context.pick_token(&tokens, args.token.as_deref())?;
    let amount = token.parse(&args.amount)?;
    if amount.is_zero() {
        return Err(Failure::new(Kind::Usage, "the amount is zero"));
    }
    // What is sent to one of the market's own contracts belongs to nobody from then on.
    if let Some(name) = chain.book.name_of(args.to) {
        let why = format!("{} is the contract of {name}: what is sent there is lost", args.to);
        return Err(Failure::new(Kind::Usage, why)
            .hint("`iono deposit` pays into escrow, `iono stake add` stakes SPON"));
    }
    let sender = context.sender(&chain).await?;
    let held = token.balance(&chain, sender.address()).await?;
    if held < amount {
        return Err(short(token, sender.address(), held, amount));
    }
    let call = IERC20::transferCall { to: args.to, amount };
    let doing = format!("send {} to {}", token.show(amount), args.to);
    let Some(sent) = sender.send(Step::new("send", doing, token.asset, &call)).await? else {
        return Ok(sender.plan());
    };
    let left = token.balance(&chain, sender.address()).await?;
    let json = json!({
        "from": sender.address(), "to": args.to, "token": token.symbol, "sent": token.plain(amount),
        "balance": token.plain(left), "transactions": [sent],
    });
    Ok(Report::new(&json, format!("sent {} to {}; {} left", token.show(amount), args.to, token.show(left))))
}
