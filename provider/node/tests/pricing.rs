//! Prices by the owner's script and by an expression, with the real daemon: the bid's rate on the chain, one script that
//! hangs beside others, a daemon that dies while it waits for one, settings that change while it runs.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::time::Duration;

use alloy::providers::Provider as _;
use alloy::providers::ext::AnvilApi as _;
use alloy::sol_types::SolValue as _;
use common::{Market, SOON};
use iono_bindings::{BidWord, IOrderBook};
use iono_lease_api::{BidAnswer, BidDecision, QuoteRequest, SaltedManifest};
use iono_primitives::{LeaseState, OrderId, Rate};
use iono_provider_testkit::{Ordered, hello, spec};
use iono_testkit::{docker, eventually};

/// Slow blocks, so that a quarter of a window is longer than a busy machine takes to start a shell.
const SLOW: u64 = 8;

impl Market {
    /// Has orders priced by a shell script of this text.
    fn priced_by(&mut self, text: &str) {
        let path = self.dir.join("price.sh");
        std::fs::write(&path, text).unwrap();
        self.set = vec![format!("pricing.script=[\"/bin/sh\", \"{}\"]", path.display())];
    }

    async fn pace(&self, seconds: u64) {
        self.devnet.anvil.provider().anvil_set_interval_mining(seconds).await.unwrap();
    }

    /// Waits for so many blocks.
    async fn blocks(&self, count: u64) {
        let head = async || self.devnet.anvil.provider().get_block_number().await.unwrap();
        let until = head().await + count;
        eventually("blocks", SOON, || async { (head().await >= until).then_some(()) }).await.unwrap();
    }

    async fn answer(&self, ordered: &Ordered) -> BidAnswer {
        self.client().await.why_no_bid(OrderId::from(ordered.lease)).await.unwrap()
    }

    /// Waits for a decision without a bid and gives its reason.
    async fn declined(&self, ordered: &Ordered) -> String {
        let reason = eventually("a decision", SOON, || async {
            let answer = self.answer(ordered).await;
            let reason = answer.reasons.into_iter().next()?;
            (answer.decision == BidDecision::NoBid)
                .then(|| format!("{}: {}", reason.dimension, reason.message))
        });
        reason.await.unwrap()
    }

    /// The rate of the one bid on the chain.
    async fn rate(&self, ordered: &Ordered) -> Rate {
        self.bid_stands(ordered).await;
        let orders = IOrderBook::new(self.devnet.book.order_book, self.devnet.anvil.provider());
        let bids = orders.bidsOf(OrderId::from(ordered.lease).into()).call().await.unwrap();
        BidWord::read([bids[0]]).rate()
    }
}

fn hourly(text: &str) -> Rate {
    Rate::from_hourly(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_prices_orders_and_one_that_hangs_delays_no_other() {
    let mut market = Market::open().await;
    let hanging = market.dir.join("hanging");
    market.priced_by(&format!(
        r#"order=$(cat)
case "$order" in
*'"cpu":200,'*) echo "waiting for the oracle" >&2; echo $$ > {}; sleep 600 ;;
*'"cpu":300,'*) echo '{{"decline": "not on Sundays"}}' ;;
*) echo '{{"hourly": "0.0421"}}' ;;
esac"#,
        hanging.display()
    ));
    market.pace(SLOW).await;
    let mut daemon = market.start().await;
    assert_eq!(market.client().await.provider().await.unwrap().prices, None);
    // Seen by the daemon, so that it knows the pace; then all three orders come in one block.
    market.blocks(2).await;
    let after = async |millis, nonce, count| {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        market.order(nonce, count).await
    };
    let (hung, refused, priced) =
        tokio::join!(after(0, "hung", 2), after(700, "refused", 3), after(1_400, "priced", 1));

    // The bid is decided on while the other script still hangs.
    eventually("a bid beside a script that hangs", SOON, || async {
        let priced = market.answer(&priced).await;
        (priced.decision == BidDecision::Bid).then_some(())
    })
    .await
    .unwrap();
    assert_eq!(market.declined(&refused).await, "price: the pricing script declines: not on Sundays");
    let reserved = async || market.command(&["status"]).await.1["reserved_orders"].clone();
    assert_eq!(reserved().await, 2, "the bid, and what is being priced");
    assert_eq!(market.answer(&hung).await.decision, BidDecision::Pending);
    assert_eq!(market.rate(&priced).await, hourly("0.0421"));

    let why = market.declined(&hung).await;
    assert!(why.starts_with("price: the pricing script gave no answer within"), "{why}");
    assert!(why.ends_with("and was ended; it said: waiting for the oracle"), "{why}");
    let process = std::fs::read_to_string(&hanging).unwrap();
    assert!(!std::path::Path::new(&format!("/proc/{}", process.trim())).exists());
    let (done, bids, error) = market.command(&["bids", "--order", &hung.lease.to_string()]).await;
    assert!(done && bids[0]["reason"] == why.as_str(), "{bids} {error}");
    assert_eq!(reserved().await, 1, "the bid alone");
    let metrics = reqwest::get(format!("{}/metrics", market.health)).await.unwrap().text().await.unwrap();
    for result in ["price", "decline", "slow"] {
        assert!(metrics.contains(&format!("iono_host_scripts_total{{result=\"{result}\"}} 1")), "{metrics}");
    }

    // New terms of a lease have the script's price as well.
    market.pace(1).await;
    market.resolve(&priced).await;
    market.until_state(priced.lease, LeaseState::Active).await;
    let manifest = SaltedManifest::new(alloy::primitives::B256::random(), hello("more", 4, docker::HELLO));
    let request = QuoteRequest { spec: spec(&manifest).abi_encode().into(), max_rate: None };
    let quote = market.client().await.quote(priced.lease, &request).await.unwrap();
    assert_eq!(quote.rate, hourly("0.0421").0.to_string());
    daemon.terminate(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_script_ran_when_the_daemon_died_is_priced_again() {
    let mut market = Market::open().await;
    let (ready, started) = (market.dir.join("ready"), market.dir.join("started"));
    market.priced_by(&format!(
        "cat > {started}; [ -e {ready} ] || exec sleep 20; echo '{{\"hourly\": 0.25}}'",
        started = started.display(),
        ready = ready.display()
    ));
    market.pace(SLOW).await;
    let mut daemon = market.start().await;
    market.blocks(1).await;
    let ordered = market.order("again", 1).await;
    eventually("the script's start", SOON, || async { started.exists().then_some(()) }).await.unwrap();
    daemon.kill().await.unwrap();
    std::fs::write(&ready, "").unwrap();
    let mut daemon = market.start().await;
    assert_eq!(market.rate(&ordered).await, hourly("0.25"));
    daemon.terminate(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_is_read_and_corrected_while_the_daemon_runs() {
    let market = Market::open().await;
    let mut daemon = market.start().await;
    let settings = std::fs::read_to_string(&market.config).unwrap();
    let with = |expression: &str| {
        let text = format!("{settings}\n[pricing]\nexpression = \"{expression}\"\n");
        std::fs::write(&market.config, text).unwrap();
    };
    with("tabel * 2");
    market.until_red("Undefined variable: tabel (line 1, position 1)").await;
    with("table * 2 + 0.001 * endpoints");
    market.until_green().await;
    // A tenth of a core, and of memory and disk a sixteenth of a GiB each.
    assert_eq!(market.rate(&market.order("doubled", 1).await).await, hourly("0.0032625"));
    assert_eq!(market.client().await.provider().await.unwrap().prices, None);

    // What an owner sees of it beforehand, without a daemon.
    let (done, shown, error) =
        market.command(&["price", "--cpu", "2", "--memory", "0", "--storage", "0"]).await;
    assert!(done && shown["order"]["table"] == "0.02" && shown["hourly"] == "0.041", "{shown} {error}");
    let script = "pricing={script=[\"/bin/sh\",\"-c\",\"echo odd >&2; echo '{}'\"]}";
    let (done, shown, error) = market.command(&["price", "--gpu", "h100=2", "--set", script]).await;
    assert!(
        done && shown["script"]["stdout"] == "{}" && shown["script"]["stderr"] == "odd",
        "{shown} {error}"
    );
    assert!(shown["declined"].as_str().unwrap().contains("neither names a price nor declines"), "{shown}");
    assert!(shown["table"].as_str().unwrap().contains("no price for GPU model h100"), "{shown}");
    daemon.terminate(SOON).await.unwrap();
}
