//! `iono` as a person or a script runs it: a process, its exit code, one JSON document.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// One person's `iono`: a binary and a home folder of its own.
#[derive(Debug, Clone)]
pub struct Iono {
    binary: PathBuf,
    home: PathBuf,
}

/// No command of the story takes longer.
const LIMIT: Duration = Duration::from_secs(180);

impl Iono {
    /// Uses `home` as IONO_HOME.
    ///
    /// # Errors
    /// When the binary is not built.
    pub fn new(home: impl Into<PathBuf>) -> Result<Self> {
        Ok(Self { binary: iono_testkit::binary("iono")?, home: home.into() })
    }

    /// The home folder.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The command as a process that is not started yet.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.env("IONO_HOME", &self.home).env_remove("IONO_PASSPHRASE_FILE").args(args);
        command.stdin(std::process::Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs a command to its end, whatever comes of it.
    ///
    /// # Errors
    /// When it cannot be started or takes too long.
    pub async fn output(&self, args: &[&str]) -> Result<Output> {
        let run = tokio::time::timeout(LIMIT, self.command(args).output());
        Ok(run.await.with_context(|| format!("iono {} took over {LIMIT:?}", args.join(" ")))??)
    }

    /// Runs a command that must succeed, with `--json`, and reads its result.
    ///
    /// # Errors
    /// With what it wrote, when it fails or its result is no JSON.
    pub async fn json(&self, args: &[&str]) -> Result<Value> {
        let mut args = args.to_vec();
        // Before `--`, after which everything belongs to the tenant's command.
        let end = args.iter().position(|arg| *arg == "--").unwrap_or(args.len());
        args.insert(end, "--json");
        let output = self.output(&args).await?;
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            let why = self.why_no_bid(&stdout).await;
            bail!("iono {} ended with {}:\n{stdout}{stderr}{why}", args.join(" "), output.status);
        }
        serde_json::from_str(&stdout)
            .with_context(|| format!("iono {} wrote no JSON:\n{stdout}", args.join(" ")))
    }

    /// What providers say of an order that found no bid: a test that failed for it should say so.
    async fn why_no_bid(&self, said: &str) -> String {
        let hint = serde_json::from_str::<serde_json::Value>(said).ok();
        let hint = hint.and_then(|said| said.pointer("/error/hint")?.as_str().map(str::to_owned));
        let order = hint.as_deref().and_then(|hint| hint.split("`iono bids ").nth(1)?.split('`').next());
        let Some(order) = order else { return String::new() };
        let output = self.output(&["bids", order]).await;
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    }

    /// Starts a command that goes on until it is dropped, such as `logs --follow`; its lines come as they are written.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn stream(&self, args: &[&str]) -> Result<Stream> {
        let mut child = self.command(args).stdout(std::process::Stdio::piped()).spawn()?;
        let lines = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        Ok(Stream { lines, command: args.join(" "), _child: child })
    }

    /// Runs a command that must fail, and gives its exit code and its words.
    ///
    /// # Errors
    /// When it succeeds.
    pub async fn refused(&self, args: &[&str]) -> Result<(i32, String)> {
        let output = self.output(args).await?;
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            Some(0) => {
                bail!("iono {} succeeded:\n{}", args.join(" "), String::from_utf8_lossy(&output.stdout))
            }
            Some(code) => Ok((code, words)),
            None => bail!("iono {} died by a signal:\n{words}", args.join(" ")),
        }
    }
}

/// What a running command writes.
pub struct Stream {
    lines: Lines<BufReader<ChildStdout>>,
    command: String,
    _child: Child,
}

impl Stream {
    /// The next line that holds `text`.
    ///
    /// # Errors
    /// With the lines that came instead, when the command ends or `limit` passes first.
    pub async fn line_with(&mut self, text: &str, limit: Duration) -> Result<String> {
        let mut seen = Vec::new();
        let find = async {
            while let Some(line) = self.lines.next_line().await? {
                if line.contains(text) {
                    return Ok(line);
                }
                seen.push(line);
            }
            bail!("it ended")
        };
        let found = tokio::time::timeout(limit, find).await.context("time is over").flatten();
        found.with_context(|| format!("iono {} wrote no line with {text:?}, but {seen:?}", self.command))
    }
}

/// A field deep in a JSON result, by pointer such as `/blocks/lease`.
///
/// # Errors
/// Naming the pointer and showing the document, when it is not there.
pub fn field<'a>(document: &'a Value, pointer: &str) -> Result<&'a Value> {
    document.pointer(pointer).with_context(|| format!("no {pointer} in {document:#}"))
}

/// As [`field`], as an unsigned number.
///
/// # Errors
/// When it is not there or no such number.
pub fn number(document: &Value, pointer: &str) -> Result<u64> {
    let value = field(document, pointer)?;
    let parsed = value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
    parsed.with_context(|| format!("{pointer} is no number: {value}"))
}

/// As [`field`], as text.
///
/// # Errors
/// When it is not there or no text.
pub fn text(document: &Value, pointer: &str) -> Result<String> {
    let value = field(document, pointer)?;
    Ok(value.as_str().with_context(|| format!("{pointer} is no text: {value}"))?.to_owned())
}

/// Replicas that serve, over all services of an `iono status`.
#[must_use]
pub fn replicas_ready(status: &Value) -> u64 {
    let services = status.pointer("/services").or_else(|| status.pointer("/workload/services"));
    let services = services.and_then(Value::as_array).into_iter().flatten();
    services.filter_map(|service| service.get("ready").and_then(Value::as_u64)).sum()
}
