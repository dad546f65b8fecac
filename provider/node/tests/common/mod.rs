//! A market of one provider on a real chain and a real engine, and a tenant who speaks to both directly. What the tests
//! do with it is in the modules: the [`daemon`], the [`tenant`], the [`chain`] and the [`engine`].
#![allow(clippy::unwrap_used, clippy::print_stderr, dead_code, missing_docs, unreachable_pub)]

pub mod chain;
pub mod daemon;
pub mod engine;
pub mod tenant;

use std::path::{Path, PathBuf};
use std::time::Duration;

use alloy::signers::local::PrivateKeySigner;
use iono_identity::{Passphrase, keystore};
use iono_primitives::ProviderId;
use iono_provider_testkit::Tenant;
use iono_testkit::{Devnet, ProviderSetup, docker, free_port};

pub use iono_provider_testkit::SOON;

/// A chain with one provider that is registered and configured.
pub struct Market {
    tenant: Tenant,
    pub me: ProviderId,
    pub hot: PrivateKeySigner,
    pub owner: PrivateKeySigner,
    pub config: PathBuf,
    pub endpoint: String,
    pub health: String,
    pub dir: PathBuf,
    /// Settings that a test changes, as `--set` takes them.
    pub set: Vec<String>,
}

impl std::ops::Deref for Market {
    type Target = Tenant;
    fn deref(&self) -> &Tenant {
        &self.tenant
    }
}

impl Market {
    pub async fn open() -> Self {
        Self::on(Devnet::with_block_time(Duration::from_secs(1)).await.unwrap(), None).await
    }

    /// `rpc` is the provider's own way to the chain, such as a proxy that a test cuts.
    pub async fn on(devnet: Devnet, rpc: Option<String>) -> Self {
        docker::hello_image().await.unwrap();
        let (owner, hot, key) = (devnet.anvil.key(1), devnet.anvil.key(2), devnet.anvil.key(3));
        let (api, http, health) = (free_port().unwrap(), free_port().unwrap(), free_port().unwrap());
        let endpoint = format!("127.0.0.1:{api}");
        let mut setup = ProviderSetup::new(owner.clone(), hot.clone());
        setup.endpoint = endpoint.clone();
        let me = devnet.provider(&setup).await.unwrap();
        let wallet = devnet.wallet(&key, 1_000_000_000).await.unwrap();

        let dir = devnet.dir().join("provider");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("passphrase"), "correct horse\n").unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(dir.join("passphrase"), private).unwrap();
        keystore::import_key(
            &dir.join("hot.json"),
            &hex::encode(hot.to_bytes()),
            &Passphrase::new("correct horse"),
        )
        .await
        .unwrap();
        let config = dir.join("provider.toml");
        let rpc = rpc.unwrap_or_else(|| devnet.anvil.url());
        std::fs::write(&config, settings(&dir, &devnet, &rpc, (&endpoint, http, health))).unwrap();
        let health = format!("http://127.0.0.1:{health}");
        let set = Vec::new();
        let tenant = Tenant { devnet, key, wallet, http };
        Self { tenant, me, hot, owner, config, endpoint, health, dir, set }
    }
}

/// The provider's configuration, with `listen` as lease API, HTTP port and health port.
fn settings(dir: &Path, devnet: &Devnet, rpc: &str, listen: (&str, u16, u16)) -> String {
    let (endpoint, http, health) = listen;
    let first = 41_000 + (http % 200) * 100;
    format!(
        r#"data_dir = "{dir}/data"
[chain]
rpc = ["{rpc}"]
address_book = "{book}"
poll_ms = 100
[chain.sender]
lock_dir = "{dir}/locks"
[keys]
hot_key = "{dir}/hot.json"
passphrase_file = "{dir}/passphrase"
[listen]
lease_api = "{endpoint}"
http = "127.0.0.1:{http}"
ports = "{first}-{last}"
[public]
endpoint = "{endpoint}"
domain = "apps.localhost"
region = "local"
tokens = [0, 1]
[runtime]
disk_floor = "100Mi"
[reserve]
cpu = "0"
memory = "256Mi"
storage = "1Gi"
[prices]
cpu = 0.01
memory = 0.002
[prices.storage]
hdd = 0.0001
ssd = 0.0001
nvme = 0.0001
[leases]
reconcile_every = "1s"
manifest_timeout = "10m"
[telemetry]
listen = "127.0.0.1:{health}"
filter = "info,iono_provider=debug"
"#,
        dir = dir.display(),
        book = devnet.book_path().display(),
        last = first + 99,
    )
}
