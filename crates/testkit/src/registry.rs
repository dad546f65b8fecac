//! A private container registry that asks for a login: Debian's `docker-registry` with its data in a temporary folder.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::{docker, free_port};

/// Who may push and pull.
pub const USER: &str = "user";
/// The password of [`USER`].
pub const PASSWORD: &str = "pass-word";
/// Both as htpasswd has them (bcrypt).
const USERS: &str = "user:$2y$05$abcdefghijklmnopqrstuulQElbHkP7vjLqXxb3Lzm18cJsfRyGH6\n";

/// A running registry; it ends and vanishes when this is dropped.
pub struct Registry {
    port: u16,
    dir: TempDir,
    process: Child,
}

impl Registry {
    /// Starts an empty one.
    ///
    /// # Errors
    /// When Debian's `docker-registry` is not installed or does not start.
    pub async fn start() -> Result<Self> {
        let (dir, port) = (tempfile::tempdir()?, free_port()?);
        std::fs::write(dir.path().join("users"), USERS)?;
        let config = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {dir}/data\n\
             http:\n  addr: 127.0.0.1:{port}\nauth:\n  htpasswd:\n    realm: test\n    path: {dir}/users\n",
            dir = dir.path().display()
        );
        std::fs::write(dir.path().join("config.yml"), config)?;
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(dir.path().join("config.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run `docker-registry`: install Debian's docker-registry")?;
        let registry = Self { port, dir, process };
        let start = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            ensure!(start.elapsed() < Duration::from_secs(20), "docker-registry does not listen on {port}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(registry)
    }

    /// `host:port`, as image names begin.
    #[must_use]
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Pushes a local image under `name` and forgets that name here, so that only a login can bring it back.
    ///
    /// # Errors
    /// With the engine's words when it fails.
    pub async fn push(&self, image: &str, name: &str) -> Result<String> {
        let remote = format!("{}/{name}", self.host());
        let config = self.dir.path().to_str().context("a temporary folder that is not UTF-8")?;
        docker::run(&["tag", image, &remote]).await?;
        docker::run(&["--config", config, "login", "-u", USER, "-p", PASSWORD, &self.host()]).await?;
        docker::run(&["--config", config, "push", "--quiet", &remote]).await?;
        docker::run(&["rmi", &remote]).await?;
        Ok(remote)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
