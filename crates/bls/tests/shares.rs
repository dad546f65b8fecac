//! Checking shares together finds what checking each by itself finds, in few checks.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use iono_bls::{PublicKey, SecretKey, Share, Signature, check_shares};
use proptest::prelude::*;

const MESSAGE: &[u8] = b"root of a batch of matches";

/// `count` shares; those in `bad` sign another message.
fn shares(count: usize, bad: &BTreeSet<usize>) -> Vec<Share> {
    (0..count)
        .map(|index| {
            let mut material = [7; 32];
            material[..8].copy_from_slice(&(index as u64).to_be_bytes());
            let secret = SecretKey::derive(&material);
            let message = if bad.contains(&index) { b"another" } else { MESSAGE };
            Share { key: secret.public_key(), signature: secret.sign(message) }
        })
        .collect()
}

fn log2_up(count: usize) -> usize {
    count.next_power_of_two().trailing_zeros() as usize
}

#[test]
fn good_shares_take_one_check_and_aggregate() {
    let shares = shares(100, &BTreeSet::new());
    let verdict = check_shares(MESSAGE, &shares);
    assert_eq!((verdict.bad.len(), verdict.checks), (0, 1));

    let keys: Vec<PublicKey> = shares.iter().map(|share| share.key).collect();
    let signatures: Vec<Signature> = shares.iter().map(|share| share.signature).collect();
    let aggregate = Signature::aggregate(&signatures).unwrap();
    assert!(aggregate.verify(MESSAGE, &PublicKey::aggregate(&keys).unwrap()));
}

#[test]
fn no_shares_take_no_check() {
    assert_eq!(check_shares(MESSAGE, &[]).checks, 0);
}

#[test]
fn one_bad_share_is_found_wherever_it_is() {
    for count in [1, 2, 3, 17] {
        for index in 0..count {
            let verdict = check_shares(MESSAGE, &shares(count, &BTreeSet::from([index])));
            assert_eq!(verdict.bad, [index]);
            assert!(verdict.checks <= 1 + 2 * log2_up(count), "{} checks for {count}", verdict.checks);
        }
    }
}

#[test]
fn shares_that_are_wrong_in_opposite_ways_do_not_hide_each_other() {
    // Each holds the other's signature: their sum is right, so a check without factors would pass.
    let mut shares = shares(8, &BTreeSet::new());
    let first = shares[2].signature;
    shares[2].signature = shares[5].signature;
    shares[5].signature = first;
    let keys: Vec<PublicKey> = shares.iter().map(|share| share.key).collect();
    let signatures: Vec<Signature> = shares.iter().map(|share| share.signature).collect();
    let sum = Signature::aggregate(&signatures).unwrap();
    assert!(sum.verify(MESSAGE, &PublicKey::aggregate(&keys).unwrap()));

    assert_eq!(check_shares(MESSAGE, &shares).bad, [2, 5]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn finds_what_single_checks_find(
        count in 1_usize..60,
        picks in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let bad: BTreeSet<usize> = picks.iter().map(|pick| pick.index(count)).collect();
        let shares = shares(count, &bad);
        let verdict = check_shares(MESSAGE, &shares);
        prop_assert_eq!(&verdict.bad, &bad.iter().copied().collect::<Vec<_>>());
        for (index, share) in shares.iter().enumerate() {
            prop_assert_eq!(share.signature.verify(MESSAGE, &share.key), !bad.contains(&index));
        }
        prop_assert!(verdict.checks <= 1 + 2 * bad.len() * log2_up(count), "{} checks", verdict.checks);
    }
}
