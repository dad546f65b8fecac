//! Arbitrary text and bytes never panic; what is accepted has one form and keeps its secrets.
#![allow(clippy::unwrap_used)]

use iono_manifest::{DecodeError, LeaseManifest, MAX_MANIFEST_BYTES, Salt, hash, parse, resolve};
use proptest::prelude::*;

const EXAMPLES: [&str; 5] = [
    include_str!("../../../examples/hello.yaml"),
    include_str!("../../../examples/web-and-database.yaml"),
    include_str!("../../../examples/udp.yaml"),
    include_str!("../../../examples/gpu.yaml"),
    include_str!("../../../examples/secrets.yaml"),
];

/// Something done to a good manifest.
type Change = fn(&mut LeaseManifest);

fn manifest(example: usize) -> LeaseManifest {
    resolve(&parse(EXAMPLES[example]).unwrap(), |path| {
        Ok(format!("content of {}\n", path.display()).into_bytes())
    })
    .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,300}") {
        let _ = parse(&text);
    }

    #[test]
    fn broken_examples_never_panic(example in 0usize..5, at: prop::sample::Index, cut in 0usize..40, junk in "[ \\n:\\-\\[\\]{}&*!|>'\"#a-z0-9]{0,12}") {
        let text = EXAMPLES[example];
        let start = at.index(text.len());
        let end = (start + cut).min(text.len());
        if text.is_char_boundary(start) && text.is_char_boundary(end) {
            let broken = format!("{}{junk}{}", &text[..start], &text[end..]);
            match parse(&broken) {
                Ok(deployment) => {
                    let manifest = resolve(&deployment, |_| Ok(b"x".to_vec())).unwrap();
                    prop_assert_eq!(LeaseManifest::decode(&manifest.canonical()).unwrap(), manifest);
                }
                Err(problems) => prop_assert!(!problems.0.is_empty()),
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_decode_to_another_form(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(LeaseManifest::decode(&bytes).is_err());
    }

    #[test]
    fn a_flipped_byte_is_another_manifest_or_none(example in 0usize..5, at: prop::sample::Index, flip in 1u8..=255) {
        let bytes = manifest(example).canonical();
        let mut changed = bytes.clone();
        changed[at.index(bytes.len())] ^= flip;
        if let Ok(decoded) = LeaseManifest::decode(&changed) {
            prop_assert_eq!(decoded.canonical(), changed.clone());
        }
        let salt = Salt::repeat_byte(7);
        prop_assert_ne!(hash(&salt, &bytes), hash(&salt, &changed));
    }

    #[test]
    fn any_text_survives_in_the_environment(value in "\\PC{0,200}|[\\x01-\\x1f\"\\\\]{0,20}") {
        let mut original = manifest(0);
        original.services[0].env.insert("VALUE".into(), value.as_str().into());
        let decoded = LeaseManifest::decode(&original.canonical()).unwrap();
        prop_assert_eq!(decoded.services[0].env["VALUE"].expose(), value);
    }
}

#[test]
fn other_forms_of_the_same_manifest_are_refused() {
    let bytes = manifest(0).canonical();
    let text = String::from_utf8(bytes.clone()).unwrap();
    for changed in [
        text.replacen(':', ": ", 1),
        format!("{text}\n"),
        text.replace("\"endpoints\":[],", ""),
        text.replace("\"endpoints\":[],", "\"endpoints\":[],\"extra\":1,"),
        text.replace("\"count\":1", "\"count\":1.0"),
        text.replace("hello:demo", "hello\\u003ademo"),
    ] {
        assert_ne!(changed, text);
        assert!(LeaseManifest::decode(changed.as_bytes()).is_err(), "{changed}");
    }
    let newer = text.replace("\"version\":1", "\"version\":2");
    assert_eq!(LeaseManifest::decode(newer.as_bytes()), Err(DecodeError::Version(2)));
    let large = vec![b' '; MAX_MANIFEST_BYTES + 1];
    assert_eq!(LeaseManifest::decode(&large), Err(DecodeError::TooLarge(MAX_MANIFEST_BYTES + 1)));
}

#[test]
fn rules_hold_for_strangers_too() {
    let breaks: [(Change, &str); 12] = [
        (|m| m.services.clear(), "1 to 12 services"),
        (|m| m.services[0].image = "A B".into(), "no image reference"),
        (|m| m.services[0].name = "../x".into(), "is no name"),
        (|m| m.services[0].count = 0, "replicas"),
        (|m| m.services[0].resources.memory = 0, "above zero"),
        (|m| m.services[0].resources.cpu = u32::MAX, "beyond what an order can hold"),
        (|m| m.services[0].expose[0].port = 0, "ports are 1 to 65535"),
        (|m| m.services[0].expose[0].to = vec!["other".into()], "is no service"),
        (|m| m.services[0].expose[0].ip = Some("pool".into()), "is not listed"),
        (|m| m.services[0].expose[0].accept = vec!["*.example.com".into()], "is no host name"),
        (|m| drop(m.services[0].env.insert("A=B".into(), "x".into())), "environment variable"),
        (|m| m.services.push(m.services[0].clone()), "each once"),
    ];
    for (break_it, why) in breaks {
        let mut broken = manifest(0);
        break_it(&mut broken);
        match LeaseManifest::decode(&broken.canonical()) {
            Err(DecodeError::Invalid(message)) => assert!(message.contains(why), "{message}, expected {why}"),
            other => panic!("expected `{why}`, got {other:?}"),
        }
    }
    let mut volumes = manifest(3);
    volumes.services[0].volumes[0].mount = "/sys/fs".into();
    assert!(matches!(LeaseManifest::decode(&volumes.canonical()), Err(DecodeError::Invalid(_))));
}

#[test]
fn debug_output_and_errors_hide_secrets() {
    let deployment = parse(EXAMPLES[4]).unwrap();
    let manifest = resolve(&deployment, |_| Ok(b"s3cr3t-content\n".to_vec())).unwrap();
    let service = manifest.service("api").unwrap();
    assert_eq!(service.env["DATABASE_URL"].expose(), "s3cr3t-content");
    assert_eq!(service.credentials.as_ref().unwrap().password.expose(), "s3cr3t-content");
    assert_eq!(service.files.len(), 2);
    assert_eq!(service.files[0].path, "/etc/api/tls.key");
    assert_eq!(service.files[0].bytes().unwrap(), b"s3cr3t-content\n");
    assert_eq!(service.files[1].path, "/run/secrets/license");
    let shown = format!("{manifest:?} {deployment:?}");
    assert!(!shown.contains("s3cr3t") && !shown.contains(&service.files[0].content.expose()[..8]), "{shown}");
    let broken =
        String::from_utf8(manifest.canonical()).unwrap().replace("\"count\":1", "\"count\":\"s3cr3t\"");
    assert!(!LeaseManifest::decode(broken.as_bytes()).unwrap_err().to_string().contains("s3cr3t"));
}

#[test]
fn secrets_that_cannot_be_read_are_named_with_their_line() {
    let deployment = parse(EXAMPLES[4]).unwrap();
    let missing = |_: &std::path::Path| Err(std::io::Error::from(std::io::ErrorKind::NotFound));
    let problems = resolve(&deployment, missing).unwrap_err();
    assert_eq!(problems.0.len(), 4);
    assert!(
        problems
            .0
            .iter()
            .all(|problem| problem.line > 1 && problem.message.contains("cannot read `./secrets/"))
    );
    let binary = resolve(&deployment, |_| Ok(vec![0xff, 0xfe])).unwrap_err().to_string();
    assert!(binary.contains("is no UTF-8 text"), "{binary}");
    let large = resolve(&deployment, |_| Ok(vec![b'x'; 40_000])).unwrap_err().to_string();
    assert!(large.contains("has 40000 bytes"), "{large}");
}

#[test]
fn a_manifest_must_fit_its_order() {
    for (example, text) in EXAMPLES.into_iter().enumerate() {
        let deployment = parse(text).unwrap();
        let (order, manifest) = (deployment.order(), manifest(example));
        manifest.check_fits(&order.resources, &order.groups).unwrap();
    }
    let order = parse(EXAMPLES[3]).unwrap().order();
    let grows: [(Change, &str); 10] = [
        (|m| m.services[0].count += 1, "2 replicas, the order has 1"),
        (|m| m.services[0].resources.cpu += 1, "8001 millicores of CPU, the order has 8000"),
        (|m| m.services[0].resources.memory += 1, "MiB of memory"),
        (|m| m.services[0].resources.ephemeral += 1, "MiB of ephemeral storage"),
        (|m| m.services[0].volumes[0].size += 1, "MiB of persistent storage"),
        (|m| m.services[0].resources.gpu.as_mut().unwrap().count = 2, "2 GPUs, the order has 1"),
        (
            |m| m.services[0].resources.gpu.as_mut().unwrap().model = "h100".into(),
            "h100 as GPU model, the order has a100-80gi",
        ),
        (
            |m| {
                let extra = m.services[0].clone();
                m.services.push(extra)
            },
            "2 services, the order has 1",
        ),
        (
            |m| {
                let mut port = m.services[0].expose[0].clone();
                port.external = 9;
                m.services[0].expose.push(port)
            },
            "2 global ports, the order has 1",
        ),
        (|m| m.services[0].resources.gpu = None, ""),
    ];
    for (grow, why) in grows {
        let mut grown = manifest(3);
        grow(&mut grown);
        match grown.check_fits(&order.resources, &order.groups) {
            Ok(()) => assert_eq!(why, "", "less than ordered is fine"),
            Err(exceeds) => assert!(!why.is_empty() && exceeds.to_string().contains(why), "{exceeds}"),
        }
    }
}
