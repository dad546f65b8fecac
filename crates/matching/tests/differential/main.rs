//! What this crate and the contracts both compute is computed by both, on the same 100,000 random records. Foundry runs the
//! Solidity side (`contracts/test/differential`) on files that these tests write.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod eligibility;
mod orders;

use std::fs::File;
use std::path::Path;
use std::process::Command;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// A random number of up to `bits` bits, small ones and the largest as likely as others.
fn skewed(random: &mut StdRng, bits: u32) -> u128 {
    let width = random.random_range(0..=bits);
    match random.random_range(0..8) {
        0 => (1 << bits) - 1,
        1 => 0,
        _ if width == 0 => 0,
        _ => random.random::<u128>() & ((1 << width) - 1),
    }
}

/// Writes `files` files of `each` records with what must come of them, and lets the Solidity test `name` agree.
fn replay(name: &str, files: u64, each: u64, mut record: impl FnMut(u64, &mut StdRng, &mut Vec<u8>)) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let forge = root.join("node_modules/@foundry-rs/forge-linux-amd64/bin/forge");
    assert!(forge.is_file(), "forge is missing: run `npm ci` first");
    let folder = format!("target/differential/{name}");
    std::fs::create_dir_all(root.join(&folder)).unwrap();
    let seed: u64 = rand::random();
    eprintln!("random records from seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let written = (0..files).map(|file| {
        let mut bytes = Vec::new();
        (1..=each).for_each(|number| record(number, &mut random, &mut bytes));
        let path = format!("{folder}/{file}.bin");
        std::fs::write(root.join(&path), bytes).unwrap();
        path
    });
    let written: Vec<String> = written.collect();
    // Two Foundries at once would write the same cache.
    let turn = File::create(root.join("target/differential/lock")).unwrap();
    turn.lock().unwrap();
    let output = Command::new(forge)
        .current_dir(&root)
        .env("REPLAY_FILES", written.join(","))
        .env("REPLAY_RECORDS", (files * each).to_string())
        .args(["test", "--match-path", &format!("contracts/test/differential/{name}"), "--json"])
        .args(["--gas-limit", "18446744073709551615", "--memory-limit", "4294967296"])
        .output()
        .unwrap();
    std::fs::remove_dir_all(root.join(&folder)).unwrap();
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "seed {seed}: {text}");
    assert!(text.contains("\"status\":\"Success\""), "{text}");
}
