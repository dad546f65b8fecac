//! The Docker engine by hand.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use iono_testkit::docker;
use serde_json::{Value, json};

use super::{ByHand, first_answer, output};

/// Runs an image once with a network of its own, a published port and the limits that a provider sets for
/// `examples/hello.yaml`; everything is gone again afterwards.
///
/// # Errors
/// When the engine fails or nothing answers within ten seconds.
pub(super) async fn by_hand(image: &str, inner_port: u16) -> Result<ByHand> {
    let (name, port) = (format!("by-hand-{}", std::process::id()), iono_testkit::free_port()?);
    let name = name.as_str();
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
pub(super) async fn limits(container: &str) -> Result<Value> {
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

/// Ids of containers, those that ended included.
pub(super) async fn containers(labels: &[&str]) -> Result<Vec<String>> {
    let filters: Vec<String> = labels.iter().map(|label| format!("label={label}")).collect();
    let filters = filters.iter().flat_map(|filter| ["--filter", filter.as_str()]);
    let args: Vec<&str> = ["ps", "--all", "--quiet", "--no-trunc"].into_iter().chain(filters).collect();
    Ok(docker::run(&args).await?.lines().map(str::to_owned).collect())
}

/// Containers, networks and volumes that carry every one of these labels.
///
/// # Errors
/// When the engine fails.
pub(super) async fn labelled(labels: &[&str]) -> Result<Vec<String>> {
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
pub(super) fn clear(owner: &str, dir: &Path) {
    let filter = format!("label={owner}");
    for (list, remove) in [
        (&["ps", "--all"][..], &["rm", "--force"][..]),
        (&["network", "ls"], &["network", "rm"]),
        (&["volume", "ls"], &["volume", "rm"]),
    ] {
        let found = output("docker", &[list, &["--quiet", "--filter", &filter]].concat());
        let ids: Vec<&str> = found.lines().collect();
        if !ids.is_empty() {
            output("docker", &[remove, &ids].concat());
        }
    }
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    for place in places.filter(|place| Path::new(place).starts_with(dir)) {
        output("umount", &[place]);
    }
}

/// A /20 that is likely nobody else's: providers of tests that run side by side share one engine.
pub(super) fn private_addresses() -> String {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new().hash_one(0);
    format!("10.{}.{}.0/20", 130 + random % 120, (random >> 32) % 16 * 16)
}
