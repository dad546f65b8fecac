//! The kit itself: a market that can be used, and a second start that takes no time.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use iono_bindings::{IEscrow, IOrderBook, OrderWords};
use iono_primitives::{OrderState, Rate};
use iono_testkit::{Devnet, ProviderSetup};

#[tokio::test]
async fn an_order_is_matched() {
    let first = Devnet::start().await.unwrap();
    drop(first);
    let start = Instant::now();
    let net = Devnet::start().await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());

    let (tenant, keeper) = (net.anvil.key(5), net.anvil.key(6));
    let provider = ProviderSetup::new(net.anvil.key(7), net.anvil.key(8));
    let id = net.provider(&provider).await.unwrap();
    let wallet = net.wallet(&tenant, 100_000_000).await.unwrap();
    let escrow = IEscrow::new(net.book.escrow, net.anvil.provider());
    let free = escrow.balanceOf(wallet.into(), net.dollar_id().into()).call().await.unwrap();
    assert_eq!(free.to::<u64>(), 100_000_000);

    let rate = Rate::from_hourly("0.1").unwrap();
    let order = net.order(&tenant, wallet, rate).await.unwrap();
    net.bid(&provider.hot, order, rate).await.unwrap();
    net.anvil.mine(3).await.unwrap();
    net.send(&keeper, net.book.order_book, IOrderBook::resolveCall { order: order.into() }).await.unwrap();
    let book = IOrderBook::new(net.book.order_book, net.anvil.provider());
    let words = book.orderWords(order.into()).call().await.unwrap();
    assert_eq!(OrderWords::read([words.word0, words.word1]).order_state(), Some(OrderState::Matched));
    let lease = net.lease(order.into()).await.unwrap();
    assert_eq!(lease.provider, id.0);

    let refused =
        net.send(&keeper, net.book.order_book, IOrderBook::resolveCall { order: order.into() }).await;
    let words = refused.unwrap_err().to_string();
    assert!(words.contains("OrderBook_NotOpen") && words.contains("is matched"), "{words}");
}
