//! `iono delegate` and `iono revoke`: who besides the owner may reach a wallet's leases.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::{Address, U256, aliases::U40};
use iono_bindings::ILeaseAccess;
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::lease::{Delegate, Revoke};
use crate::chain::{Call, Chain};
use crate::context::{Context, wallet_topic, wallets_of};
use crate::error::Result;
use crate::output::{Report, table};
use crate::time;
use crate::tx::Step;

pub(crate) async fn run(context: &Context, args: Delegate) -> Result<Report> {
    match args {
        Delegate::Add { account, length, write, wallet } => {
            set(context, wallet, account, Some(length), write).await
        }
        Delegate::Remove { account, wallet } => set(context, wallet, account, None, false).await,
        Delegate::List { wallet } => list(context, wallet).await,
    }
}

async fn set(
    context: &Context,
    wallet: Option<u64>,
    account: Address,
    length: Option<u32>,
    write: bool,
) -> Result<Report> {
    let chain = context.chain().await?;
    let sender = context.sender(&chain).await?;
    let wallet = context.one_wallet(&chain, sender.address(), wallet).await?;
    let (_, now) = chain.head().await?;
    let until = length.map_or(0, |length| now + u64::from(length));
    let call = ILeaseAccess::setDelegateCall {
        wallet: U256::from(wallet),
        delegate: account,
        until: U40::saturating_from(until),
        write,
    };
    let (name, doing) = match length {
        Some(_) => ("delegate_add", format!("make {account} a delegate of wallet {wallet}")),
        None => ("delegate_remove", format!("remove {account} from wallet {wallet}'s delegates")),
    };
    let Some(sent) = sender.send(Step::new(name, doing, chain.book.lease_access, &call)).await? else {
        return Ok(sender.plan());
    };
    let json = json!({
        "wallet": wallet, "delegate": account, "until": until, "write": write, "transactions": [sent],
    });
    let text = match length {
        Some(length) => {
            let may = if write { "read and change" } else { "read" };
            format!("{account} may {may} the leases of wallet {wallet} for {}", time::span(u64::from(length)))
        }
        None => format!("{account} has no rights to wallet {wallet} any more"),
    };
    Ok(Report::new(&json, text))
}

async fn list(context: &Context, wallet: Option<u64>) -> Result<Report> {
    let chain = context.chain().await?;
    let wallets = match wallet {
        Some(wallet) => vec![wallet],
        None => wallets_of(&chain, context.address().await?).await?,
    };
    let (_, now) = chain.head().await?;
    let mut rows = Vec::new();
    let mut json: Vec<Value> = Vec::new();
    for wallet in wallets {
        for (account, (until, write)) in delegates(&chain, wallet).await? {
            if until <= now {
                continue;
            }
            let may = if write { "read, write" } else { "read" };
            rows.push(vec![wallet.to_string(), account.to_string(), may.to_owned(), time::span(until - now)]);
            json.push(json!({ "wallet": wallet, "delegate": account, "until": until, "write": write }));
        }
    }
    if rows.is_empty() {
        context.output.note("no delegates");
        return Ok(Report::new(&json, ""));
    }
    Ok(Report::new(&json, table(&["WALLET", "DELEGATE", "MAY", "FOR"], rows)))
}

/// What an account may do with a wallet's leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Access {
    /// Everything; the money is its own.
    Owner,
    /// As a delegate: status, logs, events.
    Read,
    /// As a delegate: shell, copy, manifest and restart too.
    Write,
}

/// The wallets that others have delegated to `account`, with what it may do at `now` (unix seconds).
pub(crate) async fn delegated_to(chain: &Chain, account: Address, now: u64) -> Result<Vec<(u64, Access)>> {
    let by_account = [None, Some(account.into_word()), None];
    let named = chain.all_events::<ILeaseAccess::DelegateSet>(chain.book.lease_access, by_account).await?;
    let wallets: BTreeSet<u64> = named.into_iter().map(|(event, _)| event.wallet.saturating_to()).collect();
    let mut found = Vec::new();
    for wallet in wallets {
        let (until, write) = granted(chain, wallet, account).await?;
        if until > now {
            found.push((wallet, if write { Access::Write } else { Access::Read }));
        }
    }
    Ok(found)
}

/// What the wallet's present owner grants: until when, and whether to write.
async fn granted(chain: &Chain, wallet: u64, account: Address) -> Result<(u64, bool)> {
    let grant = chain
        .access()
        .delegateOf(U256::from(wallet), account)
        .call()
        .await
        .or_call("cannot read a delegate's rights")?;
    Ok((grant.until.saturating_to(), grant.write))
}

/// Everyone who was ever named, with what the present owner grants now.
async fn delegates(chain: &Chain, wallet: u64) -> Result<BTreeMap<Address, (u64, bool)>> {
    let named = chain
        .all_events::<ILeaseAccess::DelegateSet>(chain.book.lease_access, [wallet_topic(wallet), None, None])
        .await?;
    let mut found = BTreeMap::new();
    for (event, _) in named {
        if found.contains_key(&event.delegate) {
            continue;
        }
        found.insert(event.delegate, granted(chain, wallet, event.delegate).await?);
    }
    Ok(found)
}

pub(crate) async fn revoke(context: &Context, args: &Revoke) -> Result<Report> {
    let chain = context.chain().await?;
    let sender = context.sender(&chain).await?;
    let call = ILeaseAccess::revokeAuthorisationsCall { wallet: U256::from(args.wallet) };
    let doing = format!("revoke the certificates of wallet {}", args.wallet);
    let Some(sent) = sender.send(Step::new("revoke", doing, chain.book.lease_access, &call)).await? else {
        return Ok(sender.plan());
    };
    let nonce: u64 =
        sent.event::<ILeaseAccess::AuthorisationsRevoked>().map_or(0, |event| event.nonce.saturating_to());
    let json = json!({ "wallet": args.wallet, "nonce": nonce, "transactions": [sent] });
    Ok(Report::new(&json, format!("every client certificate of wallet {} made so far is void", args.wallet)))
}
