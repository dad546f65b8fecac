//! What the format has and no provider can serve yet is read, and named with its line so that nobody orders it.
#![allow(clippy::unwrap_used)]

use iono_manifest::parse;

const GOOD: &str = r#"version: "1.0"
endpoints:
services:
  web:
    image: nginx:1.27
    expose:
      - port: 8080
        as: 80
        to:
          - global: true
      - port: 9000
        to:
          - global: true
      - port_range: 9100-9102
        to:
          - service: web
profiles:
  mode: provider
  duration: 2h
  compute:
    web: {resources: {cpu: {units: 0.5}, memory: {size: 128Mi}, storage: {size: 1Gi}}}
  placement:
    anywhere: {pricing: {web: {token: SPON, amount: 0.5}}}
deployment:
  web: {anywhere: {profile: web, count: 1}}
"#;

fn unavailable(changes: &[(&str, &str)]) -> Vec<String> {
    let text = changes.iter().fold(GOOD.to_owned(), |text, (find, replace)| {
        assert!(text.contains(find), "{find}");
        text.replacen(find, replace, 1)
    });
    let deployment = parse(&text).unwrap();
    assert_eq!(deployment.warnings, []);
    deployment.unavailable.iter().map(ToString::to_string).collect()
}

#[test]
fn what_providers_serve_is_available() {
    assert_eq!(unavailable(&[]), Vec::<String>::new());
    assert_eq!(unavailable(&[("mode: provider", "mode: fizz")]), Vec::<String>::new());
    // The number that HTTP has from outside is 80 and 443 anyway, and a port within the lease has none.
    assert_eq!(unavailable(&[("as: 80", "as: 80\n        use_public_port: true")]), Vec::<String>::new());
    let within = ("port_range: 9100-9102", "port_range: 9100-9102\n        use_public_port: true");
    assert_eq!(unavailable(&[within]), Vec::<String>::new());
    assert_eq!(
        unavailable(&[("port: 9000", "port: 9000\n        use_public_port: false")]),
        Vec::<String>::new()
    );
}

#[test]
fn leased_addresses_are_named_where_they_stand() {
    let declared = ("endpoints:\n", "endpoints:\n  pool: {kind: ip}\n");
    let found = unavailable(&[declared]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("3:3: unavailable: endpoints: no provider leases IP addresses"),
        "{found:?}"
    );
    let used =
        ("- global: true\n      - port_range", "- global: true\n            ip: pool\n      - port_range");
    let found = unavailable(&[declared, used]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[1].starts_with("15:17: unavailable: to: no provider leases IP addresses"), "{found:?}");
}

#[test]
fn public_numbers_are_named_where_they_stand() {
    let fixed = ("port: 9000", "port: 9000\n        use_public_port: true");
    let found = unavailable(&[fixed]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("12:9: unavailable: use_public_port: "), "{found:?}");
    // A range is one line of the file, however many ports it has.
    let range = (
        "port_range: 9100-9102\n        to:\n          - service: web",
        "port_range: 9100-9102\n        use_public_port: true\n        to:\n          - global: true",
    );
    assert_eq!(unavailable(&[range]).len(), 1);
}
