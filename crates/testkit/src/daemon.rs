//! A real binary as a process: started with its own environment, watched by its health endpoint and its log, ended by
//! a signal that the wait status shows.

use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::eventually;

/// A running (or ended) process. Dropping kills it.
pub struct Daemon {
    child: Child,
    log: PathBuf,
    _dir: TempDir,
}

/// What to start.
pub struct Launch {
    command: Command,
}

impl Daemon {
    /// Prepares `binary`; see [`crate::binary`] for where binaries lie. Fail-points and passphrases of the outside are
    /// not inherited.
    #[must_use]
    pub fn launch(binary: impl AsRef<Path>) -> Launch {
        let mut command = Command::new(binary.as_ref());
        command
            .env_remove("IONO_FAILPOINT")
            .env_remove("IONO_PASSPHRASE_FILE")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        Launch { command }
    }

    /// Waits until `url` (a `/readyz` or `/healthz`) answers 200.
    ///
    /// # Errors
    /// With the log when the process ends first or `limit` passes.
    pub async fn ready(&mut self, url: &str, limit: Duration) -> Result<()> {
        let start = std::time::Instant::now();
        loop {
            if let Ok(response) = reqwest::get(url).await
                && response.status().is_success()
            {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("ended with {status} before it was ready:\n{}", self.logs());
            }
            if start.elapsed() > limit {
                bail!("{url} was not ready within {limit:?}:\n{}", self.logs());
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Waits until the log has `text`.
    ///
    /// # Errors
    /// With the log when `limit` passes.
    pub async fn logged(&self, text: &str, limit: Duration) -> Result<()> {
        let seen = eventually(text, limit, || async { self.logs().contains(text).then_some(()) }).await;
        seen.with_context(|| format!("log:\n{}", self.logs()))
    }

    /// Everything it wrote so far, both streams.
    #[must_use]
    pub fn logs(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Process id; `None` once it was waited for.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Sends a signal and does not wait.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.child.id().context("the process has ended")?;
        Ok(kill(Pid::from_raw(i32::try_from(pid)?), signal)?)
    }

    /// SIGKILL, then waits.
    ///
    /// # Errors
    /// When the process is gone already.
    pub async fn kill(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGKILL)?;
        self.wait(Duration::from_secs(10)).await
    }

    /// SIGTERM, then waits for the drain.
    ///
    /// # Errors
    /// When the process is gone already or does not end within `limit`.
    pub async fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        self.wait(limit).await
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// With the log when `limit` passes.
    pub async fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        match tokio::time::timeout(limit, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("did not end within {limit:?}:\n{}", self.logs()),
        }
    }

    /// Waits for the end by SIGKILL, as a fail-point brings it about.
    ///
    /// # Errors
    /// With the log when it ends in another way or not within `limit`.
    pub async fn wait_killed(&mut self, limit: Duration) -> Result<()> {
        let status = self.wait(limit).await?;
        if status.signal() != Some(Signal::SIGKILL as i32) {
            bail!("ended with {status} instead of SIGKILL:\n{}", self.logs());
        }
        Ok(())
    }

    /// Resident memory in KiB.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn memory_kib(&self) -> Result<u64> {
        let pid = self.child.id().context("the process has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
    }
}

impl Launch {
    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// The process kills itself at this fail-point: `name`, or `name:n` for the n-th time it is reached.
    #[must_use]
    pub fn failpoint(self, name: &str) -> Self {
        self.env("IONO_FAILPOINT", name)
    }

    /// Working directory.
    #[must_use]
    pub fn current_dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// When the binary does not start.
    pub fn start(mut self) -> Result<Daemon> {
        let dir = tempfile::tempdir()?;
        let log = dir.path().join("log");
        let file = std::fs::File::create(&log)?;
        let child = self
            .command
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {:?}", self.command.as_std().get_program()))?;
        Ok(Daemon { child, log, _dir: dir })
    }
}
