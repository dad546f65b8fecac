//! What is found must equal what the system's own tools say, and a made-up machine must be found as it was made.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use iono_hardware::{AmdSysfs, Gpu, GpuSource, Hardware, Nvml, Source};
use iono_primitives::StorageClass;

fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .env_remove("OMP_NUM_THREADS")
        .env_remove("OMP_THREAD_LIMIT")
        .output()
        .unwrap();
    assert!(output.status.success(), "{program} {args:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn this_machine_is_what_its_tools_say() {
    let found = Hardware::discover(Path::new("/")).unwrap();
    assert_eq!(found.cpu.threads.to_string(), output("nproc", &[]));
    assert!(found.cpu.millicores <= found.cpu.threads * 1_000 && found.cpu.millicores > 0);
    let kibibytes = output("awk", &["/^MemTotal:/ {print $2}", "/proc/meminfo"]);
    assert_eq!((found.memory.total / 1_024).to_string(), kibibytes);
    assert_eq!(
        found.memory.usable,
        found.memory.limit.map_or(found.memory.total, |limit| limit.min(found.memory.total))
    );
    let disks = output("lsblk", &["-b", "-d", "-n", "-r", "-o", "NAME,SIZE,TYPE,ROTA,RM"]);
    let listed: Vec<(String, u64)> = disks
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .filter(|parts| parts[2] == "disk" && parts[1] != "0" && parts[4] == "0")
        .filter(|parts| !["zram", "ram", "nbd"].iter().any(|virtual_disk| parts[0].starts_with(virtual_disk)))
        .map(|parts| (parts[0].to_owned(), parts[1].parse().unwrap()))
        .collect();
    let mut listed = listed;
    listed.sort();
    let mut disks: Vec<(String, u64)> =
        found.disks.iter().map(|disk| (disk.name.clone(), disk.size)).collect();
    disks.sort();
    assert_eq!(disks, listed);
    let blocks: u64 = output("stat", &["-f", "-c", "%b", "/"]).parse().unwrap();
    let size: u64 = output("stat", &["-f", "-c", "%S", "/"]).parse().unwrap();
    assert_eq!(found.space.total, blocks * size);
    assert!(found.space.free <= found.space.total);
    let missing = Path::new("/not/made/yet");
    let later = Hardware::discover(missing).unwrap().space;
    assert_eq!(
        (later.path.as_path(), later.total, later.class),
        (missing, found.space.total, found.space.class)
    );
}

#[test]
fn limits_of_the_control_group_are_those_of_its_files() {
    let found = Hardware::discover(Path::new("/")).unwrap();
    let lowest = |name: &str, unlimited: u64| {
        let script = format!(
            "find /sys/fs/cgroup -maxdepth 1 -name {name} -exec cat {{}} \\;; for d in $(cut -d: -f3 /proc/self/cgroup); do p=$d; while [ \"$p\" != / ]; do cat /sys/fs/cgroup/memory$p/{name} /sys/fs/cgroup$p/{name} 2>/dev/null; p=$(dirname $p); done; done; cat /sys/fs/cgroup/memory/{name} 2>/dev/null; true"
        );
        output("sh", &["-c", &script])
            .lines()
            .filter_map(|line| line.parse::<u64>().ok())
            .filter(|bytes| *bytes < unlimited)
            .min()
    };
    let limits = [lowest("memory.max", u64::MAX), lowest("memory.limit_in_bytes", 1 << 62)];
    assert_eq!(found.memory.limit, limits.into_iter().flatten().min());
}

/// With NVIDIA's driver the cards are those of its own tool, without it there are none.
#[test]
fn nvidia_cards_are_those_that_nvidia_smi_lists() {
    let query = ["--query-gpu=uuid,name,memory.total", "--format=csv,noheader,nounits"];
    let said = Command::new("nvidia-smi").args(query).output().ok().filter(|output| output.status.success());
    let said = said.map(|output| String::from_utf8(output.stdout).unwrap()).unwrap_or_default();
    let mut found: Vec<String> =
        Nvml.gpus().iter().map(|gpu| format!("{}, {}, {}", gpu.id, gpu.name, gpu.memory)).collect();
    found.sort();
    let mut listed: Vec<&str> = said.lines().map(str::trim).collect();
    listed.sort_unstable();
    assert_eq!(found, listed);
}

fn made_up() -> (tempfile::TempDir, Source) {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("proc/self/status", "Name:\tx\nCpus_allowed_list:\t0-3,8-9\n");
    write("sys/devices/system/cpu/online", "0-7\n");
    write(
        "proc/cpuinfo",
        "processor\t: 0\nmodel name\t: Example 9000\n\nprocessor\t: 1\nmodel name\t: Example 9000\n",
    );
    write("proc/meminfo", "MemTotal:       16777216 kB\nMemFree:        1 kB\n");
    write("proc/self/cgroup", "0::/\n");
    write("sys/fs/cgroup/memory.max", "8589934592\n");
    write("sys/fs/cgroup/cpu.max", "250000 100000\n");
    write(
        "proc/self/mountinfo",
        "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 21 0:5 / /proc rw - proc proc rw\n\
         31 21 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
    );
    for (name, sectors, rotational, physical) in [
        ("sda", 2_000_000, "1", true),
        ("nvme0n1", 4_000_000, "0", true),
        ("vdb", 100, "0", true),
        ("loop0", 50, "0", false),
        ("sr0", 0, "1", true),
    ] {
        write(&format!("sys/block/{name}/size"), &format!("{sectors}\n"));
        write(&format!("sys/block/{name}/queue/rotational"), &format!("{rotational}\n"));
        if physical {
            write(&format!("sys/block/{name}/device/model"), "Model X   \n");
        }
    }
    // A path to nvme0n1, which the kernel hides from users.
    write("sys/block/nvme0c0n1/size", "4000000\n");
    write("sys/block/nvme0c0n1/hidden", "1\n");
    write("sys/block/nvme0c0n1/device/model", "Model X   \n");
    write("sys/block/sda/sda1/partition", "1\n");
    std::fs::create_dir_all(folder.path().join("sys/dev/block")).unwrap();
    std::os::unix::fs::symlink(
        folder.path().join("sys/block/sda/sda1"),
        folder.path().join("sys/dev/block/8:1"),
    )
    .unwrap();
    for (card, vendor, device, memory) in [
        ("card0", "0x1002", "0x74a1", Some("206158430208")),
        ("card1", "0x1002", "0xffff", Some("8589934592")),
        ("card2", "0x10de", "0x2684", None),
        ("card0-DP-1", "0x1002", "0x74a1", Some("1")),
    ] {
        let base = format!("sys/class/drm/{card}/device");
        write(&format!("{base}/vendor"), vendor);
        write(&format!("{base}/device"), device);
        write(&format!("{base}/uevent"), "DRIVER=amdgpu\nPCI_SLOT_NAME=0000:03:00.0\n");
        if let Some(memory) = memory {
            write(&format!("{base}/mem_info_vram_total"), memory);
        }
    }
    let source = Source::at(folder.path());
    (folder, source)
}

#[test]
fn a_made_up_machine_is_found_as_it_was_made() {
    let (_folder, source) = made_up();
    let amd = AmdSysfs::new(&source);
    let found = Hardware::discover_from(&source, Path::new("/"), &[&amd]).unwrap();
    assert_eq!((found.cpu.threads, found.cpu.limit, found.cpu.millicores), (4, Some(2_500), 2_500));
    assert_eq!(found.cpu.model, "Example 9000");
    assert_eq!((found.memory.total, found.memory.usable), (16 << 30, 8 << 30));
    let disks: Vec<_> = found.disks.iter().map(|disk| (disk.name.as_str(), disk.size, disk.class)).collect();
    let expected = [
        ("nvme0n1", 2_048_000_000, StorageClass::Nvme),
        ("sda", 1_024_000_000, StorageClass::Hdd),
        ("vdb", 51_200, StorageClass::Ssd),
    ];
    assert_eq!(disks, expected);
    assert_eq!(found.disks[0].model, "Model X");
    assert_eq!(found.space.class, StorageClass::Hdd);
    let gpus: Vec<_> =
        found.gpus.iter().map(|gpu| (gpu.model.as_str(), gpu.memory, gpu.id.as_str())).collect();
    assert_eq!(gpus, [("mi300x-192gi", 196_608, "0000:03:00.0"), ("amdffff-8gi", 8_192, "0000:03:00.0")]);
    let text = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Hardware>(&text).unwrap(), found);
}

#[test]
fn a_machine_without_gpus_or_proc() {
    let empty = tempfile::tempdir().unwrap();
    let source = Source::at(empty.path());
    assert_eq!(AmdSysfs::new(&source).gpus(), Vec::<Gpu>::new());
    let refused = Hardware::discover_from(&source, Path::new("/"), &[]).unwrap_err().to_string();
    assert!(refused.contains("cannot read") && refused.contains("proc/self/status"), "{refused}");
}
