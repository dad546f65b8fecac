//! The quorum's trial on a market of two providers, looked at from outside with Foundry's `cast`.
#![allow(clippy::unwrap_used, missing_docs)]

use alloy::primitives::{Address, U256};
use iono_e2e::operators::STAKE;
use iono_e2e::quorum::{OPERATORS, TENANTS, trial};
use iono_e2e::{Market, NodePlan, cast, hello};

#[tokio::test(flavor = "multi_thread")]
async fn seven_operators_match_with_one_dead_and_one_lying() {
    let mut market = Market::open().await.unwrap();
    let mut second =
        market.network.provider(NodePlan { price: 0.02, ..NodePlan::new("dear") }).await.unwrap();
    second.run().await.unwrap();
    let mut operators = market.network.operators(OPERATORS).await.unwrap();
    let mut tenants = Vec::new();
    for index in 1..=TENANTS {
        tenants.push(market.network.tenant(&format!("tenant-{index}")).await.unwrap());
    }
    let manifest = hello::manifest(market.network.dir(), "quorum", 1).unwrap();
    let deploy = ["deploy", &manifest, "--token", "1"];
    let told = trial(
        &market.network,
        std::slice::from_ref(&market.node),
        &mut operators,
        &tenants,
        &deploy,
        &mut |_, _, _, _| {},
    )
    .await
    .unwrap();
    assert!(told.matches_after_fault >= 10, "{told:?}");

    let (rpc, book) = (market.network.anvil.url(), market.network.book.clone());
    let ask = async |to: Address, signature: &str, number: u64| -> U256 {
        let (to, number) = (to.to_string(), number.to_string());
        *cast::call(&rpc, &to, signature, &[&number]).await.unwrap().last().unwrap()
    };
    let registry = book.operator_registry;
    let era = cast::call(&rpc, &registry.to_string(), "currentEra()(uint256)", &[]).await.unwrap()[0].to();
    let members = ask(registry, "setAt(uint256)(uint256,uint256,uint256)", era).await;
    assert_eq!(members, U256::from(OPERATORS), "the set of an era stands");
    let whole = U256::from(STAKE) * U256::from(10).pow(U256::from(18));
    for operator in &operators {
        let (number, is_liar) = (operator.number.into(), operator.number == told.liar);
        let ejected = ask(registry, "ejectedIn(uint256)(uint256)", number).await;
        assert_eq!(ejected != U256::ZERO, is_liar, "operator {number}");
        let stake = ask(book.operator_staking, "poolOf(uint256)(uint256)", number).await;
        assert_eq!(stake, if is_liar { whole / U256::from(2) } else { whole }, "operator {number}");
    }
    // Every match of the quorum by its own event; all eleven orders became leases that were served.
    let event = "BatchResponded(bytes32,uint256,uint256,bytes32,uint256,uint256,bytes32[])";
    let batches = cast::logs(&rpc, &book.match_task_manager.to_string(), event).await.unwrap();
    let matched: U256 = batches.iter().map(|data| word(data, 3)).sum();
    let orders = TENANTS as u64 * 2 + 1;
    assert_eq!(matched, U256::from(orders));
    for order in 1..=orders {
        let lease = ask(book.lease_book, "leaseWords(uint256)(uint256,uint256)", order).await;
        assert_ne!(lease, U256::ZERO, "order {order} has no lease");
    }
    market.balanced().await.unwrap();
}

/// A word of a log's data: closing block, era, root, matched, signed.
fn word(data: &str, index: usize) -> U256 {
    let digits = data.trim_start_matches("0x");
    U256::from_str_radix(&digits[index * 64..(index + 1) * 64], 16).unwrap()
}
