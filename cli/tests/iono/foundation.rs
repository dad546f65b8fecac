//! `iono admin foundation`: delegated to a newcomer, kept, and taken back (SP-4).

use crate::person::{Person, quick_market};

#[tokio::test(flavor = "multi_thread")]
async fn the_foundation_delegates_and_takes_back_when_the_promise_ends() {
    let devnet = quick_market().await;
    devnet
        .provider(&iono_testkit::ProviderSetup::new(devnet.anvil.key(1), devnet.anvil.key(2)))
        .await
        .unwrap();
    let (admin, ann) = (Person::admin(&devnet), Person::funded(&devnet));
    assert_eq!(admin.json(&["admin", "foundation", "show"])["delegations"].as_array().unwrap().len(), 0);
    let given = admin.json(&["admin", "foundation", "delegate", "1", "500"]);
    assert_eq!((&given["provider"], &given["delegated"]), (&1.into(), &"500".into()));
    let shown = admin.json(&["admin", "foundation", "show"]);
    assert_eq!(shown["threshold_bp"], 5_000);
    let delegation = &shown["delegations"][0];
    assert_eq!((&delegation["tokens"], &delegation["reclaimable"]), (&"500".into(), &false.into()));
    assert_eq!(
        (&delegation["utilisation_bp"], &delegation["committed_until"]),
        (&0.into(), &given["committed_until"])
    );
    let table = admin.run(&["admin", "foundation", "show"]).stdout;
    assert!(table.contains("0% of 50%") && table.contains("kept for 1"), "{table}");

    // Nobody else's, and not yet.
    let words = ann.fails(6, &["admin", "foundation", "delegate", "1", "1"]);
    assert!(words.contains("SPON"), "{words}");
    let words = ann.fails(5, &["admin", "foundation", "reclaim", "1", "all"]);
    assert!(words.contains("is not the foundation"), "{words}");
    let words = admin.fails(5, &["admin", "foundation", "reclaim", "1", "all"]);
    assert!(words.contains("leased 0 bp of its capacity, below 5000 bp"), "{words}");
    let words = admin.fails(7, &["admin", "foundation", "reclaim", "1", "501"]);
    assert!(words.contains("less than that"), "{words}");
    admin.fails(7, &["admin", "foundation", "reclaim", "2", "all"]);
    admin.fails(7, &["admin", "foundation", "withdraw"]);

    devnet.anvil.advance(180 * 86_400).await.unwrap();
    assert_eq!(admin.json(&["admin", "foundation", "show"])["delegations"][0]["reclaimable"], true);
    let started = admin.json(&["admin", "foundation", "reclaim", "1", "all"]);
    assert_eq!(started["tokens"], "500", "{started}");
    let request = started["request"].to_string();
    ann.fails(5, &["admin", "foundation", "withdraw", &request]);
    devnet.anvil.advance(8 * 86_400).await.unwrap();
    // Anyone may pay the foundation what is the foundation's.
    assert_eq!(ann.json(&["admin", "foundation", "withdraw"])["withdrawn"], "500");
    let shown = admin.json(&["admin", "foundation", "show"]);
    assert_eq!(
        (&shown["delegations"], &shown["unbonding"]),
        (&serde_json::json!([]), &serde_json::json!([]))
    );
}
