//! The programs that set the firewall's rules.

use iono_runtime::RuntimeError;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Whether a rule of the filter table is there.
pub(crate) async fn has(chain: &str, rule: &[&str]) -> bool {
    run(&["-C", chain], rule).await.is_ok()
}

/// The rules of a chain as `-A CHAIN …`; none when the chain is not there.
pub(crate) async fn list(table: &str, chain: &str) -> Vec<String> {
    let listed = run(&["-t", table, "-S", chain], &[]).await;
    listed.map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default()
}

/// Puts a rule at the head of a chain of the filter table.
pub(crate) async fn insert(chain: &str, rule: &[&str]) -> Result<(), RuntimeError> {
    run(&["-I", chain, "1"], rule).await.map(drop)
}

async fn run(what: &[&str], rule: &[&str]) -> Result<String, RuntimeError> {
    finish(Command::new("iptables").arg("-w").arg("10").args(what).args(rule).output().await)
}

/// Takes rules in the form of `iptables-save`; all of a table's or none, without touching other chains.
pub(crate) async fn restore(rules: &str) -> Result<(), RuntimeError> {
    let run = async {
        let mut command = Command::new("iptables-restore");
        command.args(["-w", "10", "--noflush"]).stdin(std::process::Stdio::piped());
        let mut child =
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(rules.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    finish(run.await).map(drop)
}

fn finish(output: std::io::Result<std::process::Output>) -> Result<String, RuntimeError> {
    let refused = |why: String| {
        let text = format!("the egress guard cannot be set ({why}); run as root with iptables installed");
        RuntimeError::Refused(text)
    };
    let output = output.map_err(|error| refused(error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(refused(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}
