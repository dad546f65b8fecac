//! Operators of the quorum as real processes on a real chain: matches by batch, with some of them dead, late, silent or
//! lying.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use alloy::providers::Provider as _;
use iono_primitives::{OrderId, OrderState};
use iono_testkit::eventually;
use support::quorum::{Quorum, STAKE};
use support::{LIMIT, World};

/// Mines a block now and then until the order is no longer open.
async fn until_matched(world: &World, order: OrderId) {
    eventually("the order is matched", LIMIT, || async {
        world.net.anvil.mine(1).await.unwrap();
        tokio::time::sleep(Duration::from_millis(400)).await;
        (world.order_state(order).await != OrderState::Open).then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_batch_is_submitted_in_the_first_possible_block() {
    let quorum = Quorum::new(4, "").await;
    let daemons = quorum.run().await;
    let order = quorum.order().await;
    let (_, close_block, _) = {
        until_block_after_close(&quorum, order).await;
        quorum.closed(order).await
    };
    let state = || async { (quorum.world.order_state(order).await == OrderState::Matched).then_some(()) };
    eventually("matched", LIMIT, state).await.unwrap_or_else(|error| {
        panic!("{error}\n{}", daemons.iter().map(|d| d.logs()).collect::<Vec<_>>().join("\n----\n"))
    });
    // The head was the seed's block; the aggregator's transaction made the next one.
    let head = quorum.net().anvil.provider().get_block_number().await.unwrap();
    assert_eq!(head, close_block + 2);
    let batches = quorum.batches().await;
    assert_eq!(batches.len(), 1);
    assert_eq!(batches[0].matched.to::<u64>(), 1);
    assert_eq!(quorum.world.matches(order).await, (1, 1));
    // Everybody signed, and the way that all see the task is the same.
    let whole = batches[0].signed;
    assert_eq!(
        whole.to_string(),
        quorum.roster().await.set_at(batches[0].setEra.to()).unwrap().weight().to_string()
    );
}

/// Mines until the seed's block is the head, slowly enough for daemons to see each block.
async fn until_block_after_close(quorum: &Quorum, order: OrderId) {
    let results = iono_bindings::IOrderBook::new(quorum.net().book.order_book, quorum.net().anvil.provider());
    let words = results.orderWords(order.into()).call().await.unwrap();
    let close = iono_bindings::OrderWords::read([words.word0, words.word1]).close_block;
    while quorum.net().anvil.provider().get_block_number().await.unwrap() < close + 1 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        quorum.mine(1).await;
    }
}

#[tokio::test]
async fn orders_are_matched_though_one_is_dead_and_one_lies() {
    let quorum = Quorum::new(7, "").await;
    let mut daemons = quorum.run().await;
    // The first is killed; the seventh never ran an honest daemon: its share is made by hand.
    daemons[0].kill().await.unwrap();
    daemons[6].kill().await.unwrap();
    let mut lied = false;
    for round in 0..10 {
        let order = quorum.order().await;
        until_block_after_close(&quorum, order).await;
        if !lied {
            let share = quorum.lie(order, &quorum.operators[6]).await;
            for operator in &quorum.operators[1..6] {
                let (status, said) = eventually("it knows the task", LIMIT, || async {
                    let answer = operator.post(&share).await;
                    (answer.0 != 404).then_some(answer)
                })
                .await
                .unwrap();
                assert_eq!((status, said["error"].as_str()), (409, Some("other_root")), "{said}");
            }
            lied = true;
        }
        until_matched(&quorum.world, order).await;
        assert_eq!(quorum.world.order_state(order).await, OrderState::Matched, "round {round}");
        assert_eq!(quorum.world.matches(order).await, (1, 1));
    }
    eventually("the liar is slashed", LIMIT, || async {
        quorum.mine(1).await;
        quorum.is_ejected(7).await.then_some(())
    })
    .await
    .unwrap();
    assert_eq!(quorum.stake_of(7).await, STAKE / 2);
    for honest in 1..=6 {
        assert_eq!((quorum.stake_of(honest).await, quorum.is_ejected(honest).await), (STAKE, false));
    }
    assert_eq!(quorum.batches().await.len(), 10, "every order went through the quorum");
}
