//! Operators of the quorum as real processes on a real chain, when nothing goes wrong and when some of them are dead,
//! late, without means or lying.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use iono_bindings::{IMatchTaskManager, IOrderBook};
use iono_primitives::OrderState;
use iono_quorum::SignedShare;
use iono_testkit::{events, eventually};
use nix::sys::signal::Signal;
use support::LIMIT;
use support::quorum::{PATIENT, Quorum, STAKE};

#[tokio::test]
async fn a_batch_is_submitted_in_the_first_possible_block() {
    let quorum = Quorum::new(4, "").await;
    let daemons = quorum.run().await;
    let order = quorum.order().await;
    let close_block = quorum.until_seed(order).await;
    // The head is the seed's block; the aggregator's transaction makes the next one.
    quorum.matched(order, &daemons).await;
    assert_eq!(quorum.head().await, close_block + 2);
    let batches = quorum.batches().await;
    assert_eq!((batches.len(), batches[0].matched.to::<u64>()), (1, 1));
    assert_eq!(quorum.world.matches(order).await, (1, 1));
    let set = quorum.roster().await.set_at(batches[0].setEra.to()).unwrap();
    assert_eq!(batches[0].signed.to::<u128>(), set.weight(), "everybody signed");

    let operator = &quorum.operators[2];
    let seat = &operator.keeper.json("status").await["operator"];
    assert_eq!((seat["number"].as_u64(), seat["members"].as_u64()), (Some(3), Some(4)), "{seat}");
    assert_eq!(seat["endpoint"], operator.endpoint.as_str(), "{seat}");
    let findings = operator.keeper.json("check").await;
    assert!(findings.as_array().unwrap().iter().all(|finding| finding["ok"] == true), "{findings}");

    for operator in &quorum.operators {
        let task = eventually("the task is done", LIMIT, || async {
            operator.tasks().await.into_iter().find(|task| task["state"] == "done")
        });
        let task = task.await.unwrap();
        assert_eq!(
            (task["closeBlock"].as_u64(), task["orders"].as_u64()),
            (Some(close_block), Some(1)),
            "{task}"
        );
        assert!(set.members.iter().any(|member| u64::from(member.operator) == task["aggregator"]), "{task}");
    }
}

#[tokio::test]
async fn orders_are_matched_though_one_is_dead_and_one_lies() {
    let quorum = Quorum::new(7, PATIENT).await;
    let mut daemons = quorum.run().await;
    // The seventh's share is made by hand.
    daemons[0].kill().await.unwrap();
    daemons[6].kill().await.unwrap();
    for round in 0..10 {
        let order = quorum.order().await;
        quorum.until_seed(order).await;
        if round == 0 {
            let share = quorum.lying(order).await.share(7, &quorum.operators[6].secret);
            for operator in &quorum.operators[1..6] {
                let (status, said) = operator.post_when_known(&share).await;
                assert_eq!((status, said["error"].as_str()), (409, Some("other_root")), "{said}");
            }
        }
        quorum.until_matched(order).await;
        assert_eq!(quorum.world.matches(order).await, (1, 1), "round {round}");
    }
    quorum.until_ejected(7).await;
    assert_eq!(quorum.stake_of(7).await, STAKE / 2);
    quorum.nobody_is_punished(1..=6).await;
    assert_eq!(quorum.batches().await.len(), 10, "every order went through the quorum");
}

#[tokio::test]
async fn when_the_aggregator_dies_the_next_takes_its_turn() {
    let quorum = Quorum::new(4, PATIENT).await;
    let mut daemons = quorum.run().await;
    for outage in ["killed", "without gas"] {
        let order = quorum.order().await;
        let close_block = quorum.head().await;
        let first = quorum.turns(order).await[0] as usize - 1;
        match outage {
            "killed" => drop(daemons[first].kill().await.unwrap()),
            _ => quorum.net().anvil.fund(quorum.operators[first].keeper.key.address(), 0).await.unwrap(),
        }
        assert_eq!(quorum.until_seed(order).await, close_block);
        quorum.until_matched(order).await;
        assert!(quorum.head().await >= close_block + 3, "{outage}: the first turn passed");
        assert_eq!(quorum.world.matches(order).await, (1, 1), "{outage}");
        let batches = quorum.batches().await;
        assert_eq!(batches.last().unwrap().closeBlock.to::<u64>(), close_block, "{outage}");
        if outage == "killed" {
            daemons[first] = quorum.operators[first].keeper.run().await;
        }
    }
}

#[tokio::test]
async fn with_a_third_silent_orders_are_resolved_and_a_late_one_completes_the_quorum() {
    let quorum = Quorum::new(3, "[keeper]\nquorum_blocks = 6\n").await;
    let mut daemons = quorum.run().await;
    daemons[2].kill().await.unwrap();
    let order = quorum.order().await;
    let close_block = quorum.until_seed(order).await;
    quorum.until_matched(order).await;
    assert!(quorum.head().await >= close_block + 8, "they were waited for");
    assert!(quorum.batches().await.is_empty(), "two thirds are no quorum");
    assert_eq!(quorum.world.matches(order).await, (1, 1));

    // The third lost its disk while it was down and comes back when the others have signed.
    let data = quorum.operators[2].keeper.config.parent().unwrap().join("matchmaker.db");
    std::fs::remove_file(data).unwrap();
    let order = quorum.order().await;
    let close_block = quorum.until_seed(order).await;
    daemons[2] = quorum.operators[2].keeper.run().await;
    quorum.until_matched(order).await;
    let batches = quorum.batches().await;
    assert_eq!(batches.len(), 1, "{}", daemons[2].logs());
    assert_eq!(batches[0].closeBlock.to::<u64>(), close_block);
}

#[tokio::test]
async fn a_set_that_changes_between_signing_and_submission_still_matches() {
    let quorum = Quorum::new(4, PATIENT).await;
    let daemons = quorum.run().await;
    for daemon in &daemons[2..] {
        daemon.signal(Signal::SIGSTOP).unwrap();
    }
    let order = quorum.order().await;
    quorum.until_seed(order).await;
    quorum.operators[0].signed(&quorum, order).await;
    // The first leaves, and a new era begins, before the others sign.
    quorum.exit(&quorum.operators[0]).await;
    quorum.net().anvil.advance(86_400).await.unwrap();
    for daemon in &daemons[2..] {
        daemon.signal(Signal::SIGCONT).unwrap();
    }
    quorum.until_matched(order).await;
    let batches = quorum.batches().await;
    assert_eq!(batches.len(), 1, "{}", daemons[1].logs());
    quorum.nobody_is_punished(1..=4).await;
    // Orders of the new era are for those who stayed.
    let order = quorum.order().await;
    quorum.until_seed(order).await;
    quorum.until_matched(order).await;
    let last = quorum.batches().await.pop().unwrap();
    assert_eq!(quorum.roster().await.set_at(last.setEra.to()).unwrap().members.len(), 3);
    assert!(last.signed < batches[0].signed);
}

#[tokio::test]
async fn a_reorg_of_the_closing_block_punishes_nobody() {
    let quorum = Quorum::new(4, "").await;
    let daemons = quorum.run().await;
    let order = quorum.world.order().await;
    let close_block = quorum.until_seed(order).await;
    quorum.matched(order, &daemons).await;
    let before = quorum.results(order).await;
    let old_shares: Vec<_> = quorum
        .operators
        .iter()
        .map(|operator| {
            let share = before.sign(operator.number, &operator.secret);
            SignedShare { results: before.list(), ..share }
        })
        .collect();
    // The closing block, the seed's and the match are gone; the order and its bid stay.
    quorum.net().anvil.reorg(3).await.unwrap();
    assert_eq!(quorum.world.order_state(order).await, OrderState::Open);
    quorum.until_matched(order).await;
    let after = quorum.results(order).await;
    assert_ne!((after.anchor, after.root()), (before.anchor, before.root()));
    assert_eq!(after.close_block, close_block);
    // What they signed on the other chain is shown to all of them, and proves nothing.
    for operator in &quorum.operators {
        for share in &old_shares {
            let (status, said) = operator.post_when_known(share).await;
            assert_eq!((status, said["error"].as_str()), (409, Some("other_root")), "{said}");
        }
    }
    quorum.mine(2).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    quorum.nobody_is_punished(1..=4).await;
    assert_eq!(quorum.world.matches(order).await, (1, 1));
}

#[tokio::test]
async fn garbage_from_an_aggregator_changes_nothing() {
    let quorum = Quorum::new(4, PATIENT).await;
    let daemons = quorum.run().await;
    for daemon in &daemons {
        daemon.signal(Signal::SIGSTOP).unwrap();
    }
    let order = quorum.order().await;
    quorum.until_seed(order).await;
    // A true quorum over the true root, with a path that leads nowhere; and one that says that a signer was silent.
    let ballot = quorum.honest(order).await;
    let honest = quorum.batch(&ballot, &[0, 1, 2, 3]).await;
    let mut garbage = honest.clone();
    garbage.matches[0].proof.push(support::quorum::other_root());
    let receipt = quorum.submit(garbage).await.unwrap();
    let skipped = receipt.decoded_log::<IMatchTaskManager::MatchSkipped>().unwrap();
    assert_eq!(skipped.reason, 2, "not signed");
    let mut omitting = quorum.batch(&ballot, &[0, 1, 2]).await;
    omitting.quorum.signature = honest.quorum.signature;
    let refused = quorum.submit(omitting).await.unwrap_err().to_string();
    assert!(refused.contains("OperatorRegistry_BadSignature"), "{refused}");

    for daemon in &daemons {
        daemon.signal(Signal::SIGCONT).unwrap();
    }
    quorum.until_matched(order).await;
    assert_eq!(quorum.world.matches(order).await, (1, 1));
    let last = quorum.batches().await.pop().unwrap();
    let whole = quorum.roster().await.set_at(last.setEra.to()).unwrap().weight();
    assert_eq!((last.matched.to::<u64>(), last.signed.to::<u128>()), (1, whole));
}

#[tokio::test]
async fn a_wrong_match_is_challenged_and_its_signers_pay() {
    let quorum = Quorum::new(4, "").await;
    // A plain keeper is the only honest one: three of four operators sign a losing bid.
    let honest = quorum.world.keeper(10, None, "").await;
    // It dies between the challenge and the naming of the signers.
    let mut victim = honest.start(Some("chain.after_mined"));
    victim.ready(&honest.ready, LIMIT).await.unwrap();
    let order = quorum.order().await;
    quorum.until_seed(order).await;
    let right = quorum.results(order).await.ranked[0].bid.provider();
    let lie = quorum.batch(&quorum.lying(order).await, &[0, 1, 3]).await;
    quorum.submit(lie).await.unwrap();
    victim.wait_killed(LIMIT).await.unwrap();
    quorum.nobody_is_punished(1..=4).await;
    let daemon = honest.run().await;
    let amended = eventually("amended", LIMIT, || async {
        quorum.mine(1).await;
        let chain = quorum.net().anvil.provider();
        events::all::<IOrderBook::OrderAmended>(chain, quorum.net().book.order_book).await.unwrap().pop()
    });
    let amended = amended.await.unwrap_or_else(|error| panic!("{error}\n{}", daemon.logs()));
    assert_eq!(amended.event.provider.to::<u32>(), right);
    for signer in [1, 2, 4] {
        quorum.until_ejected(signer).await;
        assert_eq!(quorum.stake_of(signer).await, STAKE / 2);
    }
    let findings = quorum.operators[0].keeper.json("check").await;
    let said = findings.as_array().unwrap().iter().find(|finding| finding["name"] == "operator").unwrap();
    assert!(said["detail"].as_str().unwrap().contains("slashed and ejected"), "{said}");
    quorum.nobody_is_punished(3..=3).await;
    assert_eq!(quorum.net().lease(order.into()).await.unwrap().provider, right);
}

#[tokio::test]
async fn what_others_say_is_bounded_and_checked() {
    let quorum = Quorum::new(4, PATIENT).await;
    let daemons = quorum.run().await;
    // Two are silent, so that the task stays open.
    for daemon in &daemons[2..] {
        daemon.signal(Signal::SIGSTOP).unwrap();
    }
    let first = quorum.order().await;
    quorum.until_seed(first).await;
    let second = quorum.order().await;
    quorum.until_seed(second).await;
    let (one, two) = (quorum.results(first).await, quorum.results(second).await);
    let (taker, third) = (&quorum.operators[0], &quorum.operators[2]);
    let share = two.sign(third.number, &third.secret);
    let elsewhere = one.sign(third.number, &third.secret);

    let refusal = |share: SignedShare| async move {
        let (status, said) = taker.post_when_known(&share).await;
        (status, said["error"].as_str().unwrap_or_default().to_owned())
    };
    let refused = |status, error: &str| (status, error.to_owned());
    let with = |change: fn(&mut SignedShare)| {
        let mut changed = share.clone();
        change(&mut changed);
        changed
    };
    // The point at infinity, half a point, and a point of nothing.
    assert_eq!(refusal(with(|s| s.signature = vec![0; 128].into())).await, refused(400, "bad_share"));
    assert_eq!(refusal(with(|s| s.signature = vec![7; 64].into())).await, refused(400, "bad_share"));
    assert_eq!(refusal(with(|s| s.signature = vec![7; 128].into())).await, refused(400, "bad_share"));
    // Nobody's, and another root without and with results that are not its own.
    assert_eq!(refusal(with(|s| s.operator = 99)).await, refused(403, "not_member"));
    assert_eq!(refusal(with(|s| s.root = support::quorum::other_root())).await, refused(409, "other_root"));
    let mut claimed = with(|s| s.root = support::quorum::other_root());
    claimed.results = two.list();
    assert_eq!(refusal(claimed).await, refused(400, "bad_share"));
    // Of another block or era.
    let (status, _) = taker.post(&with(|s| s.close_block += 1000)).await;
    assert_eq!(status, 404);
    let (status, _) = taker.post(&with(|s| s.set_era += 1)).await;
    assert_eq!(status, 404);
    // A signature of another task is taken and dropped when it is checked; the right one enters all the same.
    let replayed = SignedShare { signature: elsewhere.signature.clone(), ..share.clone() };
    assert_eq!(taker.post_when_known(&replayed).await.0, 202);
    assert_eq!(taker.post_when_known(&share).await.0, 202);
    let fourth = &quorum.operators[3];
    let _ = taker.post_when_known(&two.sign(fourth.number, &fourth.secret)).await;
    // Shares are checked by whose turn it is.
    eventually("checked", LIMIT, || async {
        quorum.mine(1).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let tasks = taker.tasks().await;
        let task = tasks.iter().find(|task| task["root"] == two.root().to_string())?;
        let signers = task["signers"].as_array()?;
        (task["badShares"] == 1 && signers.contains(&third.number.into()) && signers.len() >= 3).then_some(())
    })
    .await
    .unwrap();
    assert_eq!(taker.post_when_known(&share).await.0, 200, "known");
    // No JSON, too much of it, and too often.
    assert_eq!(taker.post_text("{").await.0, 400);
    assert_eq!(taker.post_text(&"x".repeat(600_000)).await.0, 413);
    let flood = async || {
        let mut slowed = false;
        for _ in 0..100 {
            slowed |= taker.post(&share).await.0 == 429;
        }
        slowed
    };
    let slowed = futures::future::join_all((0..16).map(|_| flood())).await;
    assert!(slowed.contains(&true), "1,600 shares were taken as fast as they came");
}
