//! One person at a command line: the binary, a home folder of its own, a market.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use alloy::primitives::Address;
use alloy::signers::local::PrivateKeySigner;
use iono_testkit::Devnet;
use serde_json::Value;
use tempfile::TempDir;

/// The binary under test.
pub(crate) const IONO: &str = env!("CARGO_BIN_EXE_iono");

/// What a run came to.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) struct Person {
    pub(crate) home: TempDir,
}

impl Person {
    /// Somebody without configuration.
    pub(crate) fn stranger() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    /// Somebody with a configuration and a fresh key, without any money.
    pub(crate) fn on(devnet: &Devnet) -> Self {
        let person = Self::without_key(devnet);
        person.json(&["wallet", "new"]);
        person
    }

    /// Somebody whose key is on the chain already, such as a provider's owner.
    pub(crate) fn with_key(devnet: &Devnet, key: &PrivateKeySigner) -> Self {
        let person = Self::without_key(devnet);
        let file = person.write("key.hex", &alloy::hex::encode(key.to_bytes()));
        person.json(&["wallet", "import", "--private-key-file", file.to_str().unwrap()]);
        person
    }

    fn without_key(devnet: &Devnet) -> Self {
        let person = Self::stranger();
        let book = devnet.book_path();
        person.json(&[
            "init",
            "--rpc",
            &devnet.anvil.url(),
            "--address-book",
            book.to_str().unwrap(),
            "--token",
            "1",
        ]);
        person
    }

    /// Somebody with ether and a hundred test dollars outside escrow.
    pub(crate) fn funded(devnet: &Devnet) -> Self {
        let person = Self::on(devnet);
        person.json(&["faucet"]);
        person
    }

    /// The deployer, who governs the market.
    pub(crate) fn admin(devnet: &Devnet) -> Self {
        let person = Self::on(devnet);
        person.write("admin.hex", &alloy::hex::encode(devnet.admin().to_bytes()));
        person.json(&[
            "wallet",
            "import",
            "admin",
            "--private-key-file",
            person.path("admin.hex").to_str().unwrap(),
        ]);
        let config = person.path("config.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        let keystore = person.path("keystore/admin.json");
        std::fs::write(&config, format!("{text}keystore = \"{}\"\n", keystore.display())).unwrap();
        person
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn address(&self) -> Address {
        self.json(&["wallet", "show"])["address"].as_str().unwrap().parse().unwrap()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(IONO);
        command
            .args(args)
            .env("IONO_HOME", self.home.path())
            .env_remove("IONO_PASSPHRASE_FILE")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Run {
        run(self.command(args).output().unwrap())
    }

    /// Must succeed and write one JSON document.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let end = args.iter().position(|arg| *arg == "--").unwrap_or(args.len());
        let mut all = args.to_vec();
        all.insert(end, "--json");
        let run = self.run(&all);
        assert_eq!(run.code, 0, "iono {}\n{}{}", all.join(" "), run.stdout, run.stderr);
        serde_json::from_str(&run.stdout)
            .unwrap_or_else(|error| panic!("iono {}: {error}\n{}", all.join(" "), run.stdout))
    }

    /// Must fail with this exit code; returns what it wrote to stderr.
    pub(crate) fn fails(&self, code: i32, args: &[&str]) -> String {
        let run = self.run(args);
        assert_eq!(run.code, code, "iono {}\n{}{}", args.join(" "), run.stdout, run.stderr);
        run.stderr
    }
}

pub(crate) fn run(output: Output) -> Run {
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A market with a block a second, as on a devnet.
pub(crate) async fn market() -> Devnet {
    Devnet::with_block_time(Duration::from_secs(1)).await.unwrap()
}

/// A market that mines a block for every transaction.
pub(crate) async fn quick_market() -> Devnet {
    Devnet::start().await.unwrap()
}

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The smallest useful manifest, as a string that a test may change.
pub(crate) const HELLO: &str = include_str!("../../../examples/hello.yaml");
