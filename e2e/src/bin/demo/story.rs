//! The story: who does what in which order. Every fact comes from outside the product: HTTP, the chain, the engine.

#[path = "race.rs"]
mod race;

use std::path::PathBuf;
use std::time::Duration;

use alloy::primitives::U256;
use anyhow::{Context, Result, ensure};
use iono_bindings::{IEscrow, ILeaseBook, IOrderBook};
use iono_e2e::cli::{field, number, replicas_ready, text};
use iono_e2e::engine::Engine;
use iono_e2e::hammer::Hammer;
use iono_e2e::operators::{self, Operator};
use iono_e2e::quorum::{self, Trial};
use iono_e2e::timeline::{Timeline, print};
use iono_e2e::{Iono, Matchmaker, Network, Node, NodePlan, hello, http, light, network};
use iono_testkit::{accounts, events};
use serde_json::Value;

use crate::figures::{Figures, Gas};

/// What the tenant pays at most, in dollars an hour: the dear provider bids too, and loses by its price.
const MAX_RATE: &str = "0.1";
/// An hour, so that the holdback passes and the lease may be rated.
const AN_HOUR: u64 = 3_700;

/// Everybody in the story and what was measured so far.
pub(crate) struct Story {
    root: PathBuf,
    timeline: Timeline,
    network: Network,
    matchmaker: Matchmaker,
    /// The fair one, the one that is too small, the one that is too dear.
    nodes: Vec<Node>,
    tenant: Iono,
    http_status: u16,
    blocks: (u64, u64),
    during_update: (u64, u64),
    ours: Vec<f64>,
    by_hand: Vec<f64>,
    gas: Gas,
    bids: u64,
    /// The lease of the second order of the funded wallet, and who serves it.
    second: (U256, u32),
    trial: Trial,
    operators: Vec<Operator>,
    /// Port of the fair provider's tunnel for light nodes.
    tunnel: u16,
    light: light::Trial,
}

impl Story {
    /// Builds the image, starts the chain, deploys, starts matchmaker and providers, funds a tenant.
    pub(crate) async fn begin() -> Result<Self> {
        let root = iono_testkit::repo_root()?;
        let mut timeline = Timeline::start();
        let engine = Engine::from_environment()?;
        hello::build(engine).await?;
        timeline.step(engine.name(), "build the image of examples/hello.yaml", None, hello::IMAGE);

        let mut network = Network::deploy().await?;
        network.engine = engine;
        let block = alloy::providers::Provider::get_block_number(network.anvil.provider()).await?;
        timeline.step(
            "admin",
            "deploy the contracts on a chain with 1-second blocks",
            None,
            &format!("block {block}"),
        );
        let matchmaker = network.matchmaker("matchmaker").await?;
        timeline.step("matchmaker", "start", None, "resolves each order as soon as its seed exists");

        let mut nodes = Vec::new();
        let tunnel = iono_testkit::free_port()?;
        for (name, cpu, price) in [("fair", "2", 0.05), ("small", "0.1", 0.05), ("dear", "2", 0.2)] {
            let extra = if name == "fair" { light::subnet(tunnel) } else { String::new() };
            let plan = NodePlan { cpu: cpu.to_owned(), price, extra, ..NodePlan::new(name) };
            let mut node = network.provider(plan).await?;
            node.run().await?;
            let note = format!("provider {}: {cpu} cores at ${price} per core and hour", node.id);
            timeline.step(name, "register, stake, start", None, &note);
            nodes.push(node);
        }
        let tenant = network.tenant("tenant").await?;
        timeline.step("tenant", "make a key and take 100 test dollars", None, "");
        Ok(Self {
            root,
            timeline,
            network,
            matchmaker,
            nodes,
            tenant,
            http_status: 0,
            blocks: (0, 0),
            during_update: (0, 0),
            ours: Vec::new(),
            by_hand: Vec::new(),
            gas: Gas::default(),
            bids: 0,
            second: (U256::ZERO, 0),
            trial: Trial::default(),
            operators: Vec::new(),
            tunnel,
            light: light::Trial::default(),
        })
    }

    /// The whole of it.
    pub(crate) async fn tell(&mut self) -> Result<()> {
        let deployed = self.rent().await?;
        let lease = number(&deployed, "/lease")?;
        self.look_around(lease, &first_url(&deployed)?).await?;
        self.change(lease, &first_url(&deployed)?).await?;
        self.part(lease).await?;
        self.order_from_an_empty_wallet().await?;
        self.race().await?;
        self.rent_from_a_light_node().await?;
        self.settle_up().await?;
        self.trust_a_quorum().await
    }

    fn hello(&self) -> String {
        self.root.join("examples/hello.yaml").display().to_string()
    }

    /// First order: one signature from a key that has test dollars and nothing else.
    async fn rent(&mut self) -> Result<Value> {
        let deployed =
            self.tenant.json(&["deploy", &self.hello(), "--token", "1", "--max-rate", MAX_RATE]).await?;
        self.timeline_of(&deployed)?;
        let order = number(&deployed, "/order")?;
        let blocks = |name: &str| number(&deployed, &format!("/blocks/{name}"));
        let (ordered, leased, confirmed) = (blocks("order")?, blocks("lease")?, blocks("confirm")?);
        self.blocks = (leased - ordered, confirmed - leased);
        let bids = self.tenant.json(&["bids", &order.to_string()]).await?;
        for reason in reasons(&bids) {
            self.timeline.step("tenant", "ask why", None, &reason);
        }
        Ok(deployed)
    }

    /// Asks the URL while the log is streamed, then the shell: the manifest's nonce must come back from each.
    async fn look_around(&mut self, lease: u64, url: &str) -> Result<()> {
        let manifest = std::fs::read_to_string(self.hello())?;
        let nonce = manifest.lines().find_map(|line| line.trim().strip_prefix("- NONCE="));
        let nonce = nonce.context("examples/hello.yaml sets no NONCE")?.to_owned();
        let lease = lease.to_string();
        let mut log = self.tenant.stream(&["logs", &lease, "-f"])?;

        let (status, body) = http::curl(url).await?;
        self.http_status = status;
        ensure!(body.contains(&format!("nonce {nonce}")), "no nonce {nonce} in {body:?}");
        let body = body.trim();
        self.timeline.step("anyone", &format!("curl {url}"), None, &format!("{status}: {body}"));

        let line = log.line_with(&format!("GET /, nonce {nonce}"), Duration::from_secs(20)).await?;
        self.timeline.step("tenant", "see the request in the streamed log", None, &line);

        let shell = self
            .tenant
            .output(&["shell", &lease, "--no-tty", "--", "/bin/sh", "-c", "echo $NONCE; exit 7"])
            .await?;
        let said = String::from_utf8_lossy(&shell.stdout).trim().to_owned();
        ensure!(
            said == nonce && shell.status.code() == Some(7),
            "the shell said {said:?} and {}",
            shell.status
        );
        self.timeline.step(
            "tenant",
            "run a command in the shell",
            None,
            &format!("it said {said}, exit code 7"),
        );
        Ok(())
    }

    /// Buys time, then goes to two replicas while requests keep coming.
    async fn change(&mut self, lease: u64, url: &str) -> Result<()> {
        let lease_arg = lease.to_string();
        self.tenant.json(&["extend", &lease_arg, "4h"]).await?;
        let extended = events::last::<ILeaseBook::LeaseExtended>(
            self.network.anvil.provider(),
            self.network.book.lease_book,
            |event| event.lease == U256::from(lease),
        );
        let extended = extended.await?;
        self.timeline.step("tenant", "extend by four hours", Some((extended.block, extended.gas)), "");

        let two = self.network.dir().join("hello-2.yaml");
        let one = std::fs::read_to_string(self.hello())?;
        ensure!(one.contains("count: 1"), "examples/hello.yaml has no `count: 1`");
        std::fs::write(&two, one.replace("count: 1", "count: 2"))?;
        let hammer = Hammer::start(url)?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let two = two.display().to_string();
        self.tenant.json(&["update", &lease_arg, &two]).await?;
        // Requests go on until both replicas serve and nothing else of the lease runs.
        let (engine, owner) = (self.network.engine, &self.nodes[0].label);
        let settled = || async {
            let status = self.tenant.json(&["status", &lease_arg]).await.ok()?;
            let containers = engine.containers(owner, lease).await.ok()?;
            (replicas_ready(&status) == 2 && containers.len() == 2).then_some(())
        };
        iono_testkit::eventually("two replicas", Duration::from_secs(60), settled).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (asked, failures) = hammer.stop().await;
        self.during_update = (asked, u64::try_from(failures.len())?);
        let updated = events::last::<ILeaseBook::LeaseUpdated>(
            self.network.anvil.provider(),
            self.network.book.lease_book,
            |event| event.lease == U256::from(lease),
        );
        let updated = updated.await?;
        let (asked, failed) = self.during_update;
        let why = failures.first().map(|first| format!(", the first: {first}")).unwrap_or_default();
        let note = format!("{asked} requests meanwhile, {failed} failed{why}");
        self.timeline.step("tenant", "update to two replicas", Some((updated.block, updated.gas)), &note);
        Ok(())
    }

    /// Two hours later: the provider is paid what the holdback has let go, the tenant rates and closes; nothing is left.
    async fn part(&mut self, lease: u64) -> Result<()> {
        let lease_arg = lease.to_string();
        self.network.anvil.advance(2 * AN_HOUR).await?;
        self.timeline.step("chain", "let two hours pass", None, "");
        // An hour of it is behind the holdback now, and an hour that was paid may be rated.
        self.nodes[0].json(&["cash-out"]).await?;
        let out = self.cashed_out(self.nodes[0].id).await?;
        self.timeline.step("fair", "settle and cash out", Some(out), "");
        self.tenant.json(&["rate", &lease_arg, "5"]).await?;
        self.timeline.step("tenant", "rate with five stars", None, "");
        self.tenant.json(&["close", &lease_arg]).await?;
        let closed = self.closed(lease).await?;
        self.timeline.step(
            "tenant",
            "close",
            Some((closed.0, closed.1)),
            "what was not used is back in the wallet",
        );
        self.nothing_left(lease).await?;
        Ok(())
    }

    /// The second order by permit: the wallet is there and empty, everything comes with one signature.
    async fn order_from_an_empty_wallet(&mut self) -> Result<()> {
        self.tenant.json(&["withdraw", "all"]).await?;
        // The small provider rents more of its machine out from now on.
        let small = &self.nodes[1];
        small.reconfigure("cpu = \"0.1\"", "cpu = \"2\"")?;
        small.as_owner(&["set-record"]).await?;
        self.timeline.step(
            "small",
            "offer two cores instead of a tenth",
            None,
            "prices and shares are read again while it runs",
        );
        let deployed =
            self.tenant.json(&["deploy", &self.hello(), "--token", "1", "--max-rate", MAX_RATE]).await?;
        self.gas.permit_and_create = self.created(number(&deployed, "/order")?).await?.gas;
        self.timeline_of(&deployed)?;
        self.tenant.json(&["close", &number(&deployed, "/lease")?.to_string()]).await?;
        self.tenant.json(&["deposit", "60"]).await?;
        self.timeline.step("tenant", "deposit 60 dollars", None, "");
        Ok(())
    }

    /// A laptop behind a router serves through the fair provider's gateway; its cable is pulled and plugged in again.
    async fn rent_from_a_light_node(&mut self) -> Result<()> {
        let timeline = &mut self.timeline;
        let mut tell = |who: &str, what: &str, mined: Option<(u64, u64)>, note: &str| {
            timeline.step(who, what, mined, note);
        };
        self.light =
            light::trial(&self.network, &self.nodes[0], self.tunnel, &self.tenant, &mut tell).await?;
        Ok(())
    }

    /// Seven operators take the matching over; one is killed, one lies.
    async fn trust_a_quorum(&mut self) -> Result<()> {
        self.operators = self.network.operators(quorum::OPERATORS).await?;
        let note = format!("{} SPON each; they count from the next era on, which begins", operators::STAKE);
        self.timeline.step("operators", "register, stake, enter, start: seven of them", None, &note);
        let mut tenants = Vec::new();
        for index in 1..=quorum::TENANTS {
            tenants.push(self.network.tenant(&format!("tenant-{index}")).await?);
        }
        let hello = self.hello();
        let deploy = ["deploy", &hello, "--token", "1", "--max-rate", MAX_RATE];
        let timeline = &mut self.timeline;
        let mut tell = |who: &str, what: &str, mined: Option<(u64, u64)>, note: &str| {
            timeline.step(who, what, mined, note);
        };
        self.trial =
            quorum::trial(&self.network, &self.nodes, &mut self.operators, &tenants, &deploy, &mut tell)
                .await?;
        Ok(())
    }

    /// Everything measured, with the accounts read from the chain.
    pub(crate) async fn figures(&mut self) -> Result<Figures> {
        print("");
        let mut unaccounted = 0;
        let tokens = accounts::all(self.network.anvil.provider(), &self.network.book).await?;
        for (token, accounts) in tokens.iter().enumerate() {
            print(&format!(
                "token {token} in the escrow: {} = {} in wallets + {} reserved + {} locked + {} in ledgers + {} fees",
                accounts.escrow,
                accounts.wallets,
                accounts.reserved,
                accounts.locked,
                accounts.ledgers,
                accounts.fees
            ));
            unaccounted += accounts.unaccounted().unsigned_abs();
        }
        Ok(Figures {
            runtime: self.network.engine.name().to_owned(),
            http_status: self.http_status,
            blocks_order_to_lease: self.blocks.0,
            blocks_lease_to_confirm: self.blocks.1,
            manifest_to_http_ratio: median(&self.ours) / median(&self.by_hand),
            manifest_to_http_seconds: self.ours.clone(),
            by_hand_seconds: self.by_hand.clone(),
            failed_requests_during_update: self.during_update.1,
            requests_during_update: self.during_update.0,
            wei_unaccounted: unaccounted,
            bids_at_second_order: self.bids,
            gas: self.gas,
            operators: self.trial.operators,
            operators_faulty: self.trial.operators_faulty,
            matches_after_fault: self.trial.matches_after_fault,
            liars_slashed: self.trial.liars_slashed,
            fizz_http_status: self.light.http_status,
            fizz_seconds_to_resume: self.light.seconds_to_resume,
            fizz_wei_billed_while_down: self.light.billed_while_down,
            timeline: self.timeline.rows().to_vec(),
        })
    }

    /// Leaves everything running until Ctrl-C.
    pub(crate) async fn keep(&self) -> Result<()> {
        let iono = iono_testkit::binary("iono")?.display().to_string();
        let provider = iono_testkit::binary("provider")?.display().to_string();
        print(&format!("\nThe network keeps running; the chain's RPC is {}.", self.network.anvil.url()));
        print("As a tenant:");
        print(&format!("  export IONO_HOME={}", self.tenant.home().display()));
        for command in ["deploy examples/hello.yaml --token 1", "ps", "market"] {
            print(&format!("  {iono} {command}"));
        }
        for node in &self.nodes {
            print(&format!("As the provider `{}` ({}):", node.plan.name, node.id));
            for command in ["status", "leases", "earnings", "bids", "cash-out"] {
                print(&format!("  {provider} --config {} {command}", node.config.display()));
            }
            print(&format!("  curl {}/readyz", node.metrics));
        }
        print("Ctrl-C stops it and removes everything.");
        Ok(tokio::signal::ctrl_c().await?)
    }

    /// Stops what was started.
    pub(crate) async fn end(mut self) -> Result<()> {
        for node in &mut self.nodes {
            node.daemon()?.terminate(Duration::from_secs(20)).await?;
        }
        self.matchmaker.daemon.terminate(Duration::from_secs(20)).await?;
        // Those that the trial killed have no process any more.
        for operator in
            self.operators.iter_mut().filter(|operator| operator.matchmaker.daemon.pid().is_some())
        {
            operator.matchmaker.daemon.terminate(Duration::from_secs(20)).await?;
        }
        Ok(())
    }

    /// The rows that a deployment's own transactions give.
    fn timeline_of(&mut self, deployed: &Value) -> Result<()> {
        let order = number(deployed, "/order")?;
        for sent in field(deployed, "/transactions")?.as_array().into_iter().flatten() {
            let mined = (number(sent, "/block")?, number(sent, "/gas")?);
            self.timeline.step("tenant", &text(sent, "/step")?, Some(mined), &format!("order {order}"));
        }
        let note =
            format!("lease {} with provider {}", number(deployed, "/lease")?, number(deployed, "/provider")?);
        let blocks = (number(deployed, "/blocks/lease")?, number(deployed, "/blocks/confirm")?);
        self.timeline.step(
            "contract",
            &format!("matched in block {}, confirmed in block {}", blocks.0, blocks.1),
            None,
            &note,
        );
        Ok(())
    }

    async fn created(&self, order: u64) -> Result<events::Mined<IOrderBook::OrderCreated>> {
        let (chain, book) = (self.network.anvil.provider(), self.network.book.order_book);
        events::last::<IOrderBook::OrderCreated>(chain, book, |event| event.order == U256::from(order)).await
    }

    async fn closed(&self, lease: u64) -> Result<(u64, u64)> {
        let (chain, book) = (self.network.anvil.provider(), self.network.book.lease_book);
        let closed =
            events::last::<ILeaseBook::LeaseClosed>(chain, book, |event| event.lease == U256::from(lease));
        closed.await.map(|closed| (closed.block, closed.gas))
    }

    /// A provider's newest cash-out.
    async fn cashed_out(&self, provider: u32) -> Result<(u64, u64)> {
        let (chain, book) = (self.network.anvil.provider(), self.network.book.escrow);
        let out = events::last::<IEscrow::CashedOut>(chain, book, |event| {
            event.token == U256::from(network::DOLLAR) && event.payee == U256::from(provider)
        });
        out.await.map(|out| (out.block, out.gas))
    }

    /// Waits until the engine has nothing of the lease any more.
    async fn nothing_left(&mut self, lease: u64) -> Result<()> {
        let (engine, owner) = (self.network.engine, &self.nodes[0].label);
        let gone = || async { engine.left(owner, Some(lease)).await.ok()?.is_empty().then_some(()) };
        iono_testkit::eventually("the end of the lease's containers", Duration::from_secs(30), gone).await?;
        self.timeline.step(
            "fair",
            "remove containers, network and volumes",
            None,
            "nothing is left of the lease",
        );
        Ok(())
    }
}

fn first_url(deployed: &Value) -> Result<String> {
    text(deployed, "/urls/0").or_else(|_| text(deployed, "/urls/0/url"))
}

/// Why providers did not bid or lost, as `iono bids` tells it.
fn reasons(bids: &Value) -> Vec<String> {
    let mut reasons = Vec::new();
    for list in ["/bids", "/declined"] {
        for entry in bids.pointer(list).and_then(Value::as_array).into_iter().flatten() {
            let provider = entry.get("provider").map(ToString::to_string).unwrap_or_default();
            let why = entry.get("reason").and_then(Value::as_str).unwrap_or_default();
            if !why.is_empty() {
                reasons.push(format!("provider {provider}: {why}"));
            }
        }
    }
    reasons
}

/// The middle of an odd number of measurements.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
