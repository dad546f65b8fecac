//! A network namespace: made and removed with `ip`, entered by a thread.

use std::fs::File;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use nix::sched::{CloneFlags, setns};

/// Before each name, followed by the maker's process id.
const PREFIX: &str = "iono-lab";

/// See the file's first lines. Removed when dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    pub(super) fn create(suffix: &str) -> Result<Self> {
        let name = format!("{PREFIX}-{}-{suffix}", std::process::id());
        tool("ip", &["netns", "add", &name])?;
        let namespace = Self { name };
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Removes what processes left behind that were killed.
    pub(super) fn sweep() -> Result<()> {
        let listed = tool("ip", &["netns", "list"])?;
        for line in String::from_utf8_lossy(&listed.stdout).lines() {
            let name = line.split_whitespace().next().unwrap_or_default();
            let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').nth(1));
            if owner.is_some_and(|pid| !std::path::Path::new("/proc").join(pid).exists()) {
                // Another process may sweep at the same time.
                let _ = tool("ip", &["netns", "del", name]);
            }
        }
        Ok(())
    }

    /// Its name, for `ip netns`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` in it.
    pub(super) fn ip(&self, args: &[&str]) -> Result<()> {
        tool("ip", &[&["-n", &self.name], args].concat()).map(|_| ())
    }

    /// Runs a program in it to its end.
    pub(super) fn tool(&self, program: &str, args: &[&str]) -> Result<()> {
        tool("ip", &[&["netns", "exec", &self.name, program], args].concat()).map(|_| ())
    }

    /// What starts `program` in it.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Runs `work` on a thread in it. Sockets and runtimes that it makes stay in the namespace wherever they are used.
    ///
    /// # Panics
    /// When the namespace cannot be entered, and when `work` panics.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                self.enter().expect("a namespace of this process can be entered by root");
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// A runtime all of whose threads are in it.
    ///
    /// # Errors
    /// When the runtime does not start.
    pub fn runtime(&self) -> Result<tokio::runtime::Runtime> {
        self.run(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build())
            .context("no runtime")
    }

    /// Moves the calling thread, and threads that it starts, into it.
    pub(super) fn enter(&self) -> Result<()> {
        let path = format!("/run/netns/{}", self.name);
        let file = File::open(&path).with_context(|| format!("cannot open {path}"))?;
        setns(file, CloneFlags::CLONE_NEWNET).with_context(|| format!("cannot enter {}", self.name))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // What is still in it goes with the last process that uses it; the next laboratory sweeps what is left.
        let _ = tool("ip", &["netns", "del", &self.name]);
    }
}

/// Runs `ip` outside of any.
pub(super) fn here(args: &[&str]) -> Result<()> {
    tool("ip", args).map(|_| ())
}

fn tool(program: &str, args: &[&str]) -> Result<Output> {
    let output =
        Command::new(program).args(args).output().with_context(|| format!("cannot run {program}"))?;
    ensure!(
        output.status.success(),
        "{program} {}: {}; the network laboratory needs root, network namespaces and iptables",
        args.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(output)
}
