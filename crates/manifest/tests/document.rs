//! The worked example of `docs/manifest.md`, recomputed from the page itself.
#![allow(clippy::unwrap_used)]

use iono_manifest::{LeaseManifest, Salt, hash, parse, resolve};

/// The fenced block that follows a heading.
fn block(page: &str, heading: &str) -> String {
    let after =
        page.split_once(&format!("\n### {heading}\n")).unwrap_or_else(|| panic!("no heading {heading}")).1;
    let fence = after.split_once("```").unwrap().1;
    let body = fence.split_once('\n').unwrap().1;
    body.split_once("\n```").unwrap().0.to_owned()
}

#[test]
fn the_worked_example_holds() {
    let page = include_str!("../../../docs/manifest.md");
    let deployment = parse(&block(page, "File")).unwrap();
    let manifest = resolve(&deployment, |_| Ok(b"hunter2\n".to_vec())).unwrap();
    let canonical = block(page, "Canonical form");
    assert_eq!(String::from_utf8(manifest.canonical()).unwrap(), canonical);
    assert_eq!(LeaseManifest::decode(canonical.as_bytes()).unwrap(), manifest);
    let salt: Salt = block(page, "Salt").parse().unwrap();
    assert_eq!(hash(&salt, canonical.as_bytes()).to_string(), block(page, "Hash"));
    let order = deployment.order();
    assert_eq!(format!("{:#066x}", order.resources.word()), block(page, "Resources word"));
    let groups = iono_primitives::Group::encode(&order.groups);
    assert_eq!(alloy::hex::encode_prefixed(groups), block(page, "Groups"));
}
