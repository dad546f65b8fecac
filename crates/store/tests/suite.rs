//! One suite for both databases: what holds for SQLite holds for a real Postgres.

#![allow(clippy::unwrap_used)]

use alloy::primitives::{Address, B256, Bytes, Log};
use iono_store::{
    Batch, BlockRef, Change, Intent, IntentState, LogQuery, SharedStore, StoreError, StoredLog, connect,
};
use iono_testkit::Postgres;
use serde_json::json;

/// Each test runs on a fresh SQLite file and on a fresh Postgres cluster.
macro_rules! suite {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                let dir = tempfile::tempdir().unwrap();
                let url = format!("sqlite:{}", dir.path().join("deep/store.db").display());
                super::$name(super::connect(&url).await.unwrap(), &url).await;
            })*
        }
        mod postgres {
            #[tokio::test]
            async fn everything() {
                let server = super::Postgres::start().unwrap();
                $(
                    let url = server.database(stringify!($name)).unwrap();
                    super::$name(super::connect(&url).await.unwrap(), &url).await;
                )*
            }
        }
        #[tokio::test]
        async fn memory() {
            connect("sqlite::memory:").await.unwrap().bind_chain("1").await.unwrap();
        }
    };
}
suite!(
    applies_and_rolls_back,
    applying_again_replaces,
    applies_all_or_nothing,
    filters_logs,
    large_batches,
    intents_are_recorded_once,
    open_intents_in_order,
    documents_have_versions,
    one_store_one_chain,
    concurrent_writers_queue_up,
    survives_reopening,
);

fn block(number: u64) -> BlockRef {
    BlockRef { number, hash: B256::with_last_byte(number as u8) }
}

fn log(block: u64, index: u64, topics: usize) -> StoredLog {
    let topics = (0..topics).map(|i| B256::repeat_byte(i as u8 + 1)).collect();
    let address = Address::repeat_byte(index as u8 % 2);
    let log = Log::new(address, topics, Bytes::from(vec![block as u8; 40])).unwrap();
    StoredLog { block, index, transaction: B256::repeat_byte(9), log }
}

async fn applies_and_rolls_back(store: SharedStore, _: &str) {
    assert_eq!(store.cursor().await.unwrap(), None);
    let first = Batch { blocks: &[block(10)], logs: &[log(3, 0, 4), log(10, 1, 0)], ..Batch::default() };
    store.apply(&first).await.unwrap();
    let blocks: Vec<_> = (11..=14).map(block).collect();
    let second = Batch {
        from: 11,
        blocks: &blocks,
        logs: &[log(12, 0, 1), log(14, 0, 1)],
        forget_below: 10,
        ..Batch::default()
    };
    store.apply(&second).await.unwrap();
    assert_eq!(store.cursor().await.unwrap(), Some(block(14)));

    store.rollback(12, &[Change::put("n", "k", &"rolled back").unwrap()]).await.unwrap();
    assert_eq!(store.cursor().await.unwrap(), Some(block(12)));
    let numbers: Vec<_> = store.blocks().await.unwrap().iter().map(|b| b.number).collect();
    assert_eq!(numbers, [12, 11, 10]);
    let logs = store.logs(&LogQuery::blocks(0..=u64::MAX)).await.unwrap();
    assert_eq!(logs, [log(3, 0, 4), log(10, 1, 0), log(12, 0, 1)]);
    assert_eq!(store.document("n", "k").await.unwrap().unwrap().body, json!("rolled back"));

    assert_eq!(store.prune_logs(10).await.unwrap(), 1);
    let third = Batch { from: 13, blocks: &[block(13)], forget_below: 13, ..Batch::default() };
    store.apply(&third).await.unwrap();
    assert_eq!(store.blocks().await.unwrap(), [block(13)]);
}

async fn applying_again_replaces(store: SharedStore, _: &str) {
    let first = Batch { blocks: &[block(10)], logs: &[log(10, 0, 1)], ..Batch::default() };
    store.apply(&first).await.unwrap();
    let (blocks, logs) = ([block(11), block(12)], [log(11, 0, 1), log(12, 0, 1)]);
    store.apply(&Batch { from: 11, blocks: &blocks, logs: &logs, ..Batch::default() }).await.unwrap();
    // Twice the same, then another fork of the same blocks, and shorter.
    for _ in 0..2 {
        let other = Batch { from: 11, blocks: &[block(11)], logs: &[log(11, 1, 2)], ..Batch::default() };
        store.apply(&other).await.unwrap();
        assert_eq!(store.cursor().await.unwrap(), Some(block(11)));
        let logs = store.logs(&LogQuery::blocks(0..=u64::MAX)).await.unwrap();
        assert_eq!(logs, [log(10, 0, 1), log(11, 1, 2)]);
    }
}

async fn applies_all_or_nothing(store: SharedStore, _: &str) {
    let put = Change::put("n", "k", &1).unwrap();
    let (logs, changes) = ([log(1, 0, 1), log(1, 0, 1)], std::slice::from_ref(&put));
    let twice = Batch { logs: &logs, changes, ..Batch::default() };
    store.apply(&twice).await.unwrap_err();
    let conflict = Change::Put { namespace: "n".into(), key: "k".into(), body: json!(2), version: Some(7) };
    let late =
        Batch { blocks: &[block(1)], logs: &[log(1, 0, 1)], changes: &[put, conflict], ..Batch::default() };
    assert!(matches!(store.apply(&late).await, Err(StoreError::Conflict { .. })));
    assert_eq!(store.cursor().await.unwrap(), None);
    assert!(store.logs(&LogQuery::blocks(0..=9)).await.unwrap().is_empty());
    assert!(store.documents("n").await.unwrap().is_empty());
}

async fn filters_logs(store: SharedStore, _: &str) {
    let logs = vec![log(1, 0, 1), log(1, 1, 2), log(2, 0, 0), log(2, 1, 1)];
    store.apply(&Batch { logs: &logs, ..Batch::default() }).await.unwrap();
    let mut query = LogQuery::blocks(1..=2);
    query.event = Some(B256::repeat_byte(1));
    assert_eq!(store.logs(&query).await.unwrap(), [log(1, 0, 1), log(1, 1, 2), log(2, 1, 1)]);
    query.address = Some(Address::repeat_byte(1));
    assert_eq!(store.logs(&query).await.unwrap(), [log(1, 1, 2), log(2, 1, 1)]);
    query.blocks = 2..=2;
    assert_eq!(store.logs(&query).await.unwrap(), [log(2, 1, 1)]);
}

async fn large_batches(store: SharedStore, _: &str) {
    // Every number of topics with every size of data, none and much too.
    let logs: Vec<StoredLog> = (0..5_500)
        .map(|i| {
            let mut log = log(i / 10, i % 10, i as usize % 5);
            log.log.data.data = vec![i as u8; [0, 1, 32, 64, 333, 3, 160][i as usize % 7]].into();
            log
        })
        .collect();
    store.apply(&Batch { blocks: &[block(200)], logs: &logs, ..Batch::default() }).await.unwrap();
    assert!(store.logs(&LogQuery::blocks(0..=549)).await.unwrap() == logs);
}

fn intent(key: &str, state: IntentState, nonce: Option<u64>) -> Intent {
    Intent { key: key.into(), sender: Address::repeat_byte(5), state, nonce, body: json!({ "gas": "1" }) }
}

async fn intents_are_recorded_once(store: SharedStore, _: &str) {
    let first = intent("bid:1", IntentState::Queued, None);
    assert_eq!(store.record_intent(&first).await.unwrap(), first);
    let sent =
        Intent { state: IntentState::Sent, nonce: Some(4), body: json!({ "hash": "0x1" }), ..first.clone() };
    store.update_intent(&sent).await.unwrap();
    assert_eq!(store.record_intent(&first).await.unwrap(), sent);
    assert_eq!(store.intent("bid:1").await.unwrap(), Some(sent));
    store.update_intent(&intent("bid:2", IntentState::Sent, None)).await.unwrap_err();
    store.forget_intent("bid:1").await.unwrap();
    assert_eq!(store.intent("bid:1").await.unwrap(), None);
}

async fn open_intents_in_order(store: SharedStore, _: &str) {
    for (key, state, nonce) in [
        ("queued", IntentState::Queued, None),
        ("late", IntentState::Sent, Some(12)),
        ("early", IntentState::Mined, Some(3)),
        ("done", IntentState::Final, Some(1)),
        ("failed", IntentState::Failed, Some(2)),
    ] {
        store.record_intent(&intent(key, state, nonce)).await.unwrap();
    }
    let mut foreign = intent("foreign", IntentState::Queued, None);
    foreign.sender = Address::ZERO;
    store.record_intent(&foreign).await.unwrap();
    let open = store.open_intents(Address::repeat_byte(5)).await.unwrap();
    assert_eq!(open.iter().map(|i| i.key.as_str()).collect::<Vec<_>>(), ["early", "late", "queued"]);
}

async fn documents_have_versions(store: SharedStore, _: &str) {
    let put = |version, body: u64| Change::Put {
        namespace: "n".into(),
        key: "k".into(),
        body: json!(body),
        version,
    };
    assert!(matches!(store.change(&[put(Some(3), 1)]).await, Err(StoreError::Conflict { .. })));
    store.change(&[put(Some(0), 1)]).await.unwrap();
    assert!(matches!(store.change(&[put(Some(0), 2)]).await, Err(StoreError::Conflict { .. })));
    store.change(&[put(Some(1), 2)]).await.unwrap();
    assert!(matches!(store.change(&[put(Some(1), 3)]).await, Err(StoreError::Conflict { .. })));
    store.change(&[put(None, 4)]).await.unwrap();
    let document = store.document("n", "k").await.unwrap().unwrap();
    assert_eq!((document.version, document.parse::<u64>().unwrap()), (3, 4));
    assert!(document.parse::<String>().is_err());
    store.change(&[Change::delete("n", "k"), Change::delete("n", "absent")]).await.unwrap();
    assert_eq!(store.document("n", "k").await.unwrap(), None);
}

async fn one_store_one_chain(store: SharedStore, url: &str) {
    store.bind_chain("31337:0xaa").await.unwrap();
    store.bind_chain("31337:0xaa").await.unwrap();
    let again = connect(url).await.unwrap();
    let error = again.bind_chain("1:0xbb").await.unwrap_err();
    assert!(error.to_string().contains("belongs to 31337:0xaa"), "{error}");
}

async fn concurrent_writers_queue_up(store: SharedStore, _: &str) {
    let tasks: Vec<_> = (0..40)
        .map(|i| {
            let store = store.clone();
            tokio::spawn(async move { store.change(&[Change::put("n", i % 4, &i).unwrap()]).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let versions: u64 = store.documents("n").await.unwrap().iter().map(|d| d.version).sum();
    assert_eq!(versions, 40);
}

async fn survives_reopening(store: SharedStore, url: &str) {
    store.apply(&Batch { blocks: &[block(7)], logs: &[log(7, 0, 2)], ..Batch::default() }).await.unwrap();
    drop(store);
    let store = connect(url).await.unwrap();
    assert_eq!(store.cursor().await.unwrap(), Some(block(7)));
    assert_eq!(store.logs(&LogQuery::blocks(7..=7)).await.unwrap(), [log(7, 0, 2)]);
}

#[tokio::test]
async fn other_addresses_are_refused() {
    let error = connect("mysql://localhost").await.err().unwrap();
    assert!(error.to_string().contains("write sqlite:PATH"), "{error}");
}
