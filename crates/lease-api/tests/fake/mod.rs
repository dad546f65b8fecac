//! A provider without chain and containers: its shell runs commands on this machine, the rest is remembered.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, missing_docs)]

#[path = "../../../identity/tests/memory_access/mod.rs"]
mod memory_access;

use std::collections::{BTreeMap, HashMap};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy::primitives::{Address, B256, Bytes as Hex};
use alloy::signers::Signer as _;
use alloy::signers::local::PrivateKeySigner;
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use http::StatusCode;
use iono_identity::client::UnsignedIdentity;
use iono_identity::{Authenticator, ClientIdentity, Domain, IdentityRequest, ServerIdentity, unix_now};
use iono_lease_api::*;
use iono_manifest::{LeaseManifest, PullPolicy, Service, ServiceResources};
use iono_primitives::{LeaseId, LeaseState, OrderId, ProviderId, WalletId};
pub use memory_access::MemoryAccess;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

pub const DOMAIN: Domain = Domain { chain_id: 31_337, lease_access: Address::repeat_byte(0xac) };
pub const WALLET: u64 = 1;
pub const LEASE: LeaseId = LeaseId(10);

/// A server with one tenant who owns wallet 1 with leases 10 and 11; lease 20 is another wallet's.
pub struct World {
    pub server: Option<Server>,
    pub access: Arc<MemoryAccess>,
    pub provider: Arc<MemoryProvider>,
    pub audit: Arc<MemoryAudit>,
    pub owner: PrivateKeySigner,
    pub endpoint: String,
    pub pin: iono_identity::Pin,
    pub folder: tempfile::TempDir,
}

pub fn request() -> IdentityRequest {
    let lifetime = Duration::from_secs(3_600);
    IdentityRequest { domain: DOMAIN, wallet: WalletId(WALLET), lease: None, write: true, nonce: 0, lifetime }
}

impl World {
    pub fn start() -> Self {
        Self::with_limits(Limits::default())
    }

    pub fn with_limits(limits: Limits) -> Self {
        let access = Arc::new(MemoryAccess::default());
        let owner = PrivateKeySigner::random();
        access.transfer(WALLET, owner.address());
        access.lease(LEASE.0, WALLET, true);
        access.lease(11, WALLET, true);
        access.lease(20, 2, true);
        let folder = tempfile::tempdir().unwrap();
        let identity = ServerIdentity::load_or_create(&folder.path().join("server.pem")).unwrap();
        let (provider, audit) = (Arc::new(MemoryProvider::default()), Arc::new(MemoryAudit::default()));
        let api = LeaseApi {
            service: provider.clone(),
            authenticator: Authenticator::new(DOMAIN, access.clone()),
            audit: audit.clone(),
            limits,
            light_nodes: None,
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server::start(listener, &identity, api).unwrap();
        let endpoint = server.address().to_string();
        let pin = identity.pin();
        Self { server: Some(server), access, provider, audit, owner, endpoint, pin, folder }
    }

    pub async fn identity(&self) -> ClientIdentity {
        ClientIdentity::issue(&self.owner, &request()).await.unwrap()
    }

    pub async fn client(&self) -> Client {
        Client::new(&self.endpoint, vec![self.pin], Some(&self.identity().await)).unwrap()
    }

    /// Writes a PEM file signed by `signer`, valid from `not_before` on.
    pub async fn pem(
        &self,
        name: &str,
        signer: &PrivateKeySigner,
        request: &IdentityRequest,
        not_before: u64,
    ) -> PathBuf {
        let unsigned = UnsignedIdentity::at(request, signer.address(), not_before).unwrap();
        let signature = signer.sign_hash(&unsigned.signing_hash()).await.unwrap();
        let identity = unsigned.finish(Hex::from(signature.as_bytes().to_vec())).unwrap();
        let path = self.folder.path().join(name);
        identity.save(&path).unwrap();
        path
    }

    pub async fn owner_pem(&self) -> PathBuf {
        self.pem("owner.pem", &self.owner, &request(), unix_now()).await
    }
}

pub fn manifest(env: &str) -> SaltedManifest {
    let service = Service {
        name: "web".into(),
        image: "hello:1".into(),
        command: vec![],
        args: vec![],
        env: BTreeMap::from([("NONCE".to_owned(), env.into())]),
        files: vec![],
        credentials: None,
        pull_policy: PullPolicy::IfNotPresent,
        count: 1,
        resources: ServiceResources { cpu: 100, memory: 64, ephemeral: 64, gpu: None },
        expose: vec![],
        volumes: vec![],
    };
    let manifest =
        LeaseManifest { endpoints: vec![], services: vec![service], version: LeaseManifest::VERSION };
    SaltedManifest::new(B256::repeat_byte(7), manifest)
}

#[derive(Default)]
pub struct MemoryAudit(pub Mutex<Vec<AccessRecord>>);

#[async_trait]
impl Audit for MemoryAudit {
    async fn record(&self, record: AccessRecord) {
        self.0.lock().unwrap().push(record);
    }
}

#[derive(Default)]
pub struct MemoryProvider {
    pub manifests: Mutex<HashMap<LeaseId, SaltedManifest>>,
    pub files: Mutex<HashMap<String, Bytes>>,
    pub resizes: Arc<Mutex<Vec<TtySize>>>,
    pub restarts: Mutex<Vec<Option<String>>>,
    /// Answers `unavailable` so many times first.
    pub faults: Mutex<u32>,
}

impl MemoryProvider {
    fn fault(&self) -> Result<(), ApiError> {
        let mut faults = self.faults.lock().unwrap();
        if *faults > 0 {
            *faults -= 1;
            return Err(ApiError::unavailable("runtime_unreachable", "Docker does not answer", 1));
        }
        Ok(())
    }
}

fn line(n: u64) -> LogLine {
    let text = format!("line {n}");
    LogLine { at_ms: n, service: "web".into(), replica: 0, output: OutputKind::Stdout, text }
}

#[async_trait]
impl LeaseService for MemoryProvider {
    async fn provider_info(&self) -> Result<ProviderInfo, ApiError> {
        Ok(ProviderInfo {
            provider: ProviderId(3),
            software: "test 1".into(),
            api: 1,
            chain_id: DOMAIN.chain_id,
            lease_access: DOMAIN.lease_access,
            region: "local".into(),
            draining: false,
            capacity: Capacity::default(),
            free: Capacity::default(),
            prices: None,
        })
    }

    async fn why_no_bid(&self, order: OrderId) -> Result<BidAnswer, ApiError> {
        let reason = NoBidReason { dimension: "memory".into(), message: "memory 3 GiB short".into() };
        Ok(BidAnswer { order, decision: BidDecision::NoBid, rate: None, reasons: vec![reason] })
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
        let found = self.manifests.lock().unwrap().get(&lease).cloned();
        found.ok_or_else(|| ApiError::not_found("no manifest was sent", "send it"))
    }

    async fn status(&self, lease: LeaseId) -> Result<LeaseStatus, ApiError> {
        self.fault()?;
        Ok(LeaseStatus {
            lease,
            state: LeaseState::Active,
            close_reason: None,
            paused_reason: None,
            started_at: Some(1),
            ends_at: Some(2),
            seconds_left: 1,
            manifest_hash: None,
            services: vec![],
            warnings: MoneyWarning::for_lease(lease, 1).into_iter().collect(),
        })
    }

    async fn logs(&self, _: LeaseId, query: LogQuery) -> Result<LogStream, ApiError> {
        let first = 100 - u64::from(query.tail.unwrap_or(100));
        let kept = futures::stream::iter((first..100).map(|n| Ok(line(n))));
        if !query.follow {
            return Ok(kept.boxed());
        }
        let more = futures::stream::unfold(100, |n| async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Some((Ok(line(n)), n + 1))
        });
        Ok(kept.chain(more).boxed())
    }

    async fn events(&self, _: LeaseId, query: EventQuery) -> Result<EventStream, ApiError> {
        let first = query.after.map_or(0, |after| after + 1);
        let events = (first..5).map(|sequence| {
            let (kind, message) = ("ready".to_owned(), "web is ready".to_owned());
            Ok(LeaseEvent { sequence, at_ms: 1, service: Some("web".into()), replica: None, kind, message })
        });
        let broken =
            futures::stream::iter([Err(ApiError::unavailable("runtime_unreachable", "Docker is down", 1))]);
        let events = futures::stream::iter(events);
        Ok(if query.follow { events.chain(broken).boxed() } else { events.boxed() })
    }

    async fn shell(&self, _: LeaseId, request: ShellRequest) -> Result<ShellSession<ApiError>, ApiError> {
        if request.service != "web" {
            let hint = "services: web";
            return Err(ApiError::not_found(format!("there is no service `{}`", request.service), hint));
        }
        let mut child = tokio::process::Command::new(&request.command[0])
            .args(&request.command[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| ApiError::unprocessable("cannot_start", error.to_string(), ""))?;
        let (input, mut to_child) = mpsc::channel(8);
        let (from_child, output) = mpsc::channel(8);
        let resizes = Arc::clone(&self.resizes);
        let mut stdin = child.stdin.take();
        tokio::spawn(async move {
            while let Some(item) = to_child.recv().await {
                match (item, &mut stdin) {
                    (ShellInput::Stdin(bytes), Some(stdin)) => drop(stdin.write_all(&bytes).await),
                    (ShellInput::Stdin(_), None) => {}
                    (ShellInput::Eof, _) => stdin = None,
                    (ShellInput::Resize(size), _) => resizes.lock().unwrap().push(size),
                }
            }
            // Dropping the sender is not an end of input.
            std::future::pending::<()>().await;
            drop(stdin);
        });
        tokio::spawn(async move {
            let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
            let pump = async {
                let stdout = async {
                    let mut buffer = vec![0; 4_096];
                    while let Ok(n @ 1..) = out.read(&mut buffer).await {
                        let bytes = Bytes::copy_from_slice(&buffer[..n]);
                        if from_child.send(Ok(ShellOutput::Stdout(bytes))).await.is_err() {
                            break;
                        }
                    }
                };
                let stderr = async {
                    let mut buffer = vec![0; 4_096];
                    while let Ok(n @ 1..) = err.read(&mut buffer).await {
                        let _ = from_child
                            .send(Ok(ShellOutput::Stderr(Bytes::copy_from_slice(&buffer[..n]))))
                            .await;
                    }
                };
                tokio::join!(stdout, stderr);
            };
            tokio::select! {
                () = pump => {
                    let status = child.wait().await.unwrap();
                    let _ = from_child.send(Ok(ShellOutput::Exit(status.code().unwrap_or(137).into()))).await;
                }
                () = from_child.closed() => drop(child.kill().await),
            }
        });
        let output =
            futures::stream::unfold(output, |mut output| async { output.recv().await.map(|i| (i, output)) });
        Ok(ShellSession { input, output: output.boxed() })
    }

    async fn quote(&self, lease: LeaseId, request: QuoteRequest) -> Result<SignedQuote, ApiError> {
        if request.max_rate.as_deref() == Some("1") {
            return Err(ApiError::unprocessable("too_dear", "it would cost 2 a second", "pay more"));
        }
        let spec_hash = alloy::primitives::keccak256(&request.spec);
        let (old_rate, rate) = ("1".to_owned(), u128::MAX.to_string());
        Ok(SignedQuote {
            lease,
            version: 1,
            old_rate,
            spec_hash,
            rate,
            expiry: 9,
            signature: vec![1; 65].into(),
        })
    }

    async fn restart(&self, _: LeaseId, request: RestartRequest) -> Result<(), ApiError> {
        self.restarts.lock().unwrap().push(request.service);
        Ok(())
    }

    async fn copy_in(&self, _: LeaseId, target: FilePath, archive: ByteStream) -> Result<(), ApiError> {
        let pieces: Vec<Bytes> = archive.try_collect().await?;
        self.files.lock().unwrap().insert(target.path, pieces.concat().into());
        Ok(())
    }

    async fn copy_out(&self, _: LeaseId, source: FilePath) -> Result<ByteStream, ApiError> {
        let found = self.files.lock().unwrap().get(&source.path).cloned();
        let bytes = found.ok_or_else(|| {
            ApiError::new(StatusCode::NOT_FOUND, "not_found", format!("no {}", source.path), "look with ls")
        })?;
        Ok(futures::stream::iter([Ok(bytes)]).boxed())
    }
}
