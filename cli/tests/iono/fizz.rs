//! `iono fizz` and `iono subnet`: from a founded subnet to a member that bids may name, and a vote that changes its terms
//! (SP-35, SP-38).

use iono_testkit::{Devnet, ProviderSetup};
use serde_json::json;

use crate::person::{Person, quick_market};

const DAY: u64 = 86_400;
const PIN: &str = "sha256//OS22D2qmIsWPV20w+R2dxauA8Ez77586kniuqu0ayw0=";
const OFFER: [&str; 10] =
    ["--cpu", "4", "--memory", "8Gi", "--storage", "50Gi", "--core", "0.01", "--memory-gib", "0.002"];

/// A provider that has a gateway, and its owner.
async fn gateway(devnet: &Devnet) -> Person {
    let owner = devnet.anvil.key(1);
    let mut setup = ProviderSetup::new(owner.clone(), devnet.anvil.key(2));
    setup.offers_fizz = true;
    devnet.provider(&setup).await.unwrap();
    Person::with_key(devnet, &owner)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_joins_a_subnet_and_leaves_it() {
    let devnet = quick_market().await;
    let (owner, ann) = (gateway(&devnet).await, Person::funded(&devnet));
    ann.json(&["faucet", "--token", "SPON", "--amount", "200"]);
    let register = [&["fizz", "register", "1", "--pin", PIN][..], &OFFER].concat();
    assert!(ann.fails(5, &register).contains("subnet"), "nobody founded one yet");

    owner.json(&["subnet", "found", "1", "--share", "80", "--min-delegation", "100"]);
    let subnet = ann.json(&["subnet", "show", "1"]);
    assert_eq!((&subnet["terms"]["share_bp"], &subnet["open"]), (&json!(8_000), &json!(false)), "{subnet}");
    assert_eq!(subnet["terms"]["min_delegation"], "100");
    let words = ann.run(&["subnet", "show", "1"]).stdout;
    assert!(words.contains("80.00 %") && words.contains("whom the provider accepts"), "{words}");

    let dry = ann.json(&[&register[..], &["--dry-run"]].concat());
    assert!(dry.to_string().contains("register"), "{dry}");
    let made = ann.json(&register);
    assert_eq!((&made["fizz"], &made["member"], &made["pin"]), (&json!(1), &json!(false), &json!(PIN)));
    let status = ann.json(&["fizz", "status", "1"]);
    assert_eq!((&status["state"], &status["active"]), (&json!("proposed"), &json!(false)), "{status}");
    assert!(ann.fails(5, &["fizz", "accept", "1"]).contains("provider"), "only the provider accepts");
    owner.json(&["fizz", "accept", "1"]);
    // A member, whose owner has delegated nothing yet.
    let words = ann.run(&["fizz", "status", "1"]).stdout;
    assert!(words.contains("may not name it"), "{words}");
    ann.json(&["stake", "delegate", "1", "100"]);
    let status = ann.json(&["fizz", "status", "1"]);
    assert_eq!((&status["active"], &status["delegation"]["held"]), (&json!(true), &json!("100")), "{status}");
    // A proposal that was taken back is not listed, and hides nobody.
    assert_eq!(ann.json(&register)["fizz"], 2);
    ann.json(&["fizz", "leave", "2"]);
    let list = ann.json(&["fizz", "list"]);
    assert_eq!((list.as_array().unwrap().len(), &list[0]["state"]), (1, &json!("member")));
    assert_eq!(owner.json(&["fizz", "list"]), json!([]));
    assert_eq!(owner.json(&["fizz", "list", "--provider", "1"])[0]["owner"], status["owner"]);

    ann.json(&[&["fizz", "price", "1"][..], &OFFER].concat());
    let next = format!("0x{}", "07".repeat(32));
    ann.json(&["fizz", "rotate-pin", "1", "--pin", &next]);
    ann.json(&["fizz", "payout", "1", "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"]);
    let status = ann.json(&["fizz", "status", "1"]);
    assert_eq!(status["payout"], "0x70997970c51812dc3a010c7d01b50e0d17dc79c8", "{status}");
    assert!(status["next_pin"].is_string(), "{status}");
    assert!(ann.fails(6, &["fizz", "withdraw", "1"]).contains("no DUSD waits"), "it earned nothing yet");
    ann.json(&["fizz", "leave", "1"]);
    assert_eq!(ann.json(&["fizz", "status", "1"])["state"], "left");
    ann.fails(7, &["fizz", "status", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn delegators_change_the_terms_by_vote() {
    let devnet = quick_market().await;
    let owner = gateway(&devnet).await;
    owner.json(&["subnet", "found", "1", "--share", "80"]);
    owner.json(&["subnet", "open", "1"]);
    assert_eq!(owner.json(&["subnet", "show", "1"])["open"], true);
    assert_eq!(owner.json(&["subnet", "proposals", "1"]), json!([]));
    // Votes are shares held at the end of the era before.
    devnet.anvil.advance(2 * DAY).await.unwrap();
    let made = owner.json(&["subnet", "propose-terms", "1", "--share", "85", "--min-delegation", "50"]);
    let proposal = made["proposal"].to_string();
    let words = owner.fails(5, &["subnet", "execute", &proposal]);
    assert!(words.contains("vote"), "{words}");
    owner.json(&["subnet", "vote", &proposal, "yes"]);
    owner.fails(5, &["subnet", "vote", &proposal, "no"]);
    let table = owner.run(&["subnet", "proposals", "1"]).stdout;
    assert!(table.contains("share 85.00 %") && table.contains("open for"), "{table}");
    devnet.anvil.advance(4 * DAY).await.unwrap();
    let list = owner.json(&["subnet", "proposals", "1"]);
    assert_eq!(list[0]["state"], "passed", "{list}");
    owner.json(&["subnet", "execute", &proposal]);
    assert_eq!(owner.json(&["subnet", "proposals", "1"])[0]["state"], "carried out");
    let subnet = owner.json(&["subnet", "show", "1"]);
    assert_eq!(
        (&subnet["next"]["share_bp"], &subnet["next"]["min_delegation"]),
        (&json!(8_500), &json!("50"))
    );
}
