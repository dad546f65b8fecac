//! One broken manifest per line: what was changed, and the problem that must be reported at which place.
#![allow(clippy::unwrap_used)]

use iono_manifest::{Severity, parse};

/// A good manifest; the table changes one thing in it.
const GOOD: &str = r#"version: "1.0"
services:
  web:
    image: nginx:1.27
    env:
      - MODE=live
    expose:
      - port: 8080
        as: 80
        to:
          - global: true
    params:
      storage:
        data:
          mount: /data
profiles:
  name: shop
  mode: provider
  duration: 2h
  compute:
    web:
      resources:
        cpu:
          units: 0.5
        memory:
          size: 128Mi
        storage:
          - size: 1Gi
          - name: data
            size: 2Gi
            attributes:
              persistent: true
              class: nvme
  placement:
    anywhere:
      pricing:
        web:
          token: SPON
          amount: 0.5
deployment:
  web:
    anywhere:
      profile: web
      count: 1
"#;

/// Text to replace, its replacement, and the problem.
const CASES: [(&str, &str, &str); 63] = [
    (
        "      pricing:",
        "      attributes:\n        strict_region: true\n      pricing:",
        "37:9: error: attributes: `strict_region` needs a `region`",
    ),
    ("\"1.0\"", "\"3.0\"", "1:10: error: version: `3.0` is none of"),
    ("version: \"1.0\"\n", "", "1:1: error: manifest: `version` is missing"),
    ("services:\n  web:", "servces:\n  web:", "2:1: error: manifest: unknown key `servces`"),
    ("    image: nginx:1.27\n", "", "4:5: error: service `web`: `image` is missing"),
    ("nginx:1.27", "Nginx:1.27", "4:12: error: `Nginx:1.27` is no image reference"),
    ("nginx:1.27", "[nginx]", "4:12: error: image: a plain value is needed here, not a list"),
    ("  web:\n    image", "  Web:\n    image", "3:3: error: `Web` is no name"),
    ("    env:\n", "    envs:\n", "5:5: error: service `web`: unknown key `envs`"),
    ("MODE=live", "MODE", "6:9: error: env: `MODE` has no value"),
    ("MODE=live", "1MODE=live", "6:9: error: `1MODE` is no name of an environment variable"),
    ("- MODE=live", "- MODE=live\n      - MODE=dead", "7:9: error: env: `MODE` is set twice"),
    ("- MODE=live", "MODE: live", "6:7: error: env: a list is needed here, not a map"),
    ("port: 8080", "port: 0", "8:15: error: port: `0` is no whole number from 1 to 65535"),
    ("port: 8080", "port: 65536", "8:15: error: port: `65536` is no whole number"),
    ("port: 8080", "port: http", "8:15: error: port: `http` is no whole number"),
    ("port: 8080", "prot: 8080", "8:9: error: expose: unknown key `prot`"),
    ("as: 80", "proto: sctp", "9:16: error: proto: `sctp` is none of tcp, udp, http"),
    ("as: 80", "accept: [localhost]", "9:18: error: `localhost` is no host name"),
    ("as: 80", "port_range: 1-2", "8:9: error: expose: `port_range` replaces `port`"),
    ("port: 8080\n        as: 80", "port_range: 20-10", "8:21: error: port_range: `20-10` is no range"),
    ("- global: true", "- service: db", "11:22: error: to: there is no service `db`"),
    ("- global: true", "- globl: true", "11:13: error: to: unknown key `globl`"),
    ("- global: true", "- global: yes", "11:21: error: global: `yes` is neither true nor false"),
    (
        "- global: true",
        "- global: true\n            ip: pool",
        "12:17: error: to: there is no endpoint `pool`",
    ),
    (
        "- global: true",
        "- global: true\n      - port: 81\n        as: 80\n        to:\n          - global: true",
        "12:9: error: port 80 is exposed twice",
    ),
    ("        data:\n", "        date:\n", "14:9: error: params: there is no storage `date`"),
    ("mount: /data", "mount: data", "15:18: error: `data` cannot be a mount"),
    ("mount: /data", "mount: /proc/1", "15:18: error: `/proc/1` cannot be a mount"),
    (
        "mount: /data",
        "readOnly: true",
        "14:9: error: service `web` mounts the persistent storage `data` nowhere",
    ),
    ("mode: provider", "mode: slark", "18:9: error: mode: `slark` is neither provider nor fizz"),
    ("duration: 2h", "duration: 2 fortnights", "19:13: error: duration: `2 fortnights` is no time"),
    ("duration: 2h", "duration: 9y", "19:13: error: duration: `9y` is no time"),
    ("  duration: 2h\n", "", "17:3: error: profiles: `duration` is missing"),
    ("duration: 2h", "duration: 2h\n  tiers: [secured-7]", "20:11: error: tiers: `secured-7` is none of"),
    ("units: 0.5", "units: 0", "24:18: error: cpu: `0` is out of range"),
    ("units: 0.5", "units: -1", "24:18: error: cpu: `-1` is no CPU quantity"),
    ("units: 0.5", "units: 500x", "24:18: error: cpu: `500x` is no CPU quantity"),
    ("size: 128Mi", "size: 128mb", "26:17: error: memory: `128mb` is no size"),
    ("size: 128Mi", "size: 99Ti", "26:17: error: memory: more than the 16 TiB"),
    ("name: data\n", "name: Data\n", "29:19: error: `Data` is no name"),
    ("class: nvme", "class: tape", "33:22: error: class: `tape` is none of"),
    ("class: nvme", "class: ram", "33:22: error: storage: class `ram` cannot be persistent"),
    ("persistent: true", "persistent: maybe", "32:27: error: persistent: `maybe` is neither"),
    (
        "  placement:\n    anywhere",
        "  placement:\n    nowhere",
        "42:5: error: deployment: there is no placement `anywhere`",
    ),
    (
        "pricing:\n        web",
        "pricing:\n        wob",
        "43:7: error: placement `anywhere` has no price for the profile `web`",
    ),
    ("token: SPON", "token: ibc/1F", "38:18: error: token: `ibc/1F` is no token"),
    ("amount: 0.5", "amount: half", "39:19: error: amount: `half` is not a decimal amount"),
    ("amount: 0.5", "amount: 0", "39:19: error: amount: a price of zero"),
    ("amount: 0.5", "amount: 99999999999", "39:19: error: amount: `99999999999` is too large"),
    ("profile: web", "profile: wob", "43:16: error: deployment: there is no compute profile `wob`"),
    ("deployment:\n  web", "deployment:\n  wob", "41:3: error: deployment: there is no service `wob`"),
    ("count: 1", "count: 0", "44:14: error: count: `0` is no whole number from 1 to 1000"),
    ("count: 1", "count: 1.5", "44:14: error: count: `1.5` is no whole number"),
    ("      count: 1\n", "", "43:7: error: deployment: `count` is missing"),
    (
        "      pricing:",
        "      attributes:\n        region: atlantis\n      pricing:",
        "37:17: error: region: `atlantis` is no region",
    ),
    (
        "      pricing:",
        "      attributes:\n        colour: red\n      pricing:",
        "37:9: error: attributes: nobody vouches for `colour`",
    ),
    (
        "      pricing:",
        "      signedBy:\n        allOf: [akash1]\n      pricing:",
        "37:9: error: signedBy: auditors do not sign",
    ),
    (
        "    env:",
        "    credentials:\n      host: ghcr.io\n      username: me\n    env:",
        "6:7: error: credentials: give either `password` or `password_file`",
    ),
    (
        "    env:",
        "    secrets:\n      - name: mode\n        file: m\n        env: MODE\n    env:",
        "6:9: error: secrets: `MODE` is set in `env` too",
    ),
    ("count: 1", "count: 1\n  web:\n    anywhere: {}", "45:3: error: no valid YAML: duplicate"),
    ("    env:", "   env:", "5:4: error: no valid YAML"),
    ("count: 1", "count: *nothing", "44:14: error: no valid YAML"),
];

#[test]
fn the_good_one_is_good() {
    let deployment = parse(GOOD).unwrap();
    assert_eq!(deployment.warnings, []);
    assert_eq!(deployment.duration, Some(7_200));
}

#[test]
fn every_break_is_reported_at_its_place() {
    let mut wrong = Vec::new();
    for (find, replace, expected) in CASES {
        assert_eq!(GOOD.matches(find).count(), 1, "`{find}` must stand once in the good manifest");
        let text = GOOD.replace(find, replace);
        match parse(&text) {
            Ok(_) => wrong.push(format!("{replace:?} was accepted; expected {expected}")),
            Err(problems) => {
                let found = problems.0.iter().any(|problem| problem.to_string().starts_with(expected));
                if !found {
                    wrong.push(format!("{replace:?}: expected {expected}\n    got {problems}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn all_problems_come_at_once_in_the_order_of_lines() {
    let text = GOOD.replace("nginx:1.27", "BAD").replace("as: 80", "sa: 80").replace("128Mi", "many");
    let problems = parse(&text).unwrap_err().0;
    let lines: Vec<u32> = problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [4, 9, 26]);
    assert!(problems.iter().all(|problem| problem.severity == Severity::Error));
}

#[test]
fn a_port_to_a_service_of_the_lease_only_is_no_http() {
    let deployment = parse(&GOOD.replace("- global: true", "- service: web")).unwrap();
    let port = &deployment.services[0].service.expose[0];
    assert_eq!((port.protocol, port.global), (iono_manifest::Protocol::Tcp, false));
    assert_eq!(port.to, ["web"]);
    assert_eq!(deployment.order().resources.endpoints, 0);
}

#[test]
fn different_models_tokens_and_placements_are_refused() {
    let two = |second: &str| {
        format!(
            r#"version: "1.0"
services:
  a: {{image: x}}
  b: {{image: x}}
profiles:
  duration: 1h
  compute:
    a: {{resources: {{cpu: {{units: 1}}, memory: {{size: 1Gi}}, storage: {{size: 1Gi}}, gpu: {{units: 1, attributes: {{vendor: {{nvidia: [{{model: a100}}]}}}}}}}}}}
    b: {{resources: {{cpu: {{units: 1}}, memory: {{size: 1Gi}}, storage: {{size: 1Gi}}, gpu: {{units: 2, attributes: {{vendor: {{nvidia: [{{model: {second}}}]}}}}}}}}}}
  placement:
    p: {{pricing: {{a: {{token: A, amount: 1}}, b: {{token: A, amount: 1}}}}}}
    q: {{pricing: {{a: {{token: A, amount: 1}}, b: {{token: B, amount: 1}}}}}}
deployment:
  a: {{p: {{profile: a, count: 3}}}}
  b: {{p: {{profile: b, count: 1}}}}
"#
        )
    };
    let good = parse(&two("a100")).unwrap().order();
    assert_eq!((good.resources.gpus, good.resources.cpu, good.resources.gpu_tier), (5, 4_000, 8));
    assert_eq!(good.max_price.rate.hourly(), "4");
    let refused = |text: &str| parse(text).unwrap_err().to_string();
    assert!(refused(&two("h100")).contains("services ask for `a100` and `h100`"));
    assert!(refused(&two("a100").replace("b: {p:", "b: {q:")).contains("placements `p` and `q`"));
    let tokens = two("a100").replace("a: {p:", "a: {q:").replace("b: {p:", "b: {q:");
    assert!(refused(&tokens).contains("paid in one token, here are A and B"));
}
