//! A provider within the test: real registration, bids, confirmations, TLS and lease API; its containers are an HTTP
//! server and processes of this machine. The real provider is tried in the end-to-end tests.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy::primitives::aliases::{U40, U80};
use alloy::primitives::{Address, B256, U256, keccak256};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::{SolStruct, SolValue, eip712_domain};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use iono_bindings::{ILeaseAccess, ILeaseBook, IOrderBook, LeaseWords, OrderWords, Quote, Spec};
use iono_identity::{Access, Authenticator, Domain, LeaseParty, Rights, ServerIdentity, Unreachable};
use iono_lease_api::*;
use iono_primitives::{
    GpuModel, LeaseId, LeaseState, OrderId, OrderState, ProviderId, Rate, Resources, WalletId,
};
use iono_testkit::{Anvil, Devnet, ProviderSetup};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, watch};

/// How it behaves.
#[derive(Clone)]
pub(crate) struct Manners {
    /// Bids this much an hour; declines without.
    pub(crate) bid: Option<&'static str>,
    /// Decides orders as a matchmaker does.
    pub(crate) matchmaker: bool,
    pub(crate) confirms: bool,
    /// Signs quotes with another key than its hot key.
    pub(crate) forges_quotes: bool,
    /// Answers quotes at this rate an hour.
    pub(crate) quotes: &'static str,
    /// GPUs by model, as discovery names them.
    pub(crate) gpus: &'static [(&'static str, u8)],
    /// Dollars an hour for a GPU by the list's name, beside those for a core (0.01), GiB of memory (0.002) and of disk
    /// (0.0001); no list is published where this is empty.
    pub(crate) gpu_prices: &'static [(&'static str, &'static str)],
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            bid: Some("0.02"),
            matchmaker: true,
            confirms: true,
            forges_quotes: false,
            quotes: "0.03",
            gpus: &[],
            gpu_prices: &[],
        }
    }
}

/// A test machine with these GPUs, as a provider registers it: no model where they are several.
pub(crate) fn machine(gpus: &[(&str, u8)]) -> Resources {
    Resources {
        cpu: 16_000,
        memory: 65_536,
        storage: 1 << 20,
        gpus: gpus.iter().map(|(_, count)| count).sum(),
        gpu_model: if let [(model, _)] = gpus { model.parse().unwrap() } else { GpuModel::ANY },
        ..Resources::default()
    }
}

/// What the lease API answers from.
struct Desk {
    anvil_url: String,
    book: iono_bindings::AddressBook,
    hot: PrivateKeySigner,
    manners: Manners,
    rpc: alloy::providers::DynProvider,
    manifests: Mutex<HashMap<LeaseId, SaltedManifest>>,
    /// The HTTP server that stands for every container.
    web: u16,
    files: PathBuf,
    changes: watch::Sender<u64>,
}

pub(crate) struct Host {
    pub(crate) id: u32,
    pub(crate) files: tempfile::TempDir,
    desk: Arc<Desk>,
}

impl Host {
    /// Registers, stakes, listens, bids.
    pub(crate) async fn start(devnet: &Devnet, keys: usize, manners: Manners) -> Self {
        let (owner, hot) = (devnet.anvil.key(keys), devnet.anvil.key(keys + 1));
        let files = tempfile::tempdir().unwrap();
        let identity = ServerIdentity::load_or_create(&files.path().join("server.pem")).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = listener.local_addr().unwrap().to_string();
        let setup = ProviderSetup {
            pin: identity.pin().0,
            endpoint,
            capacity: machine(manners.gpus),
            ..ProviderSetup::new(owner, hot.clone())
        };
        let id = devnet.provider(&setup).await.unwrap().0;
        std::fs::create_dir(files.path().join("data")).unwrap();
        let desk = Arc::new(Desk {
            anvil_url: devnet.anvil.url(),
            book: devnet.book.clone(),
            hot,
            manners,
            rpc: devnet.anvil.provider().clone(),
            manifests: Mutex::default(),
            web: web().await,
            files: files.path().join("data"),
            changes: watch::channel(0).0,
        });
        let domain = Domain { chain_id: devnet.book.chain_id, lease_access: devnet.book.lease_access };
        let api = LeaseApi {
            service: desk.clone(),
            authenticator: Authenticator::new(domain, desk.clone()),
            audit: Arc::new(LogAudit),
            limits: Limits::default(),
            light_nodes: None,
        };
        let server = Server::start(listener, &identity, api).unwrap();
        // Runs until the test ends.
        std::mem::forget(server);
        tokio::spawn(desk.clone().work(id, devnet.anvil.signing(&desk.hot)));
        Self { id, files, desk }
    }

    /// Loses what tenants sent, as a provider with a broken disk does.
    pub(crate) fn lose_manifests(&self) {
        self.desk.manifests.lock().unwrap().clear();
    }

    pub(crate) fn has_manifest(&self, lease: u64) -> bool {
        self.desk.manifests.lock().unwrap().contains_key(&LeaseId(lease))
    }

    /// Stops the bill, as a provider does that lost a lease's manifest with its workload; it resumes by itself.
    pub(crate) async fn pause(&self, devnet: &Devnet, lease: u64) {
        let since = U256::from(devnet.anvil.now().await.unwrap());
        let call = ILeaseBook::pauseCall { lease: U256::from(lease), since };
        devnet.send(&self.desk.hot, devnet.book.lease_book, call).await.unwrap();
    }

    /// Who earns the match fees: it resolves orders with its hot key.
    pub(crate) fn hot(&self) -> Address {
        self.desk.hot.address()
    }
}

impl Desk {
    /// Bids for every open order, decides ripe ones, confirms what it won.
    async fn work(self: Arc<Self>, id: u32, signing: alloy::providers::DynProvider) {
        let orders = IOrderBook::new(self.book.order_book, &signing);
        let leases = ILeaseBook::new(self.book.lease_book, &signing);
        let mut bid = std::collections::HashSet::new();
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let Ok(count) = orders.orderCount().call().await else { continue };
            let Ok(head) = alloy::providers::Provider::get_block_number(&signing).await else { continue };
            for order in 1..=count.to::<u64>() {
                let words = orders.orderWords(U256::from(order)).call().await.unwrap();
                let words = OrderWords::read([words.word0, words.word1]);
                let number = U256::from(order);
                if words.order_state() == Some(OrderState::Open) {
                    if let Some(rate) = self.manners.bid
                        && head < words.close_block
                        && bid.insert(order)
                    {
                        let rate = U80::from(Rate::from_hourly(rate).unwrap().0);
                        let _ = orders.placeBid(number, rate, 0).send().await;
                    }
                    if self.manners.matchmaker && head > words.close_block {
                        let _ = orders.resolve(number).send().await;
                    }
                    continue;
                }
                let lease = self.lease_words(order).await;
                if self.manners.confirms
                    && lease.provider == id
                    && lease.lease_state() == Some(LeaseState::Pending)
                {
                    let _ = leases.confirm(number).send().await;
                    self.changes.send_modify(|n| *n += 1);
                }
                let back = lease.lease_state() == Some(LeaseState::Paused)
                    && self.manifest(LeaseId(order)).is_some();
                if lease.provider == id && back {
                    let _ = leases.resume(number).send().await;
                }
            }
        }
    }

    async fn lease_words(&self, lease: u64) -> LeaseWords {
        let words = ILeaseBook::new(self.book.lease_book, &self.rpc)
            .leaseWords(U256::from(lease))
            .call()
            .await
            .unwrap();
        LeaseWords::read([words.word0, words.word1])
    }

    fn manifest(&self, lease: LeaseId) -> Option<SaltedManifest> {
        self.manifests.lock().unwrap().get(&lease).cloned()
    }
}

/// An HTTP server that says hello.
async fn web() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = socket.read(&mut [0; 2_048]).await;
                let _ = socket
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nhello\n")
                    .await;
            });
        }
    });
    port
}

#[async_trait]
impl Access for Desk {
    async fn rights(&self, wallet: WalletId, account: Address) -> Result<Rights, Unreachable> {
        let access = ILeaseAccess::new(self.book.lease_access, &self.rpc);
        let found = access
            .access(U256::from(wallet.0), account)
            .call()
            .await
            .map_err(|e| Unreachable(e.to_string()))?;
        Ok(Rights { read: found.read, write: found.write, nonce: found.nonce.to() })
    }

    async fn lease(&self, lease: LeaseId) -> Result<Option<LeaseParty>, Unreachable> {
        let words = self.lease_words(lease.0).await;
        let state = words.lease_state();
        let known = !matches!(state, None | Some(LeaseState::None));
        Ok(known
            .then(|| LeaseParty { wallet: WalletId(words.wallet), open: state != Some(LeaseState::Closed) }))
    }

    async fn is_valid_signature(&self, _: Address, _: B256, _: &[u8]) -> Result<bool, Unreachable> {
        Ok(false)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

#[async_trait]
impl LeaseService for Desk {
    async fn provider_info(&self) -> Result<ProviderInfo, ApiError> {
        let gpus = self.manners.gpus.iter();
        let gpus = gpus.map(|(model, count)| GpuCount { model: (*model).into(), count: (*count).into() });
        let machine = machine(self.manners.gpus);
        let capacity = Capacity {
            cpu_millicores: machine.cpu.into(),
            memory_mib: machine.memory.into(),
            storage_mib: machine.storage.into(),
            gpus: gpus.collect(),
        };
        let prices = self.manners.gpu_prices.iter();
        let prices = prices.map(|(model, price)| ((*model).to_owned(), (*price).to_owned()));
        let prices = PriceList {
            core: "0.01".into(),
            memory_gib: "0.002".into(),
            storage_gib: "0.0001".into(),
            gpus: prices.collect(),
        };
        Ok(ProviderInfo {
            provider: ProviderId(1),
            software: self.anvil_url.clone(),
            api: 1,
            chain_id: self.book.chain_id,
            lease_access: self.book.lease_access,
            region: "local".into(),
            draining: false,
            free: capacity.clone(),
            capacity,
            prices: (!self.manners.gpu_prices.is_empty()).then_some(prices),
        })
    }

    async fn why_no_bid(&self, order: OrderId) -> Result<BidAnswer, ApiError> {
        let message = "memory 3 GiB short on the only node".to_owned();
        let reasons = vec![NoBidReason { dimension: "memory".into(), message }];
        Ok(BidAnswer { order, decision: BidDecision::NoBid, rate: None, reasons })
    }

    async fn put_manifest(
        &self,
        lease: LeaseId,
        manifest: SaltedManifest,
    ) -> Result<ManifestReceipt, ApiError> {
        let hash = manifest.hash();
        let before = self.manifests.lock().unwrap().insert(lease, manifest);
        Ok(ManifestReceipt { hash, changed: before.is_none_or(|before| before.hash() != hash) })
    }

    async fn get_manifest(&self, lease: LeaseId) -> Result<SaltedManifest, ApiError> {
        self.manifest(lease).ok_or_else(|| ApiError::not_found("no manifest was sent", "send it"))
    }

    async fn status(&self, lease: LeaseId) -> Result<LeaseStatus, ApiError> {
        let words = self.lease_words(lease.0).await;
        let manifest = self.manifest(lease);
        let services =
            manifest.iter().flat_map(|manifest| &manifest.manifest().services).map(|service| ServiceStatus {
                name: service.name.clone(),
                desired: service.count.into(),
                ready: service.count.into(),
                restarts: 0,
                last_exit: None,
                urls: vec![format!("http://{}-{lease}.localhost:{}/", service.name, self.web)],
                ports: vec![PortStatus {
                    container_port: 53,
                    protocol: "udp".into(),
                    host: "127.0.0.1".into(),
                    port: 30_053,
                }],
                ips: Vec::new(),
                replicas: Vec::new(),
            });
        Ok(LeaseStatus {
            lease,
            state: words.lease_state().unwrap(),
            close_reason: None,
            paused_reason: manifest.is_none().then_some(PausedReason::AwaitingManifest),
            started_at: None,
            ends_at: Some(words.end),
            seconds_left: 1,
            manifest_hash: manifest.as_ref().map(SaltedManifest::hash),
            services: services.collect(),
            warnings: Vec::new(),
        })
    }

    async fn logs(&self, _: LeaseId, query: LogQuery) -> Result<LogStream, ApiError> {
        let first = 10_u64.saturating_sub(query.tail.unwrap_or(10).into());
        let lines = (first..10).map(|n| {
            let (service, text) = ("hello".to_owned(), format!("line {n}"));
            Ok(LogLine { at_ms: n, service, replica: 0, output: OutputKind::Stdout, text })
        });
        let lines = futures::stream::iter(lines.collect::<Vec<_>>());
        Ok(if query.follow { lines.chain(futures::stream::pending()).boxed() } else { lines.boxed() })
    }

    async fn events(&self, _: LeaseId, _: EventQuery) -> Result<EventStream, ApiError> {
        let event = LeaseEvent {
            sequence: 1,
            at_ms: 1_000,
            service: Some("hello".into()),
            replica: Some(0),
            kind: "ready".into(),
            message: "hello/0 serves".into(),
        };
        Ok(futures::stream::iter([Ok(event)]).boxed())
    }

    async fn shell(&self, _: LeaseId, request: ShellRequest) -> Result<ShellSession<ApiError>, ApiError> {
        let mut child = tokio::process::Command::new(&request.command[0])
            .args(&request.command[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| ApiError::unprocessable("cannot_start", error.to_string(), "look with ls"))?;
        let (input, mut to_child) = mpsc::channel(8);
        let mut stdin = child.stdin.take();
        tokio::spawn(async move {
            while let Some(item) = to_child.recv().await {
                match (item, &mut stdin) {
                    (ShellInput::Stdin(bytes), Some(stdin)) => drop(stdin.write_all(&bytes).await),
                    (ShellInput::Eof, _) => stdin = None,
                    _ => {}
                }
            }
        });
        let output = async move {
            let out = child.wait_with_output().await.unwrap();
            let code = out.status.code().unwrap_or(137).into();
            let items = [
                ShellOutput::Stdout(out.stdout.into()),
                ShellOutput::Stderr(out.stderr.into()),
                ShellOutput::Exit(code),
            ];
            futures::stream::iter(items.map(Ok))
        };
        Ok(ShellSession { input, output: futures::stream::once(output).flatten().boxed() })
    }

    async fn quote(&self, lease: LeaseId, request: QuoteRequest) -> Result<SignedQuote, ApiError> {
        Spec::abi_decode(&request.spec).unwrap();
        let words = self.lease_words(lease.0).await;
        let rate = Rate::from_hourly(self.manners.quotes).unwrap();
        let quote = Quote {
            lease: U256::from(lease.0),
            version: words.manifest_version,
            oldRate: U80::from(words.rate),
            specHash: keccak256(&request.spec),
            rate: U80::from(rate.0),
            expiry: U40::from(iono_identity::unix_now() + 300),
        };
        let domain = eip712_domain! {
            name: "Ionosphere LeaseBook",
            version: "1",
            chain_id: self.book.chain_id,
            verifying_contract: self.book.lease_book,
        };
        let key = if self.manners.forges_quotes { PrivateKeySigner::random() } else { self.hot.clone() };
        let signature = key.sign_hash_sync(&quote.eip712_signing_hash(&domain)).unwrap();
        Ok(SignedQuote {
            lease,
            version: quote.version,
            old_rate: words.rate.to_string(),
            spec_hash: quote.specHash,
            rate: rate.0.to_string(),
            expiry: quote.expiry.to(),
            signature: signature.as_bytes().to_vec().into(),
        })
    }

    async fn restart(&self, _: LeaseId, _: RestartRequest) -> Result<(), ApiError> {
        Ok(())
    }

    async fn copy_in(&self, _: LeaseId, target: FilePath, archive: ByteStream) -> Result<(), ApiError> {
        let bytes: Vec<Bytes> = archive.try_collect().await?;
        let folder = self.files.join(target.path.trim_start_matches('/'));
        std::fs::create_dir_all(&folder).unwrap();
        tar::Archive::new(bytes.concat().as_slice()).unpack(folder).unwrap();
        Ok(())
    }

    async fn copy_out(&self, _: LeaseId, source: FilePath) -> Result<ByteStream, ApiError> {
        let path = self.files.join(source.path.trim_start_matches('/'));
        let name = path.file_name().unwrap().to_owned();
        let mut builder = tar::Builder::new(Vec::new());
        let written = if path.is_dir() {
            builder.append_dir_all(&name, &path)
        } else {
            builder.append_path_with_name(&path, &name)
        };
        written.map_err(|error| ApiError::not_found(error.to_string(), "look with ls"))?;
        Ok(futures::stream::iter([Ok(builder.into_inner().unwrap().into())]).boxed())
    }
}

/// Deploys a contract of a few lines, compiled by the repository's own compiler.
pub(crate) async fn compile_and_deploy(anvil: &Anvil, source: &str, name: &str) -> Address {
    use std::io::Write;
    let input = serde_json::json!({
        "language": "Solidity",
        "sources": { "a.sol": { "content": source } },
        "settings": { "outputSelection": { "*": { "*": ["evm.bytecode.object"] } } },
    });
    let mut child = std::process::Command::new(crate::person::repository("tools/solc"))
        .arg("--standard-json")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let output: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let code = output["contracts"]["a.sol"][name]["evm"]["bytecode"]["object"].as_str();
    let code = code.unwrap_or_else(|| panic!("{name} does not compile: {}", output["errors"]));
    let request = alloy::rpc::types::TransactionRequest::default();
    let request =
        alloy::network::TransactionBuilder::with_deploy_code(request, alloy::hex::decode(code).unwrap());
    let provider = anvil.signing(&anvil.key(0));
    let pending = alloy::providers::Provider::send_transaction(&provider, request).await.unwrap();
    pending.get_receipt().await.unwrap().contract_address.unwrap()
}
