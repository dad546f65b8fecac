//! Match fees of a batch that an operator signed: shown by `iono operator status`, paid by `iono operator claim` (SP-15).

use alloy::primitives::U256;
use alloy::providers::Provider as _;
use alloy::signers::local::PrivateKeySigner;
use iono_bindings::{IMatchPolicy, IMatchTaskManager, IOrderBook, IRandomness, Match, OrderWords};
use iono_bls::SecretKey;
use iono_matching::{Bid, Weights};
use iono_primitives::{OrderId, Rate};
use iono_quorum::{Anchor, Domain, Roster, Tree, rank};
use iono_testkit::{Devnet, ProviderSetup};
use serde_json::json;

use crate::person::{Person, quick_market};

const DAY: u64 = 86_400;

/// An order with one bid, its bidding over.
async fn order(devnet: &Devnet, hot: &PrivateKeySigner) -> OrderId {
    let tenant = devnet.anvil.key(1);
    let wallet = devnet.wallet(&tenant, 1_000_000_000).await.unwrap();
    let rate = Rate::from_hourly("0.1").unwrap();
    let order = devnet.order(&tenant, wallet, rate).await.unwrap();
    devnet.bid(hot, order, rate).await.unwrap();
    devnet.anvil.mine(4).await.unwrap();
    order
}

/// Matches an order by a batch that one operator signed, who is the whole set.
async fn respond(devnet: &Devnet, secret: &SecretKey, order: OrderId) {
    let (chain, book) = (devnet.anvil.provider(), &devnet.book);
    let orders = IOrderBook::new(book.order_book, chain);
    let words = orders.orderWords(order.into()).call().await.unwrap();
    let words = [words.word0, words.word1];
    let OrderWords { close_block, set_era, policy, .. } = OrderWords::read(words);
    let bids: Vec<Bid> = orders.bidsOf(order.into()).call().await.unwrap().into_iter().map(Bid).collect();
    let weights = IMatchPolicy::new(book.match_policy, chain).weightsOf(U256::from(policy)).call().await;
    let seed = IRandomness::new(book.randomness, chain).seedOf(U256::from(close_block + 1)).call().await;
    let block = chain.get_block_by_number(close_block.into()).await.unwrap().unwrap();
    let anchor = Anchor { close_hash: block.header.hash, seed: seed.unwrap() };
    let ranked = rank(order, words, Weights::from_word(weights.unwrap()), &bids, &anchor).unwrap();
    let tree = Tree::new(vec![ranked.leaf]).unwrap();
    let domain = Domain { chain_id: book.chain_id, tasks: book.match_task_manager };
    let signature = secret.sign(domain.root_digest(close_block, set_era, tree.root()).as_slice());

    let mut roster = Roster::default();
    let filter = alloy::rpc::types::Filter::new().address(book.operator_registry).from_block(0);
    chain.get_logs(&filter).await.unwrap().iter().for_each(|log| roster.apply(&log.inner));
    let call = IMatchTaskManager::respondBatchCall {
        closeBlock: U256::from(close_block),
        root: tree.root(),
        quorum: roster.set_at(set_era).unwrap().quorum(|_| Some(signature)).unwrap(),
        matches: vec![Match { order: order.into(), bid: ranked.bid.0, proof: tree.proof(0) }],
    };
    let receipt = devnet.send(&devnet.anvil.key(2), book.match_task_manager, call).await.unwrap();
    let responded = receipt.decoded_log::<IMatchTaskManager::BatchResponded>().unwrap();
    assert_eq!(responded.matched, U256::from(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn fees_are_shown_and_claimed_era_by_era() {
    let devnet = quick_market().await;
    let ann = Person::funded(&devnet);
    let hot = PrivateKeySigner::random();
    devnet.provider(&ProviderSetup::new(PrivateKeySigner::random(), hot.clone())).await.unwrap();
    let (owner, secret) = (PrivateKeySigner::random(), SecretKey::derive(&[1; 32]));
    devnet.operator(&owner, &secret, 10_000).await.unwrap();
    for _ in 0..2 {
        devnet.anvil.advance(DAY).await.unwrap();
        let order = order(&devnet, &hot).await;
        respond(&devnet, &secret, order).await;
    }
    // Who was not in the set of those eras did and missed nothing.
    devnet.operator(&owner, &SecretKey::derive(&[2; 32]), 10_000).await.unwrap();
    assert_eq!(ann.json(&["operator", "status", "2"])["eras"], json!([]));

    let status = ann.json(&["operator", "status", "1"]);
    let eras = status["eras"].as_array().unwrap();
    let (now, fee) = (status["era"].as_u64().unwrap(), eras[0]["unclaimed"].clone());
    assert!(fee.as_str().unwrap().parse::<f64>().unwrap() > 0.0, "{status}");
    for (shown, era) in eras.iter().zip([now - 1, now]) {
        assert_eq!((&shown["era"], &shown["matched"], &shown["missed"]), (&json!(era), &json!(1), &json!(0)));
    }
    let table = ann.run(&["operator", "status", "1"]).stdout;
    assert!(table.contains("MATCHED") && table.contains("DUSD"), "{table}");

    // Anyone may; the owner is paid.
    let (old, now) = ((now - 1).to_string(), now.to_string());
    ann.fails(7, &["operator", "claim", "1", "--era", "1"]);
    ann.fails(7, &["operator", "claim", "1", "--token", "SPON"]);
    let plan = ann.json(&["operator", "claim", "1", "--dry-run"]);
    assert_eq!(plan["transactions"].as_array().unwrap().len(), 2, "{plan}");
    let paid = ann.json(&["operator", "claim", "1", "--era", &old, "--token", "DUSD"]);
    assert_eq!(paid["owner"].as_str().unwrap().to_lowercase(), format!("{:#x}", owner.address()));
    let part = |era: &str| json!([{ "era": era.parse::<u64>().unwrap(), "token": "DUSD", "amount": fee }]);
    assert_eq!(paid["paid"], part(&old));
    assert_eq!(ann.json(&["operator", "claim", "1"])["paid"], part(&now));
    assert!(ann.fails(7, &["operator", "claim", "1"]).contains("nothing waits"));
}
