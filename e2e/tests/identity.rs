//! Who may reach a lease, tried on a real provider by clients that nobody here wrote: `openssl s_client`, `curl` and
//! Python's `websockets`, with the registry's pin read by `cast`. Rights that end on chain end what is open.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../../crates/lease-api/tests/stock/mod.rs"]
mod stock;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::signers::Signer as _;
use alloy::signers::local::PrivateKeySigner;
use iono_bindings::{IEscrow, ILeaseAccess, ILeaseBook, LeaseWords};
use iono_e2e::cli::number;
use iono_e2e::engine::Engine;
use iono_e2e::{Iono, Network, Node, NodePlan, hello};
use iono_identity::client::UnsignedIdentity;
use iono_identity::{Domain, IdentityRequest, Pin, unix_now};
use iono_primitives::{LeaseId, WalletId};
use stock::{Refused, Shown, StockShell, Target, copied_authorisation, plain_certificate, python_websockets};

/// An open stream ends within a block, the provider's look at the chain and some room for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(10);
/// A shell that would go on for long.
const SLEEP: &str = "service=hello&cmd=/bin/sh&cmd=-c&cmd=echo%20open%3B%20sleep%20300";

/// A market, one provider that runs, and the pin that the registry has of it.
struct World {
    network: Network,
    node: Node,
    target: Target,
    _matchmaker: iono_e2e::Matchmaker,
}

/// A tenant whose key the test knows, and its escrow wallet.
struct Tenant {
    key: PrivateKeySigner,
    iono: Iono,
    wallet: u64,
}

impl World {
    async fn start() -> Self {
        hello::build(Engine::default()).await.unwrap();
        let mut network = Network::start().await.unwrap();
        let matchmaker = network.matchmaker("matchmaker").await.unwrap();
        let mut node = network.provider(NodePlan::new("fair")).await.unwrap();
        node.run().await.unwrap();
        let pin = pin_by_cast(&network, node.id).await;
        let target = Target { endpoint: node.endpoint.clone(), pin: pin.to_string() };
        Self { network, node, target, _matchmaker: matchmaker }
    }

    /// A tenant with money in escrow.
    async fn tenant(&mut self, name: &str) -> Tenant {
        let key = self.network.fresh_key();
        let file = self.network.dir().join(format!("{name}.key"));
        std::fs::write(&file, format!("{:#x}", key.to_bytes())).unwrap();
        let iono = Iono::new(self.network.dir().join(name)).unwrap();
        let (rpc, book) = (self.network.anvil.url(), self.network.book_path.to_str().unwrap().to_owned());
        iono.json(&["init", "--rpc", &rpc, "--address-book", &book, "--token", "1"]).await.unwrap();
        iono.json(&["wallet", "import", "--private-key-file", file.to_str().unwrap()]).await.unwrap();
        iono.json(&["faucet", "--amount", "100"]).await.unwrap();
        Tenant { key, iono, wallet: 0 }
    }

    /// Deploys `examples/hello.yaml`; gives the lease.
    async fn deploy(&self, tenant: &mut Tenant) -> u64 {
        let manifest = hello::manifest(self.network.dir(), "identity", 1).unwrap();
        let deployed = tenant.iono.json(&["deploy", &manifest, "--token", "1"]).await.unwrap();
        let lease = number(&deployed, "/lease").unwrap();
        let leases = ILeaseBook::new(self.network.book.lease_book, self.network.anvil.provider());
        let words = leases.leaseWords(U256::from(lease)).call().await.unwrap();
        let words = LeaseWords::read([words.word0, words.word1]);
        assert_eq!(words.provider, self.node.id);
        tenant.wallet = words.wallet;
        lease
    }

    fn domain(&self) -> Domain {
        Domain { chain_id: self.network.book.chain_id, lease_access: self.network.book.lease_access }
    }

    /// What `wallet`'s owner asks for as a rule: everything of all its leases, for an hour.
    fn request(&self, wallet: u64) -> IdentityRequest {
        let (wallet, lifetime) = (WalletId(wallet), Duration::from_secs(3_600));
        IdentityRequest { domain: self.domain(), wallet, lease: None, write: true, nonce: 0, lifetime }
    }

    /// A certificate and key of `signer`'s making, valid from `not_before` on.
    async fn pem(
        &self,
        name: &str,
        signer: &PrivateKeySigner,
        request: &IdentityRequest,
        not_before: u64,
    ) -> PathBuf {
        let unsigned = UnsignedIdentity::at(request, signer.address(), not_before).unwrap();
        let signature = signer.sign_hash(&unsigned.signing_hash()).await.unwrap();
        let identity = unsigned.finish(Bytes::from(signature.as_bytes().to_vec())).unwrap();
        let path = self.network.dir().join(format!("{name}.pem"));
        identity.save(&path).unwrap();
        path
    }

    async fn own_pem(&self, tenant: &Tenant) -> PathBuf {
        self.pem(&format!("wallet-{}", tenant.wallet), &tenant.key, &self.request(tenant.wallet), unix_now())
            .await
    }

    /// Sends a call from `key`; returns when it is mined.
    async fn send(&self, key: &PrivateKeySigner, to: Address, call: impl alloy::sol_types::SolCall) {
        let chain = self.network.anvil.signing(key);
        let request = alloy::rpc::types::TransactionRequest::default().to(to).input(call.abi_encode().into());
        let sent = alloy::providers::Provider::send_transaction(&chain, request).await.unwrap();
        assert!(sent.get_receipt().await.unwrap().status());
    }

    async fn transfer(&self, tenant: &Tenant) {
        let call =
            IEscrow::transferWalletCall { wallet: U256::from(tenant.wallet), to: Address::repeat_byte(1) };
        self.send(&tenant.key, self.network.book.escrow, call).await;
    }

    /// A shell that runs until somebody ends it.
    fn shell(&self, pem: &Path, lease: u64) -> StockShell {
        let mut shell = self.target.shell(&packages(), pem, lease, SLEEP);
        assert_eq!(shell.next(), r#"{"open": true}"#);
        assert_eq!(shell.next(), r#"{"channel": 1, "text": "open\n"}"#);
        shell
    }
}

fn packages() -> PathBuf {
    python_websockets(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

fn both(pem: &Path) -> Shown<'_> {
    Some((pem, pem))
}

/// The provider's pin as the registry has it, read by a tool that is not ours.
async fn pin_by_cast(network: &Network, provider: u32) -> Pin {
    let record = "record(uint256)((address,uint16,uint24,uint48,bool,bool,uint256,bytes32,string))";
    let output = tokio::process::Command::new(iono_testkit::paths::foundry("cast").unwrap())
        .args(["call", &network.book.provider_registry.to_string(), record, &provider.to_string()])
        .args(["--rpc-url", &network.anvil.url()])
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let words = text.split([' ', ',', '(', ')']).filter_map(|word| word.parse::<B256>().ok());
    let pins: Vec<B256> = words.collect();
    assert_eq!(pins.len(), 1, "{text}");
    Pin(pins[0])
}

/// The shell is told `code` in words and closed with it, soon after `since`.
fn assert_ended(shell: StockShell, since: Instant, code: &str) {
    let lines = shell.rest();
    assert!(since.elapsed() < AT_ONCE, "{:?}: {lines:?}", since.elapsed());
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains(&format!("\"code\": \"{code}\"")) && lines[0].contains("hint"), "{lines:?}");
    assert_eq!(lines[1], format!(r#"{{"closed": 1008, "reason": "{code}"}}"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_refused_with_the_reason_and_the_tenant_gets_a_shell() {
    let mut world = World::start().await;
    let (mut tenant, mut other) = (world.tenant("tenant").await, world.tenant("other").await);
    let (lease, foreign) = (world.deploy(&mut tenant).await, world.deploy(&mut other).await);
    let (folder, now) = (world.network.dir(), unix_now());
    let (own, request) = (world.own_pem(&tenant).await, world.request(tenant.wallet));
    world.target.assert_allowed(both(&own), lease);

    let plain = plain_certificate(folder);
    let copied = copied_authorisation(&own, folder);
    let foreign_account = world.pem("foreign-account", &other.key, &request, now).await;
    let foreign_wallet = world.own_pem(&other).await;
    let of_another = IdentityRequest { lease: Some(LeaseId(foreign)), ..request };
    let of_another = world.pem("other-lease", &tenant.key, &of_another, now).await;
    let chain = IdentityRequest { domain: Domain { chain_id: 1, ..world.domain() }, ..request };
    let chain = world.pem("chain", &tenant.key, &chain, now).await;
    let registry =
        IdentityRequest { domain: Domain { lease_access: Address::ZERO, ..world.domain() }, ..request };
    let registry = world.pem("registry", &tenant.key, &registry, now).await;
    let expired = world.pem("expired", &tenant.key, &request, now - 2 * 3_600).await;
    let future = world.pem("future", &tenant.key, &request, now + 3_600).await;

    let refused =
        |shown, lease, status, code| world.target.assert_refused(&Refused { shown, lease, status, code });
    refused(None, lease, 401, "no_certificate");
    refused(Some((plain.0.as_path(), plain.1.as_path())), lease, 401, "no_authorisation");
    refused(Some((copied.0.as_path(), copied.1.as_path())), lease, 401, "wrong_key");
    world.target.assert_key_not_proven(&own, lease, folder);
    refused(both(&foreign_account), lease, 403, "not_allowed");
    refused(both(&foreign_wallet), lease, 403, "foreign_lease");
    refused(both(&own), foreign, 403, "foreign_lease");
    refused(both(&of_another), lease, 403, "wrong_lease");
    refused(both(&own), 999, 404, "unknown_lease");
    refused(both(&chain), lease, 401, "wrong_chain");
    refused(both(&registry), lease, 401, "wrong_registry");
    refused(both(&expired), lease, 401, "expired");
    refused(both(&future), lease, 401, "not_yet_valid");

    world.target.assert_pin_decides(both(&own), lease);

    let script = "service=hello&cmd=/bin/sh&cmd=-c&cmd=read%20x%3B%20echo%20got%20%24x%3B%20exit%207";
    let mut shell = world.target.shell(&packages(), &own, lease, script);
    assert_eq!(shell.next(), r#"{"open": true}"#);
    shell.write("hello\n");
    assert_eq!(shell.next(), r#"{"channel": 1, "text": "got hello\n"}"#);
    assert_eq!(shell.next(), r#"{"control": {"type": "exit", "code": 7}}"#);
    assert_eq!(shell.next(), r#"{"closed": 1000, "reason": ""}"#);
    let stranger = world.target.shell(&packages(), &foreign_wallet, lease, SLEEP).rest();
    assert!(stranger[0].contains("\"status\": 403") && stranger[0].contains("foreign_lease"), "{stranger:?}");

    // All earlier authorisations are void once the owner says so; a new one is good again.
    let call = ILeaseAccess::revokeAuthorisationsCall { wallet: U256::from(tenant.wallet) };
    world.send(&tenant.key, world.network.book.lease_access, call).await;
    let path = format!("/v1/leases/{lease}/status");
    let gone = || async { (world.target.curl(both(&own), &path).status == 401).then_some(()) };
    iono_testkit::eventually("the revocation", AT_ONCE, gone).await.unwrap();
    refused(both(&own), lease, 401, "revoked");
    let again = IdentityRequest { nonce: 1, ..request };
    let again = world.pem("again", &tenant.key, &again, unix_now()).await;
    world.target.assert_allowed(both(&again), lease);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_ends_with_the_right_to_it() {
    let mut world = World::start().await;
    let mut tenant = world.tenant("tenant").await;
    let (first, second) = (world.deploy(&mut tenant).await, world.deploy(&mut tenant).await);
    let own = world.own_pem(&tenant).await;

    // A delegate is named, works, and is dismissed.
    let delegate = world.network.fresh_key();
    let (wallet, access) = (U256::from(tenant.wallet), world.network.book.lease_access);
    let name = |until: u64| ILeaseAccess::setDelegateCall {
        wallet,
        delegate: delegate.address(),
        until: alloy::primitives::aliases::U40::from(until),
        write: true,
    };
    let chain_time = world.network.anvil.now().await.unwrap();
    world.send(&tenant.key, access, name(chain_time + 86_400)).await;
    let delegates = world.pem("delegate", &delegate, &world.request(tenant.wallet), unix_now()).await;
    let path = format!("/v1/leases/{first}/status");
    let let_in = || async { (world.target.curl(both(&delegates), &path).status == 200).then_some(()) };
    iono_testkit::eventually("the delegate's right", AT_ONCE, let_in).await.unwrap();
    let shell = world.shell(&delegates, first);
    let since = Instant::now();
    world.send(&tenant.key, access, name(0)).await;
    assert_ended(shell, since, "not_allowed");

    // The tenant closes a lease with a shell open.
    let shell = world.shell(&own, second);
    let since = Instant::now();
    let call = ILeaseBook::closeCall { lease: U256::from(second) };
    world.send(&tenant.key, world.network.book.lease_book, call).await;
    assert_ended(shell, since, "lease_closed");

    // The wallet changes hands: the shell, an open connection and a saved session give nothing any more.
    let shell = world.shell(&own, first);
    let folder = world.network.dir();
    world.target.assert_no_resumption(both(&own), first, folder, || {
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                let since = Instant::now();
                world.transfer(&tenant).await;
                assert_ended(shell, since, "not_allowed");
            });
        });
    });
}
