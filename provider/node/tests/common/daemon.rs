//! The provider's binary: started, killed at fail-points, asked for its health, run as a command.

use iono_primitives::LeaseId;
use iono_testkit::{Daemon, eventually};

use super::{Market, SOON};

/// A daemon whose log is shown when the test fails.
pub struct Running(pub Daemon);

impl std::ops::Deref for Running {
    type Target = Daemon;
    fn deref(&self) -> &Daemon {
        &self.0
    }
}
impl std::ops::DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Daemon {
        &mut self.0
    }
}
impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the provider's log:\n{}", self.0.logs());
        }
    }
}

impl Market {
    fn launch(&self) -> iono_testkit::daemon::Launch {
        let launch = Daemon::launch(env!("CARGO_BIN_EXE_provider")).arg("--config").arg(&self.config);
        self.set.iter().fold(launch, |launch, set| launch.arg("--set").arg(set)).arg("run")
    }

    /// Starts the daemon and waits until it is ready.
    pub async fn start(&self) -> Running {
        let mut daemon = Running(self.launch().start().unwrap());
        daemon.ready(&format!("{}/readyz", self.health), SOON).await.unwrap();
        daemon
    }

    /// Starts a daemon that dies at a fail-point.
    pub async fn start_to_die(&self, failpoint: &str) -> Running {
        let mut daemon = Running(self.launch().failpoint(failpoint).start().unwrap());
        daemon.ready(&format!("{}/readyz", self.health), SOON).await.unwrap();
        daemon
    }

    /// The same without waiting until it is ready, for what happens at once.
    pub fn start_to_die_early(&self, failpoint: &str) -> Running {
        Running(self.launch().failpoint(failpoint).start().unwrap())
    }

    /// Starts a daemon without waiting.
    pub fn start_anyhow(&self) -> Running {
        Running(self.launch().start().unwrap())
    }

    /// After a kill and a restart: one bid, one confirmation, so many containers; goes to the table of kills.
    pub async fn survived(&self, point: &str, lease: LeaseId, workloads: usize) {
        self.assert_once(lease).await;
        assert_eq!(self.containers(lease).await.len(), workloads, "{point}");
        let found = serde_json::json!({ "bids": 1, "leases": 1, "confirmations": 1, "workloads": workloads });
        iono_testkit::faults::record("provider", point, &found).unwrap();
    }

    /// Runs a command that dies at a fail-point; true when it did.
    pub async fn command_dies(&self, failpoint: &str, args: &[&str]) -> bool {
        use std::os::unix::process::ExitStatusExt as _;
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_provider"));
        command.arg("--config").arg(&self.config).args(args).env("IONO_FAILPOINT", failpoint);
        command.output().await.unwrap().status.signal() == Some(9)
    }

    /// One of the binary's commands with `--json`.
    pub async fn command(&self, args: &[&str]) -> (bool, serde_json::Value, String) {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_provider"));
        let output =
            command.arg("--config").arg(&self.config).arg("--json").args(args).output().await.unwrap();
        let value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.success(), value, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Whether `/readyz` is green.
    pub async fn is_green(&self) -> bool {
        reqwest::get(format!("{}/readyz", self.health)).await.is_ok_and(|answer| answer.status().is_success())
    }

    /// What `/readyz` says while it is red.
    pub async fn red(&self) -> Option<String> {
        let answer = reqwest::get(format!("{}/readyz", self.health)).await.ok()?;
        if answer.status().is_success() { None } else { answer.text().await.ok() }
    }

    /// Waits until `/readyz` is green.
    pub async fn until_green(&self) {
        eventually("green health", SOON, || async { self.is_green().await.then_some(()) }).await.unwrap();
    }

    /// Waits until `/readyz` is red for a reason with these words.
    pub async fn until_red(&self, words: &str) {
        eventually("red health", SOON, || async { self.red().await.filter(|red| red.contains(words)) })
            .await
            .unwrap();
    }
}
