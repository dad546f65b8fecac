//! `iono faucet`: test money on a devnet: the test dollar is minted, SPON comes from the deployer's holding.

use std::time::Duration;

use alloy::network::TransactionBuilder;
use alloy::primitives::{Address, U256, utils::parse_ether};
use alloy::providers::{Provider, ext::AnvilApi};
use alloy::rpc::types::TransactionRequest;
use alloy::sol_types::SolCall;
use iono_bindings::{IDevDollar, IERC20};
use serde_json::json;

use crate::args::setup::Faucet;
use crate::chain::Chain;
use crate::context::Context;
use crate::error::{Context as _, Failure, Kind, Result};
use crate::output::Report;
use crate::token::{Token, Tokens, ether};
use crate::tx::{Sent, Step, is_nonce_race};

pub(crate) async fn run(context: &Context, args: &Faucet) -> Result<Report> {
    let chain = context.chain().await?;
    let tokens = Tokens::load(&chain).await?;
    let token = context.pick_token(&tokens, args.token.as_deref())?;
    let amount = token.parse(&args.amount)?;
    let sender = context.sender(&chain).await?;
    let account = sender.address();
    let gift = give_ether(context, &chain, account).await?;
    let sent = if token.spon {
        let transfer = IERC20::transferCall { to: account, amount };
        if context.global.dry_run {
            return Ok(planned(context, deployer(&chain)?, token, &transfer));
        }
        spon(context, &chain, token, &transfer).await?
    } else {
        let call = IDevDollar::mintCall { to: account, amount };
        let step = Step::new("mint", format!("mint {}", token.symbol), token.asset, &call);
        match sender.send(step).await {
            Ok(Some(sent)) => sent,
            Ok(None) => return Ok(sender.plan()),
            Err(failure) if failure.kind == Kind::Refused => {
                let why = format!("{} is no test token: nobody can mint it", token.symbol);
                return Err(Failure::new(Kind::Refused, why)
                    .hint("there are faucets on devnets only; `iono admin token list` shows the tokens"));
            }
            Err(failure) => return Err(failure),
        }
    };
    let balance = token.balance(&chain, account).await?;
    let json = json!({
        "address": account, "token": token.symbol, "given": token.plain(amount),
        "balance": token.plain(balance), "ether_given": gift.to_string(), "transactions": [sent],
    });
    Ok(Report::new(&json, format!("gave {}; {account} holds {}", token.show(amount), token.show(balance))))
}

/// Tries to draw on the deployer's account while others do.
const ATTEMPTS: u32 = 20;
/// Between them, on average.
const PAUSE: Duration = Duration::from_millis(200);

/// Who holds a devnet's SPON.
fn deployer(chain: &Chain) -> Result<Address> {
    chain.book.deployer.ok_or_else(|| {
        Failure::new(Kind::Setup, "the address book does not say who deployed this market and holds its SPON")
            .hint("`iono admin deploy` writes a book that does")
    })
}

/// Sends SPON of the devnet's deployer, who was given the supply, where the node is Anvil and lets anyone act for anyone.
async fn spon(
    context: &Context,
    chain: &Chain,
    token: &Token,
    transfer: &IERC20::transferCall,
) -> Result<Sent> {
    let from = deployer(chain)?;
    if !is_anvil(chain).await {
        return Err(Failure::new(Kind::Refused, "SPON has no faucet on this chain: nobody can mint it")
            .hint(format!(
                "on a devnet {from} holds it, and sends some by `iono send AMOUNT --token SPON --to ADDRESS`"
            )));
    }
    let held = token.balance(chain, from).await?;
    if held < transfer.amount {
        let why = format!("the devnet's deployer, {from}, holds {} and no more", token.show(held));
        return Err(Failure::new(Kind::Funds, why).hint("ask for less with --amount"));
    }
    // Not ended again: another faucet may be in between, and on Anvil it protects nothing.
    chain
        .rpc
        .anvil_impersonate_account(from)
        .await
        .or_fail(Kind::Rpc, "Anvil does not act for the deployer")?;
    let request =
        TransactionRequest::default().with_from(from).with_to(token.asset).with_input(transfer.abi_encode());
    let mut attempts = 0;
    let pending = loop {
        attempts += 1;
        match chain.rpc.send_transaction(request.clone()).await {
            // Another faucet drew on the same account in between.
            Err(error) if attempts < ATTEMPTS && is_nonce_race(&error) => {
                tokio::time::sleep(PAUSE.mul_f64(rand::random_range(0.5..1.5))).await;
            }
            sent => break sent.or_fail(Kind::Rpc, "the deployer's SPON cannot be sent")?,
        }
    };
    let receipt = pending
        .with_timeout(Some(context.global.receipt_timeout))
        .get_receipt()
        .await
        .or_fail(Kind::Timeout, "the transfer of SPON is in no block yet")?;
    if !receipt.status() {
        return Err(Failure::new(Kind::Refused, "the transfer of the deployer's SPON failed"));
    }
    Ok(Sent {
        step: "transfer",
        hash: receipt.transaction_hash,
        block: receipt.block_number.unwrap_or_default(),
        gas: receipt.gas_used,
        logs: receipt.logs().to_vec(),
    })
}

/// What `--dry-run` shows of a transfer that somebody else signs.
fn planned(context: &Context, from: Address, token: &Token, transfer: &IERC20::transferCall) -> Report {
    context.output.note("dry run: nothing was sent");
    let data = alloy::primitives::Bytes::from(transfer.abi_encode());
    let function = IERC20::transferCall::SIGNATURE;
    let step = json!({
        "step": "transfer", "contract": "spon", "to": token.asset, "function": function, "data": data, "gas": null,
    });
    let json = json!({ "dry_run": true, "from": from, "transactions": [step] });
    Report::new(&json, format!("transfer  spon  {function} from {from}"))
}

async fn is_anvil(chain: &Chain) -> bool {
    chain.rpc.get_client_version().await.is_ok_and(|version| version.starts_with("anvil/"))
}

/// One ether for an account that cannot pay for gas, where the node is Anvil and lets anyone set balances.
async fn give_ether(context: &Context, chain: &Chain, account: Address) -> Result<U256> {
    let enough = parse_ether("0.05").or_fail(Kind::Failed, "cannot count ether")?;
    let gift = parse_ether("1").or_fail(Kind::Failed, "cannot count ether")?;
    let have = ether(chain, account).await?;
    if have >= enough || context.global.dry_run {
        return Ok(U256::ZERO);
    }
    if !is_anvil(chain).await {
        return Ok(U256::ZERO);
    }
    chain.rpc.anvil_set_balance(account, have + gift).await.or_fail(Kind::Rpc, "Anvil gave no ether")?;
    context.output.note(&format!("gave {account} one ether for gas"));
    Ok(gift)
}
