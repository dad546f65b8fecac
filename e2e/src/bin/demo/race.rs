//! The race against the engine by hand, and the gas of everything that the second order of a funded wallet takes: its
//! bids, its match, its lease to the last settlement, its provider's cash-out.

use alloy::primitives::U256;
use anyhow::{Context, Result, bail, ensure};
use iono_bindings::{IEscrow, ILeaseBook, IOrderBook, revert_in};
use iono_e2e::cli::{field, number};
use iono_e2e::{Node, network};
use iono_testkit::events;
use serde_json::Value;

use super::{AN_HOUR, MAX_RATE, Story};

/// Runs of the race.
const RUNS: usize = 7;

impl Story {
    /// The same image by the market and by hand, in turn.
    pub(super) async fn race(&mut self) -> Result<()> {
        let (hello, small) = (self.hello(), self.nodes[1].id.to_string());
        let any = ["deploy", &hello, "--token", "1", "--max-rate", MAX_RATE];
        // Whoever wins the second order has been paid before, as a provider has that is more than an hour old.
        let first = [&any[..], &["--allow", &small]].concat();
        for run in 0..RUNS {
            let by_hand = self.network.engine.by_hand().await?;
            let deployed = self.tenant.json(if run == 0 { &first } else { &any }).await?;
            let ours = field(&deployed, "/seconds/manifest_to_http")?;
            let ours = ours.as_f64().context("manifest_to_http is no number")?;
            self.same_limits(&deployed, &by_hand.limits).await?;
            self.timeline_short(run, ours, by_hand.seconds);
            self.ours.push(ours);
            self.by_hand.push(by_hand.seconds);
            self.tenant.json(&["close", &number(&deployed, "/lease")?.to_string()]).await?;
            if run == 1 {
                self.second_order(&deployed).await?;
            }
        }
        Ok(())
    }

    /// The race is fair only when both containers may use and do the same.
    async fn same_limits(&self, deployed: &Value, by_hand: &Value) -> Result<()> {
        let (lease, provider) = (number(deployed, "/lease")?, number(deployed, "/provider")?);
        let node = self.node(u32::try_from(provider)?)?;
        let containers = node.engine.containers(&node.label, lease).await?;
        let [container] = containers.as_slice() else { bail!("one container expected: {containers:?}") };
        let ours = node.engine.limits(container).await?;
        ensure!(&ours == by_hand, "the market's container has the limits {ours}, the one by hand {by_hand}");
        Ok(())
    }

    fn node(&self, id: u32) -> Result<&Node> {
        self.nodes.iter().find(|node| node.id == id).with_context(|| format!("provider {id} is not ours"))
    }

    fn timeline_short(&mut self, run: usize, ours: f64, by_hand: f64) {
        let note = format!("market {:.0} ms, engine by hand {:.0} ms", ours * 1e3, by_hand * 1e3);
        self.timeline.step("race", &format!("manifest to HTTP 200, run {} of {RUNS}", run + 1), None, &note);
    }

    /// Gas of everything that the second order of the funded wallet took until its lease was closed.
    async fn second_order(&mut self, deployed: &Value) -> Result<()> {
        let (chain, book) = (self.network.anvil.provider(), &self.network.book);
        let order = number(deployed, "/order")?;
        let id = U256::from(order);
        self.second = (id, u32::try_from(number(deployed, "/provider")?)?);
        self.gas.create_order = self.created(order).await?.gas;
        let bids = events::all::<IOrderBook::BidPlaced>(chain, book.order_book).await?;
        let bids: Vec<u64> =
            bids.into_iter().filter(|bid| bid.event.order == id).map(|bid| bid.gas).collect();
        self.bids = bids.len() as u64;
        self.gas.place_bid = bids.into_iter().max().unwrap_or(u64::MAX);
        let matched =
            events::last::<IOrderBook::OrderMatched>(chain, book.order_book, |event| event.order == id);
        self.gas.resolve = matched.await?.gas;
        let confirmed =
            events::last::<ILeaseBook::LeaseConfirmed>(chain, book.lease_book, |event| event.lease == id);
        self.gas.confirm = confirmed.await?.gas;
        self.gas.close = self.closed(order).await?.1;
        Ok(())
    }

    /// Pays what is left after the holdback: the second order's lease last, whose settlement and cash-out are measured.
    pub(super) async fn settle_up(&mut self) -> Result<()> {
        self.network.anvil.advance(AN_HOUR).await?;
        let (second, winner) = self.second;
        let (chain, book) = (self.network.anvil.provider(), self.network.book.lease_book);
        let created = events::all::<ILeaseBook::LeaseCreated>(chain, book).await?;
        for lease in created.iter().map(|created| created.event.lease).filter(|lease| *lease != second) {
            self.settle(lease).await?;
        }
        // The provider's own command would settle everything: anyone may cash a ledger out, to its payee.
        let chain = self.network.anvil.signing(&self.network.anvil.key(0));
        let escrow = IEscrow::new(self.network.book.escrow, &chain);
        let sent = escrow.cashOut(U256::from(winner), U256::from(network::DOLLAR)).send().await?;
        ensure!(sent.get_receipt().await?.status(), "cashing out for provider {winner} failed");
        self.timeline.step("anyone", "settle what the holdback kept of the other leases", None, "");
        let settled = self.settle(second).await?;
        let (block, gas) = settled.with_context(|| format!("lease {second} had nothing to settle"))?;
        self.gas.settle = gas;
        let note = format!("lease {second} with provider {winner}");
        self.timeline.step("anyone", "settle the second order's lease", Some((block, gas)), &note);
        self.node(winner)?.json(&["cash-out"]).await?;
        let out = self.cashed_out(winner).await?;
        ensure!(out.0 > block, "the second order's provider cashed nothing out");
        self.gas.cash_out = out.1;
        self.timeline.step("winner", "cash out", Some(out), &note);
        Ok(())
    }

    /// Settles a lease as anyone may; block and gas, or nothing when nothing was left to pay.
    async fn settle(&self, lease: U256) -> Result<Option<(u64, u64)>> {
        let chain = self.network.anvil.signing(&self.network.anvil.key(0));
        let leases = ILeaseBook::new(self.network.book.lease_book, &chain);
        let sent = match leases.settle(lease).send().await {
            Ok(sent) => sent,
            Err(error) => match revert_in(&error) {
                Some(why) if why.code == "LeaseBook_NothingToSettle" => return Ok(None),
                _ => return Err(error.into()),
            },
        };
        let receipt = sent.get_receipt().await?;
        ensure!(receipt.status(), "settling lease {lease} failed");
        Ok(Some((receipt.block_number.context("no block")?, receipt.gas_used)))
    }
}
