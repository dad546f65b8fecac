//! What hostile manifests may ask for: nothing of the node, and no more time or memory than a refusal takes. Each attempt
//! is refused by the manifest's own check before any cluster hears of it.
//!
//! Aliases without end and files that are too long are in the manifest's own tests (`bombs_are_refused`), the lease API's
//! bound on a body in `limits_hold_and_go_by_wallet`.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use std::io::Write as _;
use std::time::{Duration, Instant};

use common::attempts::{Attempts, Layer};
use iono_manifest::{LeaseManifest, parse, resolve};

/// Bytes that refusing a manifest may take at its peak.
const PEAK: u64 = 64 << 20;

/// A manifest of one service that a provider serves; attempts add lines to it.
const GOOD: &str = r#"version: "1.0"
services:
  web:
    image: app
    expose:
      - port: 8080
        to:
          - global: true
    params:
      storage:
        data:
          mount: /data
profiles:
  name: app
  mode: provider
  duration: 1h
  compute:
    web:
      resources:
        cpu:
          units: 0.1
        memory:
          size: 64Mi
        storage:
          - size: 64Mi
          - name: data
            size: 1Mi
  placement:
    anywhere:
      pricing:
        web:
          token: USDC
          amount: 1
deployment:
  web:
    anywhere:
      profile: web
      count: 1
"#;

#[test]
fn a_manifest_cannot_ask_for_the_host() {
    let mut attempts = Attempts::default();
    parse(GOOD).unwrap();
    let lines: [(&'static str, &str, &str, &str); 8] = [
        ("a privileged container", "    expose:", "    privileged: true\n", "5:5"),
        ("rights of the kernel", "    expose:", "    cap_add: [SYS_ADMIN]\n", "5:5"),
        ("the node's network", "    expose:", "    hostNetwork: true\n", "5:5"),
        ("the node's processes", "    expose:", "    hostPID: true\n", "5:5"),
        ("another service account", "    expose:", "    serviceAccountName: default\n", "5:5"),
        ("a folder of the node", "          mount: /data", "          hostPath: /\n", "12:11"),
        ("another runtime", "    expose:", "    runtimeClassName: host\n", "5:5"),
        ("a port of the node", "        to:", "        hostPort: 22\n", "7:9"),
    ];
    for (what, before, line, place) in lines {
        let text = GOOD.replacen(before, &format!("{line}{before}"), 1);
        let problems = parse(&text).unwrap_err().to_string();
        let key = line.trim().split(':').next().unwrap();
        let expected = format!("{place}: error: ");
        assert!(
            problems.starts_with(&expected) && problems.contains(&format!("unknown key `{key}`")),
            "{problems}"
        );
        attempts.refused(what, format!("manifest: {}", line.trim()), Layer::ManifestCheck, problems);
    }
    for path in ["/proc", "/sys/fs/cgroup", "/dev", "/data/../.."] {
        let problems =
            parse(&GOOD.replace("mount: /data", &format!("mount: {path}"))).unwrap_err().to_string();
        assert!(problems.starts_with("12:18: error: "), "{problems}");
        attempts.refused("a mount over the system", format!("mount: {path}"), Layer::ManifestCheck, problems);
    }
    // A stranger sends bytes that no `iono` has checked.
    let bytes = resolve(&parse(GOOD).unwrap(), |_| unreachable!()).unwrap().canonical();
    let text = String::from_utf8(bytes).unwrap();
    assert!(LeaseManifest::decode(text.as_bytes()).is_ok());
    for (what, find, replace) in [
        ("a privileged container", "\"volumes\":", "\"privileged\":true,\"volumes\":"),
        ("the node's network", "\"volumes\":", "\"hostNetwork\":true,\"volumes\":"),
        ("a folder of the node", "\"mount\":\"/data\"", "\"hostPath\":\"/\",\"mount\":\"/data\""),
        ("a mount over the system", "\"/data\"", "\"/proc\""),
    ] {
        let changed = text.replacen(find, replace, 1);
        assert_ne!(changed, text);
        let refused = LeaseManifest::decode(changed.as_bytes()).unwrap_err().to_string();
        attempts.refused(what, format!("bytes: {replace}"), Layer::CanonicalForm, refused);
    }
    attempts.print();
}

/// What is refused costs a second at most and memory within a bound, whatever it would unfold to.
#[test]
fn a_manifest_cannot_unfold_without_end() {
    let mut attempts = Attempts::default();
    let peak = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    };
    let mut try_it = |what, how: &str, layer, refuse: &dyn Fn() -> String| {
        let (start, before) = (Instant::now(), peak());
        let refused = refuse();
        let (took, grown) = (start.elapsed(), peak() - before);
        assert!(took < Duration::from_secs(1) && grown < PEAK, "{what}: {took:?}, {grown} bytes");
        attempts.refused(what, how, layer, refused);
    };
    let yaml = |text: String| move || parse(&text).unwrap_err().to_string();
    let bytes = |bytes: Vec<u8>| move || LeaseManifest::decode(&bytes).unwrap_err().to_string();
    let merges = (1..60).fold("a0: &a0 {k: v}\n".to_owned(), |text, n| {
        let before = n - 1;
        format!("{text}a{n}: &a{n} {{<<: [*a{before}, *a{before}, *a{before}], k{n}: v}}\n")
    });
    try_it("merged maps that double", "59 merges of the one before", Layer::ManifestCheck, &yaml(merges));
    let lists = "- ".repeat(120_000);
    try_it("lists in lists", "120000 dashes on a line", Layer::ManifestCheck, &yaml(lists));
    let maps = format!("{}x", "{a: ".repeat(60_000));
    try_it("maps in maps", "60000 open maps", Layer::ManifestCheck, &yaml(maps));
    let many = GOOD.replace("    expose:", &format!("    env: [{}]\n    expose:", "A=1, ".repeat(40_000)));
    try_it("more nodes than anybody writes", "40000 variables", Layer::ManifestCheck, &yaml(many));
    let brackets = format!("{{\"version\":1,\"services\":{}", "[".repeat(65_000));
    try_it(
        "brackets in canonical bytes",
        "65000 brackets",
        Layer::CanonicalForm,
        &bytes(brackets.into_bytes()),
    );
    // Nothing here inflates: the lease API reads at most this much and takes it as it is.
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&vec![b' '; 50 << 20]).unwrap();
    let gzip = gzip.finish().unwrap();
    assert!(gzip.len() < iono_manifest::MAX_MANIFEST_BYTES, "{} bytes", gzip.len());
    try_it("a compressed body", "50 MiB of blanks in gzip", Layer::CanonicalForm, &bytes(gzip));
    attempts.print();
}
