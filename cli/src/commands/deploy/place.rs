//! The order itself: which wallet pays, what is missing in it, and one signature for all of it where the token allows.

use alloy::primitives::{Address, B256, U256};
use iono_bindings::{IERC20, IOrderBook};

use super::Run;
use crate::chain::{Call, Chain};
use crate::commands::escrow;
use crate::context::wallets_of;
use crate::error::{Failure, Kind, Result};
use crate::lease_file::LeaseFile;
use crate::order::{Cost, Draft};
use crate::permit::{self, Signed};
use crate::token::Token;
use crate::tx::Step;

impl Run<'_> {
    /// Places the order and waits until it is in a block; `None` with `--dry-run`.
    pub(super) async fn place(
        &mut self,
        draft: &Draft,
        manifest: B256,
        wallet: Option<u64>,
        file: &mut LeaseFile,
    ) -> Result<Option<u64>> {
        let (chain, token, owner) = (self.chain, &draft.token, self.sender.address());
        let cost = draft.cost(chain).await?;
        let (wallet, free) = paying(self.context.wallet(wallet), chain, owner, token).await?;
        let missing = cost.needed().saturating_sub(free);
        self.progress.wait("ordering");
        let (terms, spec) = (draft.terms(wallet), draft.spec(manifest));
        let step = if missing.is_zero() {
            let call = IOrderBook::createOrderCall { terms, spec };
            Step::new("create_order", "order", chain.book.order_book, &call)
        } else {
            let held = token.balance(chain, owner).await?;
            if held < missing {
                return Err(short(token, &cost, wallet, free, owner, held));
            }
            let permit = self.permission(token, missing).await?;
            let call = IOrderBook::permitAndCreateCall {
                terms,
                spec,
                amount: missing,
                deadline: permit.deadline,
                v: permit.v,
                r: permit.r,
                s: permit.s,
            };
            Step::new("permit_and_create", "order", chain.book.order_book, &call)
        };
        // Before the order is sent: a process that dies now is continued by --resume.
        if !self.context.global.dry_run {
            file.save(&self.context.home)?;
        }
        let sent = match self.sender.send(step).await {
            Ok(Some(sent)) => sent,
            Ok(None) => return Ok(None),
            Err(failure) => {
                // Refused for sure: there is nothing to continue. After a timeout the order may still come.
                if matches!(failure.kind, Kind::Refused | Kind::Funds) {
                    file.remove(&self.context.home)?;
                }
                return Err(failure);
            }
        };
        let created = sent
            .event::<IOrderBook::OrderCreated>()
            .ok_or_else(|| Failure::new(Kind::Rpc, "the receipt shows no order"))?;
        let order: u64 = created.order.saturating_to();
        file.order = Some(order);
        file.save(&self.context.home)?;
        self.seconds.order = self.clock();
        let reserve = token.show(cost.reserve);
        self.progress.done(&format!("order {order} in block {}: reserves {reserve} at most", sent.block));
        self.sent.push(sent);
        Ok(Some(order))
    }

    /// A permit where the token has them; else an approval, after which the contract tolerates an empty permit.
    async fn permission(&mut self, token: &Token, amount: U256) -> Result<Signed> {
        let (chain, owner) = (self.chain, self.sender.address());
        let empty = Signed { deadline: U256::ZERO, v: 0, r: B256::ZERO, s: B256::ZERO };
        let allowed = IERC20::new(token.asset, &chain.rpc)
            .allowance(owner, chain.book.escrow)
            .call()
            .await
            .or_call(&format!("cannot read the allowance of {}", token.symbol))?;
        if allowed >= amount {
            return Ok(empty);
        }
        if let Some(signed) =
            permit::sign(chain, self.sender.signer(), token, chain.book.escrow, amount).await?
        {
            return Ok(signed);
        }
        escrow::approve(chain, self.sender, token, amount, &mut self.sent).await?;
        Ok(empty)
    }
}

/// The wallet that pays and what is free in it: the one asked for, else the fullest of the owner's, else 0 for a new one.
async fn paying(asked: Option<u64>, chain: &Chain, owner: Address, token: &Token) -> Result<(u64, U256)> {
    if let Some(wallet) = asked {
        let holder = chain
            .escrow()
            .ownerOf(U256::from(wallet))
            .call()
            .await
            .or_call("cannot read the wallet's owner")?;
        if holder != owner {
            return Err(Failure::new(Kind::Refused, format!("{owner} does not own wallet {wallet}"))
                .hint("`iono wallets` lists yours; --wallet names another one"));
        }
        return Ok((wallet, escrow::free_of(chain, wallet, token).await?));
    }
    let mut best = (0, U256::ZERO);
    for wallet in wallets_of(chain, owner).await? {
        let free = escrow::free_of(chain, wallet, token).await?;
        if best.0 == 0 || free > best.1 {
            best = (wallet, free);
        }
    }
    Ok(best)
}

fn short(token: &Token, cost: &Cost, wallet: u64, free: U256, owner: Address, held: U256) -> Failure {
    let needed = cost.needed();
    let why = if needed == cost.reserve {
        "its price for the whole time, and fees".to_owned()
    } else if needed == cost.bracket {
        format!("resources of this size ask for ${} in the wallet", cost.bracket_cents / 100)
    } else {
        "the least that any order needs".to_owned()
    };
    let place = if wallet == 0 {
        "there is no wallet yet".to_owned()
    } else {
        format!("wallet {wallet} has {}", token.show(free))
    };
    Failure::new(
        Kind::Funds,
        format!("the order needs {} ({why}); {place}, and {owner} holds {}", token.show(needed), token.show(held)),
    )
    .hint("send tokens to this address (`iono faucet` on a devnet), or order less with --duration or --max-rate")
}
