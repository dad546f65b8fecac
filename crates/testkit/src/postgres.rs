//! A throw-away Postgres cluster from Debian's binaries, in a temporary folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::free_port;

/// A running cluster with one empty database; it stops and vanishes when this is dropped.
pub struct Postgres {
    bin: PathBuf,
    dir: TempDir,
    port: u16,
}

impl Postgres {
    /// Makes and starts a cluster; about two seconds.
    ///
    /// # Errors
    /// When Debian's `postgresql` is not installed or does not start.
    pub fn start() -> Result<Self> {
        let bin = binaries()?;
        let dir = tempfile::Builder::new().prefix("iono-postgres-").tempdir()?;
        if root() {
            std::os::unix::fs::chown(dir.path(), Some(user_id("postgres")?), None)?;
        }
        let server = Self { bin, dir, port: free_port()? };
        let data = server.data();
        server.run(
            "initdb",
            &["-D", &data, "-U", "iono", "-A", "trust", "-N", "--no-instructions", "-E", "UTF8"],
        )?;
        let options = format!(
            "-p {} -k {} -c listen_addresses=127.0.0.1 -c fsync=off -c full_page_writes=off",
            server.port,
            server.dir.path().display()
        );
        let log = server.dir.path().join("log").display().to_string();
        server.run("pg_ctl", &["-D", &data, "-o", &options, "-l", &log, "-w", "start"])?;
        Ok(server)
    }

    /// Address of the `postgres` database for sqlx.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://iono@127.0.0.1:{}/postgres", self.port)
    }

    /// Makes another empty database and gives its address.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn database(&self, name: &str) -> Result<String> {
        let port = self.port.to_string();
        self.run("createdb", &["-h", "127.0.0.1", "-p", &port, "-U", "iono", name])?;
        Ok(format!("postgres://iono@127.0.0.1:{}/{name}", self.port))
    }

    fn data(&self) -> String {
        self.dir.path().join("data").display().to_string()
    }

    /// Runs a tool; as user `postgres` where we are root, which `initdb` refuses.
    fn run(&self, tool: &str, args: &[&str]) -> Result<()> {
        let tool = self.bin.join(tool);
        let mut command = if root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(&tool);
            command
        } else {
            Command::new(&tool)
        };
        // Output to a file: a server that keeps a pipe open would hold us up.
        let out = self.dir.path().join("tools.log");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&out)?;
        let status = command
            .args(args)
            .current_dir("/")
            .stdin(std::process::Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .status()
            .with_context(|| format!("cannot run {}", tool.display()))?;
        ensure!(status.success(), "{} failed:\n{}", tool.display(), std::fs::read_to_string(&out)?);
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.run("pg_ctl", &["-D", &self.data(), "-m", "immediate", "-w", "stop"]);
    }
}

fn root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn user_id(name: &str) -> Result<u32> {
    let user = nix::unistd::User::from_name(name)?;
    Ok(user.with_context(|| format!("there is no user `{name}`: install Debian's postgresql"))?.uid.as_raw())
}

/// The newest version that Debian installed.
fn binaries() -> Result<PathBuf> {
    let base = Path::new("/usr/lib/postgresql");
    let versions = std::fs::read_dir(base).into_iter().flatten().flatten();
    let newest = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).max();
    let version = newest.context("Postgres is missing: install Debian's postgresql")?;
    Ok(base.join(version.to_string()).join("bin"))
}
