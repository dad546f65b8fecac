//! `provider hardware --json` against what the system's own tools say (SP-31): plainly, pinned to one CPU, in a control
//! group that the test makes, and in a container with limits.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use iono_testkit::docker;
use serde_json::Value;

const PROVIDER: &str = env!("CARGO_BIN_EXE_provider");
const MIB: u64 = 1 << 20;

fn output(command: &mut Command) -> String {
    // `nproc` would believe them.
    let output = command.env_remove("OMP_NUM_THREADS").env_remove("OMP_THREAD_LIMIT").output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn tool(words: &[&str]) -> String {
    output(Command::new(words[0]).args(&words[1..]))
}

/// A folder with the configuration that `provider init` writes.
struct Setup {
    dir: tempfile::TempDir,
}

impl Setup {
    fn new() -> Self {
        let setup = Self { dir: tempfile::tempdir().unwrap() };
        output(Command::new(PROVIDER).arg("--config").arg(setup.config()).arg("init"));
        setup
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("provider.toml")
    }

    /// The command line, behind `before`; storage is measured at `/`, and all but a gibibyte of disk is offered.
    fn hardware(&self, before: &[&str]) -> Value {
        let config = self.config().display().to_string();
        let line = [before, &[PROVIDER, "--config", &config], &HARDWARE].concat();
        serde_json::from_str(&tool(&line)).unwrap()
    }
}

const HARDWARE: [&str; 10] = [
    "--set",
    "runtime.storage_path=/",
    "--set",
    "reserve.cpu=0",
    "--set",
    "reserve.memory=64Mi",
    "--set",
    "reserve.storage=1Gi",
    "hardware",
    "--json",
];

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

fn threads() -> u64 {
    tool(&["nproc"]).parse().unwrap()
}

fn total_memory() -> u64 {
    tool(&["awk", "/^MemTotal:/ {print $2}", "/proc/meminfo"]).parse::<u64>().unwrap() * 1_024
}

/// Name, bytes and class of the disks of `lsblk`: fixed ones that have a device behind them.
fn listed_disks() -> Vec<(String, u64, String)> {
    let text = tool(&["lsblk", "-b", "-d", "-J", "-o", "NAME,SIZE,ROTA,TYPE,RM,SUBSYSTEMS"]);
    let listed: Value = serde_json::from_str(&text).unwrap();
    // Before version 2.33 everything was text.
    let is = |value: &Value| *value == Value::Bool(true) || value == "1";
    let class = |disk: &Value| match disk["name"].as_str().unwrap() {
        name if name.starts_with("nvme") => "nvme",
        _ if is(&disk["rota"]) => "hdd",
        _ => "ssd",
    };
    let mut disks: Vec<_> = listed["blockdevices"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|disk| disk["type"] == "disk" && !is(&disk["rm"]) && disk["subsystems"] != "block")
        .map(|disk| {
            let text = disk["size"].as_str().map(|size| size.parse().unwrap());
            let size: u64 = text.unwrap_or_else(|| number(&disk["size"]));
            (disk["name"].as_str().unwrap().to_owned(), size, class(disk).to_owned())
        })
        .filter(|(_, size, _)| *size > 0)
        .collect();
    disks.sort();
    disks
}

fn found_disks(found: &Value) -> Vec<(String, u64, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let disks = found["machine"]["disks"].as_array().unwrap();
    let mut disks: Vec<_> =
        disks.iter().map(|d| (text(&d["name"]), number(&d["size"]), text(&d["class"]))).collect();
    disks.sort();
    disks
}

/// What is offered follows from what was found and the reserve.
fn assert_offered(found: &Value) {
    let (machine, offered) = (&found["machine"], &found["offered"]);
    assert_eq!(number(&offered["cpu"]), number(&machine["cpu"]["millicores"]));
    assert_eq!(number(&offered["memory"]), number(&machine["memory"]["usable"]) / MIB - 64);
    assert_eq!(number(&offered["storage"]), number(&machine["space"]["total"]) / MIB - 1_024);
}

/// A run within `millicores` and `bytes`, on a machine that is the same otherwise.
fn assert_limited(found: &Value, millicores: u64, bytes: u64) {
    let (cpu, memory) = (&found["machine"]["cpu"], &found["machine"]["memory"]);
    assert_eq!(number(&cpu["threads"]), threads());
    assert_eq!(number(&cpu["limit"]), millicores, "{cpu}");
    assert_eq!(number(&cpu["millicores"]), millicores.min(threads() * 1_000));
    assert_eq!(number(&memory["total"]), total_memory());
    assert_eq!(number(&memory["limit"]), bytes, "{memory}");
    assert_eq!(number(&memory["usable"]), bytes);
    assert_eq!(found_disks(found), listed_disks());
    assert_offered(found);
}

#[test]
fn the_machine_is_what_its_tools_say() {
    let found = Setup::new().hardware(&[]);
    let (cpu, memory) = (&found["machine"]["cpu"], &found["machine"]["memory"]);
    assert_eq!(number(&cpu["threads"]), threads());
    assert_eq!(number(&memory["total"]), total_memory());
    let least = |limit: &Value, all: u64| limit.as_u64().map_or(all, |limit| limit.min(all));
    assert_eq!(number(&cpu["millicores"]), least(&cpu["limit"], threads() * 1_000));
    assert_eq!(number(&memory["usable"]), least(&memory["limit"], total_memory()));

    let disks = listed_disks();
    assert!(!disks.is_empty(), "this machine has no disk, so that nothing is compared");
    assert_eq!(found_disks(&found), disks);
    let [blocks, size]: [u64; 2] = ["%b", "%S"].map(|f| tool(&["stat", "-f", "-c", f, "/"]).parse().unwrap());
    assert_eq!(number(&found["machine"]["space"]["total"]), blocks * size);
    assert_offered(&found);
}

#[test]
fn a_process_that_is_pinned_has_what_nproc_says() {
    let allowed = tool(&["awk", "/^Cpus_allowed_list:/ {print $2}", "/proc/self/status"]);
    let first = allowed.split([',', '-']).next().unwrap();
    let found = Setup::new().hardware(&["taskset", "-c", first]);
    assert_eq!(tool(&["taskset", "-c", first, "nproc"]), "1");
    assert_eq!(number(&found["machine"]["cpu"]["threads"]), 1);
    assert!(number(&found["machine"]["cpu"]["millicores"]) <= 1_000);
}

/// A group within a group, removed when dropped. The outer one limits memory, the inner one CPU.
struct Group {
    /// Outer before inner, of every hierarchy that is used.
    folders: Vec<PathBuf>,
    /// Where a process is written to enter.
    inner: Vec<PathBuf>,
}

impl Group {
    fn folder(&mut self, path: PathBuf) -> PathBuf {
        std::fs::create_dir(&path)
            .unwrap_or_else(|error| panic!("cannot make {}, run as root: {error}", path.display()));
        self.folders.push(path.clone());
        path
    }

    /// Version 1 where memory and CPU have hierarchies of their own, else version 2.
    fn new(millicores: u64, bytes: u64) -> Self {
        let (mut group, name) =
            (Self { folders: Vec::new(), inner: Vec::new() }, format!("iono-test-{}", std::process::id()));
        let write = |folder: &Path, file: &str, text: &str| {
            let file = folder.join(file);
            std::fs::write(&file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        };
        let (quota, period) = (millicores * 100, "100000");
        if let (Some(memory), Some(cpu)) = (hierarchy("memory"), hierarchy("cpu")) {
            let outer = group.folder(memory.join(&name));
            write(&outer, "memory.limit_in_bytes", &bytes.to_string());
            let inner = group.folder(outer.join("inner"));
            group.inner.push(inner);
            let outer = group.folder(cpu.join(&name));
            let inner = group.folder(outer.join("inner"));
            write(&inner, "cpu.cfs_period_us", period);
            write(&inner, "cpu.cfs_quota_us", &quota.to_string());
            group.inner.push(inner);
        } else {
            let root = hierarchy("").expect("no control groups are mounted");
            // Refused where the root is a container's own group with processes in it and does not share these already.
            write(&root, "cgroup.subtree_control", "+cpu +memory");
            let outer = group.folder(root.join(&name));
            write(&outer, "memory.max", &bytes.to_string());
            write(&outer, "cgroup.subtree_control", "+cpu +memory");
            let inner = group.folder(outer.join("inner"));
            write(&inner, "cpu.max", &format!("{quota} {period}"));
            group.inner.push(inner);
        }
        group
    }

    /// A shell command that enters the group and becomes its arguments.
    fn enter(&self) -> String {
        let enter = self.inner.iter().map(|folder| format!("echo $$ >{}/cgroup.procs && ", folder.display()));
        enter.collect::<String>() + "exec \"$@\""
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for folder in self.folders.iter().rev() {
            // Whoever was in it has ended; the kernel may take a moment to notice.
            let since = Instant::now();
            let gone = loop {
                match std::fs::remove_dir(folder) {
                    Ok(()) => break true,
                    Err(_) if since.elapsed() > Duration::from_secs(2) => break false,
                    Err(_) => std::thread::yield_now(),
                }
            };
            assert!(gone || std::thread::panicking(), "{} is left behind", folder.display());
        }
    }
}

/// Where a controller of version 1, or for an empty name version 2, is mounted.
fn hierarchy(controller: &str) -> Option<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find_map(|parts| {
        let this = match controller {
            "" => parts[2] == "cgroup2",
            _ => parts[2] == "cgroup" && parts[3].split(',').any(|option| option == controller),
        };
        this.then(|| PathBuf::from(parts[1]))
    })
}

#[test]
fn limits_of_a_control_group_and_of_the_one_above_it_count() {
    let (setup, group) = (Setup::new(), Group::new(1_500, 512 * MIB));
    let found = setup.hardware(&["sh", "-c", &group.enter(), "sh"]);
    assert_limited(&found, 1_500, 512 * MIB);
}

#[tokio::test]
async fn limits_of_a_container_count() {
    docker::hello_image().await.unwrap();
    let setup = Setup::new();
    let config = setup.config().display().to_string();
    let (binary, settings) = (format!("{PROVIDER}:{PROVIDER}:ro"), format!("{config}:{config}:ro"));
    // The binary's libraries are this machine's.
    let libraries: Vec<String> = ["/usr", "/lib", "/lib64"]
        .into_iter()
        .filter(|folder| Path::new(folder).exists())
        .flat_map(|folder| ["-v".to_owned(), format!("{folder}:{folder}:ro")])
        .collect();
    let libraries: Vec<&str> = libraries.iter().map(String::as_str).collect();
    let line = [
        &["run", "--rm", "--network", "none", "--cpus", "0.75", "--memory", "256m"],
        libraries.as_slice(),
        &["-v", &binary, "-v", &settings, "--entrypoint", PROVIDER, docker::HELLO, "--config", &config],
        &HARDWARE,
    ]
    .concat();
    let found: Value = serde_json::from_str(&docker::run(&line).await.unwrap()).unwrap();
    assert_limited(&found, 750, 256 * MIB);
}
