//! Escrow wallets: `deposit`, `withdraw`, `wallets`, `transfer` (SP-17).

use alloy::primitives::{Address, U256};
use futures::future::try_join_all;
use iono_bindings::{IERC20, IEscrow};
use serde_json::{Value, json};

use crate::args::money::{Deposit, Transfer, Withdraw};
use crate::chain::{Call, Chain};
use crate::context::{Context, wallets_of};
use crate::error::{Failure, Kind, Result};
use crate::output::{Report, table};
use crate::permit;
use crate::token::{Token, Tokens};
use crate::tx::{Sender, Sent, Step};

pub(crate) async fn deposit(context: &Context, args: &Deposit) -> Result<Report> {
    let chain = context.chain().await?;
    let tokens = Tokens::load(&chain).await?;
    let token = context.pick_token(&tokens, args.token.as_deref())?;
    let amount = token.parse(&args.amount)?;
    if amount.is_zero() {
        return Err(Failure::new(Kind::Usage, "the amount is zero"));
    }
    let sender = context.sender(&chain).await?;
    let held = token.balance(&chain, sender.address()).await?;
    if held < amount {
        return Err(short(token, sender.address(), held, amount));
    }
    let mut sent = Vec::new();
    let wallet = match target(context, &chain, sender.address(), args).await? {
        Some(wallet) => wallet,
        None => open(&chain, &sender, &mut sent).await?,
    };
    put(&chain, &sender, token, wallet, amount, &mut sent).await?;
    if context.global.dry_run {
        return Ok(sender.plan());
    }
    let free = free_of(&chain, wallet, token).await?;
    let json = json!({
        "wallet": wallet, "token": token.symbol, "deposited": token.plain(amount), "free": token.plain(free),
        "transactions": sent,
    });
    Ok(Report::new(
        &json,
        format!("deposited {}; wallet {wallet} has {} free", token.show(amount), token.show(free)),
    ))
}

/// The account holds less than what it should pay.
pub(crate) fn short(token: &Token, account: Address, held: U256, needed: U256) -> Failure {
    Failure::new(
        Kind::Funds,
        format!("{account} holds {}, and {} are needed", token.show(held), token.show(needed)),
    )
    .hint("send tokens to this address; on a devnet `iono faucet` mints some")
}

async fn target(context: &Context, chain: &Chain, owner: Address, args: &Deposit) -> Result<Option<u64>> {
    if args.new_wallet {
        return Ok(None);
    }
    if let Some(wallet) = context.wallet(args.wallet) {
        let known: u64 =
            chain.escrow().walletCount().call().await.or_call("cannot count the wallets")?.saturating_to();
        return if (1..=known).contains(&wallet) { Ok(Some(wallet)) } else { Err(unknown(wallet)) };
    }
    match wallets_of(chain, owner).await?.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(*only)),
        _ => context.one_wallet(chain, owner, None).await.map(Some),
    }
}

fn unknown(wallet: u64) -> Failure {
    Failure::new(Kind::NotFound, format!("there is no escrow wallet {wallet}"))
        .hint("`iono wallets` lists yours")
}

/// Opens a wallet for the sender.
pub(crate) async fn open(chain: &Chain, sender: &Sender, sent: &mut Vec<Sent>) -> Result<u64> {
    let call = IEscrow::createWalletCall { owner: sender.address() };
    let step = Step::new("create_wallet", "open a wallet", chain.book.escrow, &call);
    match sender.send(step).await? {
        Some(done) => {
            let wallet = done
                .event::<IEscrow::WalletCreated>()
                .ok_or_else(|| Failure::new(Kind::Rpc, "the receipt shows no new wallet"))?
                .wallet
                .saturating_to();
            sent.push(done);
            Ok(wallet)
        }
        // A dry run: the number it would get if nobody comes before.
        None => Ok(chain
            .escrow()
            .walletCount()
            .call()
            .await
            .or_call("cannot count the wallets")?
            .saturating_to::<u64>()
            + 1),
    }
}

/// Pays what a wallet lacks for something out of the sender's own tokens, and says so.
pub(crate) async fn top_up(
    chain: &Chain,
    sender: &Sender,
    token: &Token,
    wallet: u64,
    missing: U256,
    output: crate::output::Output,
    sent: &mut Vec<Sent>,
) -> Result<()> {
    let held = token.balance(chain, sender.address()).await?;
    if held < missing {
        return Err(Failure::new(
            Kind::Funds,
            format!(
                "wallet {wallet} lacks {}, and {} holds {}",
                token.show(missing),
                sender.address(),
                token.show(held)
            ),
        )
        .hint("send tokens to this address; on a devnet `iono faucet` mints some"));
    }
    output.note(&format!("wallet {wallet} lacks {}: deposited first", token.show(missing)));
    put(chain, sender, token, wallet, missing, sent).await
}

/// Moves tokens of the sender into a wallet: by permit where the token has it, else approved first.
pub(crate) async fn put(
    chain: &Chain,
    sender: &Sender,
    token: &Token,
    wallet: u64,
    amount: U256,
    sent: &mut Vec<Sent>,
) -> Result<()> {
    let (escrow, id) = (chain.book.escrow, U256::from(token.id));
    let doing = format!("deposit {}", token.show(amount));
    let allowed = allowance(chain, token, sender.address()).await?;
    let permit = if allowed < amount {
        permit::sign(chain, sender.signer(), token, escrow, amount).await?
    } else {
        None
    };
    let step = match permit {
        Some(permit) => {
            let call = IEscrow::permitAndDepositCall {
                wallet: U256::from(wallet),
                token: id,
                amount,
                deadline: permit.deadline,
                v: permit.v,
                r: permit.r,
                s: permit.s,
            };
            Step::new("deposit", doing, escrow, &call)
        }
        None => {
            if allowed < amount {
                approve(chain, sender, token, amount, sent).await?;
            }
            let call = IEscrow::depositCall { wallet: U256::from(wallet), token: id, amount };
            Step::new("deposit", doing, escrow, &call)
        }
    };
    sent.extend(sender.send(step).await?);
    Ok(())
}

async fn allowance(chain: &Chain, token: &Token, owner: Address) -> Result<U256> {
    IERC20::new(token.asset, &chain.rpc)
        .allowance(owner, chain.book.escrow)
        .call()
        .await
        .or_call(&format!("cannot read the allowance of {}", token.symbol))
}

/// Allows escrow to take `amount` of a token without permit.
pub(crate) async fn approve(
    chain: &Chain,
    sender: &Sender,
    token: &Token,
    amount: U256,
    sent: &mut Vec<Sent>,
) -> Result<()> {
    let call = IERC20::approveCall { spender: chain.book.escrow, amount };
    let step = Step::new("approve", format!("approve {}", token.show(amount)), token.asset, &call);
    sent.extend(sender.send(step).await?);
    Ok(())
}

/// A wallet's free balance.
pub(crate) async fn free_of(chain: &Chain, wallet: u64, token: &Token) -> Result<U256> {
    chain
        .escrow()
        .balanceOf(U256::from(wallet), U256::from(token.id))
        .call()
        .await
        .or_call("cannot read the wallet's balance")
}

pub(crate) async fn withdraw(context: &Context, args: &Withdraw) -> Result<Report> {
    let chain = context.chain().await?;
    let tokens = Tokens::load(&chain).await?;
    let token = context.pick_token(&tokens, args.token.as_deref())?;
    let sender = context.sender(&chain).await?;
    let wallet = context.one_wallet(&chain, sender.address(), args.wallet).await?;
    let free = free_of(&chain, wallet, token).await?;
    let amount = if args.amount == "all" { free } else { token.parse(&args.amount)? };
    if amount.is_zero() {
        return Err(Failure::new(
            Kind::Funds,
            format!("wallet {wallet} has no {} to withdraw", token.symbol),
        ));
    }
    if amount > free {
        return Err(Failure::new(
            Kind::Funds,
            format!("wallet {wallet} has {} free, less than {}", token.show(free), token.show(amount)),
        )
        .hint("orders and leases hold the rest: `iono wallets` shows how much, `iono close` frees it"));
    }
    let to = args.to.unwrap_or_else(|| sender.address());
    let call = IEscrow::withdrawCall { wallet: U256::from(wallet), token: U256::from(token.id), amount, to };
    let step = Step::new("withdraw", format!("withdraw {}", token.show(amount)), chain.book.escrow, &call);
    let Some(sent) = sender.send(step).await? else { return Ok(sender.plan()) };
    let free = free_of(&chain, wallet, token).await?;
    let json = json!({
        "wallet": wallet, "token": token.symbol, "withdrawn": token.plain(amount), "to": to, "free": token.plain(free),
        "transactions": [sent],
    });
    Ok(Report::new(
        &json,
        format!("withdrew {} to {to}; wallet {wallet} has {} free", token.show(amount), token.show(free)),
    ))
}

pub(crate) async fn wallets(context: &Context) -> Result<Report> {
    let owner = context.address().await?;
    let chain = context.chain().await?;
    let tokens = Tokens::load(&chain).await?;
    let ids = wallets_of(&chain, owner).await?;
    let mut rows = Vec::new();
    let mut json: Vec<Value> = Vec::new();
    for wallet in &ids {
        let held = crate::holdings::of_wallet(&chain, *wallet).await?;
        let free = try_join_all(tokens.0.iter().map(|token| free_of(&chain, *wallet, token))).await?;
        let mut balances = Vec::new();
        for (token, free) in tokens.0.iter().zip(free) {
            let (reserved, locked) = held.get(&token.id).copied().unwrap_or_default();
            if free.is_zero()
                && reserved.is_zero()
                && locked.is_zero()
                && !(rows.is_empty() && token.enabled && !token.spon)
            {
                continue;
            }
            rows.push(vec![
                wallet.to_string(),
                token.symbol.clone(),
                token.plain(free),
                token.plain(reserved),
                token.plain(locked),
            ]);
            balances.push(json!({
                "token": token.symbol, "id": token.id, "free": token.plain(free), "reserved": token.plain(reserved),
                "locked": token.plain(locked), "free_units": free.to_string(),
            }));
        }
        json.push(json!({ "wallet": wallet, "owner": owner, "balances": balances }));
    }
    if ids.is_empty() {
        context.output.note(&format!("{owner} has no escrow wallet; `iono deposit AMOUNT` opens one"));
        return Ok(Report::new(&json, ""));
    }
    Ok(Report::new(&json, table(&["WALLET", "TOKEN", "FREE", "RESERVED", "LOCKED"], rows)))
}

pub(crate) async fn transfer(context: &Context, args: &Transfer) -> Result<Report> {
    let chain = context.chain().await?;
    let sender = context.sender(&chain).await?;
    let call = IEscrow::transferWalletCall { wallet: U256::from(args.wallet), to: args.to };
    let doing = format!("transfer wallet {}", args.wallet);
    let Some(sent) = sender.send(Step::new("transfer", doing, chain.book.escrow, &call)).await? else {
        return Ok(sender.plan());
    };
    if context.config.wallet == Some(args.wallet) {
        context.output.warn(&format!("config.toml still names wallet {} as the default", args.wallet));
    }
    let json =
        json!({ "wallet": args.wallet, "from": sender.address(), "to": args.to, "transactions": [sent] });
    Ok(Report::new(&json, format!("wallet {} belongs to {} now", args.wallet, args.to)))
}
