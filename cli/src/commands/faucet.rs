//! `iono faucet`: test money on a devnet.

use alloy::primitives::{U256, utils::parse_ether};
use alloy::providers::{Provider, ext::AnvilApi};
use iono_bindings::IDevDollar;
use serde_json::json;

use crate::args::setup::Faucet;
use crate::chain::Chain;
use crate::context::Context;
use crate::error::{Context as _, Failure, Kind, Result};
use crate::output::Report;
use crate::token::{Tokens, ether};
use crate::tx::Step;

pub(crate) async fn run(context: &Context, args: &Faucet) -> Result<Report> {
    let chain = context.chain().await?;
    let tokens = Tokens::load(&chain).await?;
    let token = context.pick_token(&tokens, args.token.as_deref())?;
    let amount = token.parse(&args.amount)?;
    let sender = context.sender(&chain).await?;
    let gift = give_ether(context, &chain, sender.address()).await?;
    let call = IDevDollar::mintCall { to: sender.address(), amount };
    let step = Step::new("mint", format!("mint {}", token.symbol), token.asset, &call);
    let sent = match sender.send(step).await {
        Ok(Some(sent)) => sent,
        Ok(None) => return Ok(sender.plan()),
        Err(failure) if failure.kind == Kind::Refused => {
            return Err(Failure::new(
                Kind::Refused,
                format!("{} is no test token: nobody can mint it", token.symbol),
            )
            .hint("there are faucets on devnets only; `iono admin token list` shows the tokens"));
        }
        Err(failure) => return Err(failure),
    };
    let balance = token.balance(&chain, sender.address()).await?;
    let json = json!({
        "address": sender.address(), "token": token.symbol, "minted": token.plain(amount),
        "balance": token.plain(balance), "ether_given": gift.to_string(), "transactions": [sent],
    });
    Ok(Report::new(
        &json,
        format!("minted {}; {} holds {}", token.show(amount), sender.address(), token.show(balance)),
    ))
}

/// One ether for an account that cannot pay for gas, where the node is Anvil and lets anyone set balances.
async fn give_ether(context: &Context, chain: &Chain, account: alloy::primitives::Address) -> Result<U256> {
    let enough = parse_ether("0.05").or_fail(Kind::Failed, "cannot count ether")?;
    let gift = parse_ether("1").or_fail(Kind::Failed, "cannot count ether")?;
    let have = ether(chain, account).await?;
    if have >= enough || context.global.dry_run {
        return Ok(U256::ZERO);
    }
    let version = chain.rpc.get_client_version().await.unwrap_or_default();
    if !version.starts_with("anvil/") {
        return Ok(U256::ZERO);
    }
    chain.rpc.anvil_set_balance(account, have + gift).await.or_fail(Kind::Rpc, "Anvil gave no ether")?;
    context.output.note(&format!("gave {account} one ether for gas"));
    Ok(gift)
}
