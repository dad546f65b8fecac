//! The owner's program, in any language: the request on its stdin, one JSON document on its stdout. It runs with nothing
//! of the daemon's but its PATH, and whatever it does ends with its time, its children included.

use std::path::PathBuf;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{AccessFlags, Pid, access};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::process::Command;

use super::answer::{self, Answer};
use super::{NoPrice, Request};
use crate::config::values::Dollars;

/// Most bytes that it may print.
const MOST: usize = 64 << 10;
/// Bytes of its stderr that are kept, from the end.
const TAIL: usize = 4 << 10;
/// Where programs are looked for when the daemon itself has no PATH.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program and its arguments; written as a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Script {
    program: PathBuf,
    arguments: Vec<String>,
}

/// What a script said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The price, or why there is none.
    pub price: Result<Dollars, NoPrice>,
    /// All that it printed.
    pub stdout: String,
    /// The last line of its stderr.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

/// What a script did wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It could not be started.
    #[error("the pricing script cannot be started: {0}; see pricing.script")]
    Start(String),
    /// It took too long.
    #[error("the pricing script gave no answer within {} ms and was ended", .0.as_millis())]
    Slow(Duration),
    /// It failed, or was killed.
    #[error("the pricing script failed: {0}")]
    Exit(ExitStatus),
    /// It printed too much.
    #[error("the pricing script printed more than {} KiB and was ended", MOST >> 10)]
    TooMuch,
    /// It printed something else than an answer.
    #[error(
        "the pricing script's answer cannot be used: {0}; it prints {{\"hourly\": \"0.42\"}} or {{\"decline\": \"why\"}}"
    )]
    Answer(String),
}

impl Fault {
    /// The name in the metrics.
    fn name(&self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::Slow(_) => "slow",
            Self::Exit(_) => "exit",
            Self::TooMuch => "output",
            Self::Answer(_) => "answer",
        }
    }
}

impl TryFrom<Vec<String>> for Script {
    type Error = &'static str;
    fn try_from(words: Vec<String>) -> Result<Self, Self::Error> {
        let mut words = words.into_iter();
        let program: PathBuf = words.next().unwrap_or_default().into();
        if !program.is_absolute() {
            return Err(
                "write the program's absolute path and its arguments, as in [\"/etc/ionosphere/price.py\"]",
            );
        }
        Ok(Self { program, arguments: words.collect() })
    }
}

impl From<Script> for Vec<String> {
    fn from(script: Script) -> Self {
        let program = script.program.to_string_lossy().into_owned();
        [vec![program], script.arguments].concat()
    }
}

/// A process group that ends with this value.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // An error says that nothing of it is left.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

/// What was heard of a script so far.
#[derive(Default)]
struct Heard {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Script {
    /// Whether its program is there and may be started.
    ///
    /// # Errors
    /// What the system says.
    pub fn startable(&self) -> nix::Result<()> {
        access(&self.program, AccessFlags::X_OK)
    }

    /// Has a request priced within `limit`.
    pub async fn ask(&self, request: &Request, limit: Duration) -> Said {
        let (started, mut heard) = (Instant::now(), Heard::default());
        let ended = tokio::time::timeout(limit, self.run(request, &mut heard)).await;
        let stderr = answer::last_line(&heard.stderr);
        let answer = match ended {
            Err(_) => Err(Fault::Slow(limit)),
            Ok(Err(fault)) => Err(fault),
            Ok(Ok(status)) if !status.success() => Err(Fault::Exit(status)),
            Ok(Ok(_)) => answer::read(&heard.stdout).map_err(Fault::Answer),
        };
        let result = match &answer {
            Ok(Answer::Hourly(_)) => "price",
            Ok(Answer::Decline(_)) => "decline",
            Err(fault) => fault.name(),
        };
        metrics::counter!("iono_host_scripts_total", "result" => result).increment(1);
        let price = match answer {
            Ok(Answer::Hourly(price)) => Ok(price),
            Ok(Answer::Decline(why)) => Err(NoPrice::Declined(why)),
            Err(fault) => Err(NoPrice::Script(fault, stderr.clone())),
        };
        let stdout = String::from_utf8_lossy(&heard.stdout).into_owned();
        Said { price, stdout, stderr, took: started.elapsed() }
    }

    /// Runs it to its end. Dropped before, all of it is killed.
    async fn run(&self, request: &Request, heard: &mut Heard) -> Result<ExitStatus, Fault> {
        let start = |error: &dyn std::fmt::Display| Fault::Start(error.to_string());
        let document = serde_json::to_vec(request).map_err(|error| start(&error))?;
        // Rust's own are closed by themselves; a library's or the parent's may not be.
        close_fds::set_fds_cloexec(3, &[]);
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| PATH.into()))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| start(&error))?;
        let group = Group(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw));
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let mut talk = pin!(async {
            let Heard { stdout: said, stderr: remarks } = heard;
            tokio::try_join!(tell(stdin, &document), hear(stdout, said), last(stderr, remarks))
        });
        let mut told = false;
        let status = loop {
            tokio::select! {
                done = &mut talk, if !told => {
                    done?;
                    told = true;
                }
                status = child.wait() => break status.map_err(|error| start(&error))?,
            }
        };
        // What it left behind would keep the pipes open.
        drop(group);
        if !told {
            talk.await?;
        }
        Ok(status)
    }
}

/// A script need not read what it is told.
async fn tell(to: Option<impl AsyncWrite + Unpin>, document: &[u8]) -> Result<(), Fault> {
    if let Some(mut to) = to {
        let _ = to.write_all(document).await;
    }
    Ok(())
}

async fn hear(from: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) -> Result<(), Fault> {
    if let Some(from) = from {
        // A pipe that breaks leaves an answer that is cut, which is no JSON.
        let _ = from.take(MOST as u64 + 1).read_to_end(into).await;
    }
    if into.len() > MOST { Err(Fault::TooMuch) } else { Ok(()) }
}

/// Keeps the end of what comes, and takes all of it, so that the script never waits for its reader.
async fn last(from: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) -> Result<(), Fault> {
    let Some(mut from) = from else { return Ok(()) };
    let mut piece = vec![0; TAIL];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        into.extend_from_slice(&piece[..read]);
        into.drain(..into.len().saturating_sub(TAIL));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
