//! Commands that need nothing but the chain: money, orders nobody wants, governance.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use alloy::primitives::U256;
use alloy::providers::Provider;
use iono_bindings::{IERC20, IEscrow};
use iono_testkit::eventually;

use crate::host::compile_and_deploy;
use crate::person::{HELLO, Person, market, quick_market};

#[tokio::test(flavor = "multi_thread")]
async fn money_goes_in_and_out() {
    let devnet = quick_market().await;
    let ann = Person::funded(&devnet);
    assert_eq!(ann.json(&["wallets"]).as_array().unwrap().len(), 0);

    // A dry run says what would be sent and sends nothing.
    let nonce = devnet.anvil.provider().get_transaction_count(ann.address()).await.unwrap();
    let plan = ann.json(&["deposit", "40", "--dry-run"]);
    let steps: Vec<&str> =
        plan["transactions"].as_array().unwrap().iter().map(|t| t["step"].as_str().unwrap()).collect();
    assert_eq!((plan["dry_run"].as_bool(), steps), (Some(true), vec!["create_wallet", "deposit"]));
    assert_eq!(devnet.anvil.provider().get_transaction_count(ann.address()).await.unwrap(), nonce);

    let deposit = ann.json(&["deposit", "40"]);
    assert_eq!((deposit["wallet"].as_u64(), deposit["free"].as_str()), (Some(1), Some("40")));
    assert_eq!(deposit["transactions"].as_array().unwrap().len(), 2, "opened, then paid in by permit");
    let words = ann.fails(6, &["withdraw", "41"]);
    assert!(words.contains("wallet 1 has 40 DUSD free"), "{words}");
    assert_eq!(ann.json(&["withdraw", "15.5"])["free"], "24.5");
    assert_eq!(ann.json(&["account"])["tokens"][1]["balance"], "75.5");
    ann.fails(2, &["withdraw", "1.0000001"]);
    ann.fails(6, &["deposit", "1000"]);

    // The wallet passes to somebody else with all that is in it.
    let bob = Person::on(&devnet);
    ann.fails(5, &["transfer", "9", &bob.address().to_string()]);
    ann.json(&["transfer", "1", &bob.address().to_string()]);
    assert_eq!(ann.json(&["wallets"]).as_array().unwrap().len(), 0);
    let his = bob.json(&["wallets"]);
    assert_eq!(his[0]["balances"][0]["free"], "24.5", "{his}");
    let words = ann.fails(5, &["withdraw", "1", "--wallet", "1"]);
    assert!(words.contains("does not own wallet 1") && words.contains("Escrow_NotOwner"), "{words}");
    let words = bob.fails(6, &["withdraw", "all"]);
    assert!(words.contains("0 ether") && words.contains("iono faucet"), "he has nothing for gas: {words}");
    bob.json(&["faucet", "--amount", "1"]);
    assert_eq!(bob.json(&["withdraw", "all", "--to", &ann.address().to_string()])["free"], "0");

    // Two wallets: a command has to say which.
    bob.json(&["deposit", "1", "--new-wallet"]);
    let words = bob.fails(2, &["withdraw", "1"]);
    assert!(words.contains("several escrow wallets: 1, 2"), "{words}");
    let escrow = IEscrow::new(devnet.book.escrow, devnet.anvil.provider());
    assert_eq!(escrow.balanceOf(U256::from(2), U256::from(1)).call().await.unwrap(), U256::from(1_000_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_nobody_wants_is_refunded() {
    let devnet = market().await;
    let ann = Person::funded(&devnet);
    let file = ann.write("hello.yaml", HELLO);
    let file = file.to_str().unwrap();
    let words = ann.fails(11, &["deploy", file]);
    assert!(words.contains("nobody bid for order 1") && words.contains("iono bids 1"), "{words}");
    let orders = ann.json(&["ps", "--all"]);
    assert_eq!((orders[0]["state"].as_str(), &orders[0]["lease"]), (Some("void"), &serde_json::Value::Null));
    assert_eq!(ann.json(&["ps"]).as_array().unwrap().len(), 0);
    // One signature opened the wallet and paid in what the bracket asks for: all of it is free again.
    let wallets = ann.json(&["wallets"]);
    assert_eq!(
        (&wallets[0]["balances"][0]["free"], &wallets[0]["balances"][0]["reserved"]),
        (&"15".into(), &"0".into())
    );
    let bids = ann.json(&["bids", "1"]);
    assert_eq!((bids["state"].as_str(), bids["bids"].as_array().unwrap().len()), (Some("void"), 0));
    assert_eq!(ann.json(&["status", "1"])["state"], "void");
    assert_eq!(
        std::fs::read_dir(ann.path("leases")).unwrap().count(),
        0,
        "no secrets of dead orders are kept"
    );
    ann.fails(5, &["cancel", "1"]);
    ann.fails(7, &["close", "1"]);
    ann.fails(7, &["status", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_refused_before_it_costs_anything() {
    let devnet = quick_market().await;
    let ann = Person::on(&devnet);
    let file = ann.write("hello.yaml", HELLO);
    let file = file.to_str().unwrap();
    let words = ann.fails(6, &["deploy", file]);
    assert!(words.contains("the order needs 15 DUSD") && words.contains("iono faucet"), "{words}");
    ann.json(&["faucet"]);
    let words = ann.fails(6, &["deploy", file, "--max-rate", "300"]);
    assert!(words.contains("612.05 DUSD"), "price, 2% payer's fee and the match fee: {words}");
    let words = ann.fails(5, &["deploy", file, "--duration", "3650d", "--max-rate", "0.000001"]);
    assert!(words.contains("OrderBook_BadTerms"), "{words}");
    ann.fails(2, &["deploy", file, "--allow", "1", "--deny", "2"]);
    ann.fails(2, &["deploy", file, "--region", "atlantis"]);
    ann.fails(2, &["deploy", file, "--max-rate", "cheap"]);
    ann.fails(7, &["deploy", file, "--token", "EUR"]);
    ann.fails(5, &["deploy", file, "--wallet", "77"]);
    let bad = ann.write("bad.yaml", "version: \"1.0\"\n");
    ann.fails(10, &["deploy", bad.to_str().unwrap()]);
    assert!(!ann.path("leases").exists() || std::fs::read_dir(ann.path("leases")).unwrap().count() == 0);

    let quote = ann.json(&["quote", file, "--duration", "10h", "--max-rate", "1"]);
    assert_eq!((quote["max_cost"].as_str(), quote["payer_fee"].as_str()), (Some("10"), Some("0.2")));
    assert_eq!((quote["reserve"].as_str(), quote["wallet_needs"].as_str()), (Some("10.25"), Some("15")));
    assert!(quote["recent_bids"].is_null());
    let plan = ann.json(&["deploy", file, "--dry-run"]);
    assert_eq!(plan["transactions"][0]["step"], "permit_and_create");
    assert!(plan["transactions"][0]["gas"].as_u64().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_deployment_is_continued() {
    let devnet = quick_market().await;
    let ann = Person::funded(&devnet);
    let file = ann.write("hello.yaml", HELLO);
    let mut child = ann.command(&["deploy", file.to_str().unwrap()]).stderr(Stdio::null()).spawn().unwrap();
    // No block comes by itself here, so the order waits for its match.
    let ordered = async || (!ann.json(&["ps"]).as_array().unwrap().is_empty()).then_some(());
    eventually("the order", Duration::from_secs(60), ordered).await.unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(ann.json(&["ps"])[0]["state"], "bidding");
    let kept = std::fs::read_dir(ann.path("leases")).unwrap().next().unwrap().unwrap();
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(kept.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    devnet.anvil.mine(10).await.unwrap();
    let words = ann.fails(11, &["deploy", "--resume"]);
    assert!(words.contains("continuing order 1") && words.contains("nobody bid"), "{words}");
    assert_eq!(ann.json(&["deploy", "--resume"]).as_array().unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_can_be_taken_back_or_decided_by_anyone() {
    let devnet = quick_market().await;
    let ann = Person::funded(&devnet);
    let file = ann.write("hello.yaml", HELLO);
    for (order, blocks, command) in [("1", 0, "cancel"), ("2", 10, "resolve")] {
        let args = ["deploy", file.to_str().unwrap(), "--timeout", "2s"];
        let words = ann.fails(9, &args);
        assert!(words.contains("--resume"), "{words}");
        devnet.anvil.mine(blocks).await.unwrap();
        ann.json(&[command, order]);
        assert_eq!(ann.json(&["wallets"])[0]["balances"][0]["free"], "15");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_the_chain_forgets_costs_nothing() {
    let devnet = quick_market().await;
    let ann = Person::funded(&devnet);
    ann.json(&["deposit", "20"]);
    let file = ann.write("hello.yaml", HELLO);
    let mut child = ann.command(&["deploy", file.to_str().unwrap()]);
    let mut child = child.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // The block may go only once the command has seen its order in it.
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let ordered = lines.by_ref().map_while(Result::ok).any(|line| line.contains("order 1 in block"));
    assert!(ordered, "the command ended without an order");
    devnet.anvil.reorg(1).await.unwrap();
    let words: Vec<String> = lines.map_while(Result::ok).collect();
    let (code, words) = (child.wait().unwrap().code(), words.join("\n"));
    assert_eq!(code, Some(11), "{words}");
    assert!(words.contains("re-organisation") && words.contains("nothing was paid"), "{words}");
    assert_eq!(ann.json(&["wallets"])[0]["balances"][0]["free"], "20");
    assert_eq!(ann.json(&["deploy", "--resume"]).as_array().unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_commands_of_one_key_do_not_trip_over_each_other() {
    let devnet = market().await;
    let ann = Person::funded(&devnet);
    ann.json(&["deposit", "10"]);
    let children: Vec<_> = (0..4)
        .map(|_| {
            let mut command = ann.command(&["withdraw", "1"]);
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in children {
        let run = crate::person::run(child.wait_with_output().unwrap());
        assert_eq!(run.code, 0, "{}", run.stderr);
    }
    assert_eq!(ann.json(&["wallets"])[0]["balances"][0]["free"], "6");
}

/// A token without permit that keeps a tenth of every transfer for itself when it is told to.
const GREEDY: &str = "// SPDX-License-Identifier: MIT
pragma solidity ^0.8.0;
contract Greedy {
    string public name = 'Greedy'; string public symbol = 'GRD'; uint8 public decimals = 6; uint256 public totalSupply;
    bool public greedy;
    mapping(address => uint256) public balanceOf; mapping(address => mapping(address => uint256)) public allowance;
    function mint(address to, uint256 amount) external { balanceOf[to] += amount; totalSupply += amount; }
    function setGreedy(bool on) external { greedy = on; }
    function approve(address to, uint256 amount) external returns (bool) { allowance[msg.sender][to] = amount; return true; }
    function transfer(address to, uint256 amount) external returns (bool) { return move(msg.sender, to, amount); }
    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        allowance[from][msg.sender] -= amount; return move(from, to, amount);
    }
    function move(address from, address to, uint256 amount) internal returns (bool) {
        balanceOf[from] -= amount; balanceOf[to] += greedy ? amount - amount / 10 : amount; return true;
    }
}";

alloy::sol! {
    interface IGreedy {
        function mint(address to, uint256 amount) external;
        function setGreedy(bool on) external;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_all_manners_are_handled() {
    let devnet = market().await;
    let token = compile_and_deploy(&devnet.anvil, GREEDY, "Greedy").await;
    let (admin, ann) = (Person::admin(&devnet), Person::funded(&devnet));
    let enabled = admin.json(&["admin", "token", "enable", &token.to_string(), "--price", "1.00"]);
    assert_eq!(enabled["id"], 2);
    let words = ann.fails(5, &["admin", "token", "disable", "GRD"]);
    assert!(words.contains("AccessManagedUnauthorized"), "{words}");
    let mint = IGreedy::mintCall { to: ann.address(), amount: U256::from(100_000_000) };
    devnet.send(&devnet.admin(), token, mint).await.unwrap();

    // No permit: approved first, and the order still needs only one transaction more.
    let file = ann.write("hello.yaml", HELLO);
    let words = ann.fails(11, &["deploy", file.to_str().unwrap(), "--token", "GRD"]);
    assert!(words.contains("nobody bid"), "{words}");
    let deposit = ann.json(&["deposit", "5", "--token", "grd"]);
    let steps: Vec<&str> =
        deposit["transactions"].as_array().unwrap().iter().map(|t| t["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["approve", "deposit"]);

    devnet.send(&devnet.admin(), token, IGreedy::setGreedyCall { on: true }).await.unwrap();
    let words = ann.fails(5, &["deposit", "5", "--token", "GRD"]);
    assert!(words.contains("Escrow_TransferMismatch"), "{words}");

    // Disabled: nothing new comes in, what is there can leave.
    devnet.send(&devnet.admin(), token, IGreedy::setGreedyCall { on: false }).await.unwrap();
    admin.json(&["admin", "token", "disable", "2"]);
    ann.fails(5, &["deposit", "5", "--token", "GRD"]);
    ann.fails(5, &["deploy", file.to_str().unwrap(), "--token", "GRD"]);
    assert_eq!(ann.json(&["withdraw", "all", "--token", "GRD"])["withdrawn"], "20");
    let held = IERC20::new(token, devnet.anvil.provider()).balanceOf(ann.address()).call().await.unwrap();
    assert_eq!(held, U256::from(100_000_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn delegates_come_and_go() {
    let devnet = quick_market().await;
    let (ann, bob) = (Person::funded(&devnet), Person::funded(&devnet));
    let words = ann.fails(7, &["delegate", "add", &bob.address().to_string()]);
    assert!(words.contains("iono deposit"), "{words}");
    ann.json(&["deposit", "1"]);
    let account = bob.address().to_string();
    ann.json(&["delegate", "add", &account, "--for", "7d", "--write"]);
    let list = ann.json(&["delegate", "list"]);
    assert_eq!((list[0]["write"].as_bool(), list[0]["wallet"].as_u64()), (Some(true), Some(1)));
    bob.fails(5, &["delegate", "add", &account, "--wallet", "1"]);
    assert_eq!(ann.json(&["revoke", "1"])["nonce"], 1);
    ann.json(&["delegate", "remove", &account]);
    assert_eq!(ann.json(&["delegate", "list"]).as_array().unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_and_stakes_are_seen_and_changed() {
    let devnet = quick_market().await;
    let admin = Person::admin(&devnet);
    assert_eq!(admin.json(&["provider", "list"]).as_array().unwrap().len(), 0);
    let setup = iono_testkit::ProviderSetup::new(devnet.anvil.key(1), devnet.anvil.key(2));
    devnet.provider(&setup).await.unwrap();
    let list = admin.json(&["provider", "list"]);
    assert_eq!((list[0]["state"].as_str(), list[0]["free_units"].as_u64()), (Some("open"), Some(16)));
    let shown = admin.json(&["provider", "show", "1"]);
    assert_eq!(shown["owner"].as_str().unwrap(), setup.owner.address().to_string().to_lowercase());
    assert!(shown["pins"][0].as_str().unwrap().starts_with("sha256//"));
    assert_eq!(shown["tiers"]["gpu"], 0, "{shown:#}");
    admin.fails(7, &["provider", "show", "2"]);
    assert_eq!(admin.json(&["market", "--region", "local"])["regions"][0]["free_units"], 16);
    assert_eq!(admin.json(&["market", "--gpu", "any"])["providers"].as_array().unwrap().len(), 0);
    admin.fails(5, &["provider", "drain", "1"]);

    // Without auto-approval a proposal waits.
    assert_eq!(admin.json(&["admin", "auto-approval", "off"])["auto_approval"], false);
    let other = iono_testkit::ProviderSetup::new(devnet.anvil.key(3), devnet.anvil.key(4));
    let record = iono_bindings::ProviderRecord {
        hotKey: other.hot.address(),
        region: 0x0100,
        attributes: alloy::primitives::aliases::U24::ZERO,
        tokens: alloy::primitives::aliases::U48::from(3),
        offersOwn: true,
        offersFizz: false,
        capacity: other.capacity.word(),
        pin: other.pin,
        endpoint: other.endpoint.clone(),
    };
    let call = iono_bindings::IProviderRegistry::proposeCall { record };
    devnet.send(&other.owner, devnet.book.provider_registry, call).await.unwrap();
    let waiting = admin.json(&["provider", "proposals"]);
    let proposal = waiting[0]["proposal"].to_string();
    assert_eq!(admin.json(&["provider", "approve", &proposal])["provider"], 2);
    assert_eq!(admin.json(&["provider", "proposals"]).as_array().unwrap().len(), 0);
    admin.fails(7, &["provider", "approve", "99"]);

    // The deployer holds SPON: delegate, see it, take it back.
    admin.json(&["stake", "delegate", "1", "25"]);
    let stakes = admin.json(&["stake", "show"]);
    assert_eq!(stakes["stakes"][0]["tokens"], "25", "{stakes}");
    let started = admin.json(&["stake", "undelegate", "1", "all"]);
    assert_eq!(started["tokens"], "25");
    let words = admin.fails(7, &["stake", "withdraw"]);
    assert!(words.contains("nothing has unbonded yet"), "{words}");
    admin.fails(5, &["stake", "withdraw", &started["request"].to_string()]);
    devnet.anvil.advance(8 * 86_400).await.unwrap();
    assert_eq!(admin.json(&["stake", "withdraw"])["withdrawn"], "25");
    admin.fails(5, &["stake", "add", "1", "1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn governance_changes_prices_and_weights() {
    let devnet = quick_market().await;
    let admin = Person::admin(&devnet);
    admin.json(&["admin", "token", "price", "SPON", "1.50"]);
    let tokens = admin.json(&["admin", "token", "list"]);
    assert_eq!(tokens[0]["price"], 150_000_000_u64);
    let words = admin.fails(5, &["admin", "token", "price", "SPON", "100"]);
    assert!(words.contains("PriceStep"), "{words}");
    let weights = [
        "admin",
        "policy",
        "add",
        "--price",
        "6000",
        "--region",
        "500",
        "--rating",
        "1000",
        "--availability",
        "800",
        "--slashes",
        "500",
        "--tier",
        "500",
        "--stake",
        "500",
        "--random",
        "200",
        "--stake-cap",
        "500",
    ];
    assert_eq!(admin.json(&weights)["version"], 2);
    let policies = admin.json(&["admin", "policy", "list"]);
    assert_eq!((&policies[1]["weights"]["price"], &policies[0]["active"]), (&6_000.into(), &true.into()));
    let mut wrong = weights;
    wrong[4] = "6001";
    admin.fails(2, &wrong);
    assert_eq!(admin.json(&["admin", "policy", "use", "2"])["policy"], 2);
    assert_eq!(admin.json(&["admin", "policy", "list"])[1]["active"], true);
    let words = admin.fails(5, &["admin", "policy", "use", "3"]);
    assert!(words.contains("MatchPolicy_Unknown"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn governance_changes_terms_and_stakes() {
    let devnet = quick_market().await;
    let admin = Person::admin(&devnet);
    let before = admin.json(&["admin", "terms", "show"]);
    assert_eq!(
        (&before["match_fee"], &before["payer_fee"], &before["policy"]),
        (&5.into(), &200.into(), &1.into())
    );
    let set = admin.json(&["admin", "terms", "set", "match-fee=10", "bid-blocks=3"]);
    assert_eq!(set["transactions"].as_array().unwrap().len(), 1, "one transaction for all of it");
    let mut wanted = before;
    (wanted["match_fee"], wanted["bid_blocks"]) = (10.into(), 3.into());
    assert_eq!(admin.json(&["admin", "terms", "show"]), wanted, "the others stay");
    let words = admin.fails(5, &["admin", "terms", "set", "commission=5001"]);
    assert!(words.contains("MarketTerms_OutOfBounds"), "{words}");
    let words = admin.fails(2, &["admin", "terms", "set", "comission=1"]);
    assert!(words.contains("known are commission"), "{words}");
    admin.fails(2, &["admin", "terms", "set", "commission"]);
    admin.fails(2, &["admin", "terms", "set"]);

    // What an order needs follows.
    let file = admin.write("hello.yaml", HELLO);
    assert_eq!(admin.json(&["quote", file.to_str().unwrap()])["match_fee"], "0.1");

    assert_eq!(admin.json(&["admin", "tier-stake"]).as_array().unwrap().len(), 7);
    assert_eq!(admin.json(&["admin", "tier-stake", "7", "12.5"])["spon"], "12.5");
    assert_eq!(admin.json(&["admin", "tier-stake"])[6]["spon"], "12.5");
    admin.fails(2, &["admin", "tier-stake", "8", "1"]);
    admin.fails(2, &["admin", "tier-stake", "7"]);
    let ann = Person::funded(&devnet);
    for refused in [["admin", "terms", "set", "match-fee=1"].as_slice(), &["admin", "tier-stake", "7", "1"]] {
        let words = ann.fails(5, refused);
        assert!(words.contains("AccessManagedUnauthorized"), "{words}");
    }
}
