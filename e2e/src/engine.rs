//! The container engine by hand, as somebody without a market would use it: what the product is compared with, and
//! the witness that nothing of a lease is left behind.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use iono_testkit::docker;
use serde_json::{Value, json};

/// A container that was started by hand.
#[derive(Debug, Clone)]
pub struct ByHand {
    /// From the first engine call to the first 200.
    pub seconds: f64,
    /// As [`limits`] gives them.
    pub limits: Value,
}

/// Runs an image once with a network of its own, a published port and the limits that a provider sets for
/// `examples/hello.yaml`; everything is gone again afterwards.
///
/// # Errors
/// When the engine fails or nothing answers within ten seconds.
pub async fn by_hand(image: &str, name: &str, inner_port: u16, port: u16) -> Result<ByHand> {
    let start = Instant::now();
    docker::run(&["network", "create", name]).await?;
    let publish = format!("127.0.0.1:{port}:{inner_port}");
    #[rustfmt::skip]
    docker::run(&[
        "run", "--detach", "--name", name, "--network", name, "--cpus", "0.25", "--memory", "64m", "--memory-swap",
        "64m", "--shm-size", "64m", "--pids-limit", "1024", "--ulimit", "nofile=16384", "--ulimit", "core=0",
        "--security-opt", "no-new-privileges", "--cap-drop", "ALL", "--cap-add", "AUDIT_WRITE", "--cap-add", "CHOWN",
        "--cap-add", "DAC_OVERRIDE", "--cap-add", "FOWNER", "--cap-add", "FSETID", "--cap-add", "KILL", "--cap-add",
        "NET_BIND_SERVICE", "--cap-add", "SETGID", "--cap-add", "SETPCAP", "--cap-add", "SETUID", "--cap-add",
        "SYS_CHROOT", "--log-driver", "json-file", "--log-opt", "max-size=10240k", "--log-opt", "max-file=2",
        "--restart", "always", "--env", "NONCE=by-hand", "--publish", &publish, image,
    ])
    .await?;
    first_answer(&format!("http://127.0.0.1:{port}/"), start).await?;
    let seconds = start.elapsed().as_secs_f64();
    let limits = limits(name).await?;
    docker::run(&["rm", "--force", name]).await?;
    docker::run(&["network", "rm", name]).await?;
    Ok(ByHand { seconds, limits })
}

/// What the engine says that a container may use and do.
///
/// # Errors
/// When there is no such container.
pub async fn limits(container: &str) -> Result<Value> {
    let text = docker::run(&["container", "inspect", "--format", "{{json .HostConfig}}", container]).await?;
    let host: Value = serde_json::from_str(&text)?;
    let sorted = |field: &str| {
        let of = |value: &Value| value.to_string().replace("CAP_", "");
        let mut all: Vec<String> = host[field].as_array().into_iter().flatten().map(of).collect();
        all.sort();
        all
    };
    Ok(json!({
        "cpu": host["NanoCpus"], "memory": host["Memory"], "swap": host["MemorySwap"], "shm": host["ShmSize"],
        "pids": host["PidsLimit"], "ulimits": sorted("Ulimits"), "dropped": sorted("CapDrop"),
        "added": sorted("CapAdd"), "security": sorted("SecurityOpt"), "read_only": host["ReadonlyRootfs"],
        "restart": host["RestartPolicy"]["Name"], "log": host["LogConfig"],
    }))
}

async fn first_answer(url: &str, start: Instant) -> Result<()> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(1)).build()?;
    loop {
        if client.get(url).send().await.is_ok_and(|answer| answer.status() == 200) {
            return Ok(());
        }
        ensure!(start.elapsed() < Duration::from_secs(10), "{url} did not answer");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Ids of a lease's containers, those that ended included; `owner` is [`crate::Node`]'s label.
///
/// # Errors
/// When the engine fails.
pub async fn containers(owner: &str, lease: u64) -> Result<Vec<String>> {
    let (owner, lease) = (format!("label={owner}"), format!("label=network.ionosphere.lease={lease}"));
    let args = ["ps", "--all", "--quiet", "--no-trunc", "--filter", &owner, "--filter", &lease];
    Ok(docker::run(&args).await?.lines().map(str::to_owned).collect())
}

/// Containers, networks and volumes that carry every one of these labels.
///
/// # Errors
/// When the engine fails.
pub async fn labelled(labels: &[&str]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for kind in [&["ps", "--all"][..], &["network", "ls"], &["volume", "ls"]] {
        let mut args = [kind, &["--quiet"]].concat();
        let filters: Vec<String> = labels.iter().map(|label| format!("label={label}")).collect();
        args.extend(filters.iter().flat_map(|filter| ["--filter", filter.as_str()]));
        let lines = docker::run(&args).await?;
        found.extend(lines.lines().map(|line| format!("{} {line}", kind[0])));
    }
    Ok(found)
}

/// Removes what a provider that is gone has left in the engine, and its file systems mounted below `dir`: a test that
/// fails must not leave containers that start again with the machine. Says nothing when something cannot be removed.
pub fn clear(owner: &str, dir: &Path) {
    let run = |program: &str, args: &[&str]| {
        let output = std::process::Command::new(program).args(args).stderr(Stdio::null()).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    };
    let filter = format!("label={owner}");
    for (list, remove) in [
        (&["ps", "--all"][..], &["rm", "--force"][..]),
        (&["network", "ls"], &["network", "rm"]),
        (&["volume", "ls"], &["volume", "rm"]),
    ] {
        let found = run("docker", &[list, &["--quiet", "--filter", &filter]].concat());
        let ids: Vec<&str> = found.lines().collect();
        if !ids.is_empty() {
            run("docker", &[remove, &ids].concat());
        }
    }
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    for place in places.filter(|place| Path::new(place).starts_with(dir)) {
        run("umount", &[place]);
    }
}
