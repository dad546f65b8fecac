//! RFC 9380's vectors, the fixtures that the contracts are tested with, and points that must be refused.
#![allow(clippy::unwrap_used)]

use alloy::hex;
use alloy::primitives::B256;
use iono_bls::{BlsError, PublicKey, SIGNATURE_DOMAIN, SecretKey, Signature, hash_to_g1};
use proptest::prelude::*;
use serde_json::Value;

const RFC9380: &str = include_str!("../../../contracts/test/verify/fixtures/rfc9380.json");
const BLST: &str = include_str!("../../../contracts/test/verify/fixtures/blst.json");

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn secret(number: u8) -> SecretKey {
    SecretKey::derive(&[number; 32])
}

#[test]
fn hashes_of_rfc_9380_appendix_j_9_1() {
    let file: Value = serde_json::from_str(RFC9380).unwrap();
    let domain = file["domain"].as_str().unwrap().as_bytes();
    let vectors = file["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 5);
    for vector in vectors {
        assert_eq!(hash_to_g1(&bytes(&vector["message"]), domain).to_vec(), bytes(&vector["point"]));
    }
    // The first one once more, straight from the RFC's page.
    let x =
        "052926add2207b76ca4fa57a8734416c8dc95e24501772c814278700eed6d1e4e8cf62d9c09db0fac349612b759e79a1";
    assert_eq!(
        hex::encode(&hash_to_g1(b"", b"QUUX-V01-CS02-with-BLS12381G1_XMD:SHA-256_SSWU_RO_")[16..64]),
        x
    );
}

#[test]
fn the_contracts_fixtures_hold_here_too() {
    let file: Value = serde_json::from_str(BLST).unwrap();
    for signed in file["signatures"].as_array().unwrap() {
        let (message, digest) = (bytes(&signed["message"]), B256::from_slice(&bytes(&signed["digest"])));
        let key = PublicKey::from_bytes(&bytes(&signed["publicKey"])).unwrap();
        let signature = Signature::from_bytes(&bytes(&signed["signature"])).unwrap();
        let possession = Signature::from_bytes(&bytes(&signed["possession"])).unwrap();
        assert!(signature.verify(&message, &key));
        assert!(key.verify_possession(&digest, &possession));
        assert!(!signature.verify(b"another", &key));
        assert!(!possession.verify(digest.as_slice(), &key), "the domains differ");
        assert_eq!(hash_to_g1(&message, SIGNATURE_DOMAIN).to_vec(), bytes(&signed["hashed"]));
        assert_eq!(key.to_bytes().to_vec(), bytes(&signed["publicKey"]));
        assert_eq!(signature.to_bytes().to_vec(), bytes(&signed["signature"]));
    }
    let aggregate = &file["aggregate"];
    let key = PublicKey::from_bytes(&bytes(&aggregate["publicKey"])).unwrap();
    assert!(
        Signature::from_bytes(&bytes(&aggregate["signature"]))
            .unwrap()
            .verify(&bytes(&aggregate["message"]), &key)
    );
    let outside = &file["outsideSubgroup"];
    assert_eq!(Signature::from_bytes(&bytes(&outside["g1"])), Err(BlsError::Subgroup));
    assert_eq!(PublicKey::from_bytes(&bytes(&outside["g2"])), Err(BlsError::Subgroup));
}

#[test]
fn the_key_of_secret_one_is_the_generator() {
    let mut one = [0; 32];
    one[31] = 1;
    let key = SecretKey::from_bytes(&one).unwrap().public_key().to_bytes();
    // x.c0 of g2, which comes first in EIP-2537's order.
    let start =
        "024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8";
    assert_eq!(hex::encode(&key[16..64]), start);
    assert!(key[..16].iter().all(|byte| *byte == 0));
}

#[test]
fn infinity_and_damaged_points_are_refused() {
    assert_eq!(PublicKey::from_bytes(&[0; 256]), Err(BlsError::Infinity));
    assert_eq!(Signature::from_bytes(&[0; 128]), Err(BlsError::Infinity));
    assert_eq!(PublicKey::from_bytes(&[0; 255]), Err(BlsError::Length { expected: 256, got: 255 }));
    let signature = secret(1).sign(b"x").to_bytes();
    for (at, expected) in [
        (0, BlsError::Field),
        (15, BlsError::Field),
        (16, BlsError::Field),
        (64, BlsError::Field),
        (127, BlsError::Curve),
    ] {
        let mut damaged = signature;
        damaged[at] ^= 0x80;
        assert_eq!(Signature::from_bytes(&damaged), Err(expected), "byte {at}");
    }
    let mut above = signature;
    // The prime itself is no field element.
    above[16..64].copy_from_slice(&hex::decode("1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab").unwrap());
    assert_eq!(Signature::from_bytes(&above), Err(BlsError::Field));
    assert_eq!(SecretKey::from_bytes(&[0; 32]).unwrap_err(), BlsError::Secret);
    assert_eq!(SecretKey::from_bytes(&[0xff; 32]).unwrap_err(), BlsError::Secret);
}

#[test]
fn keys_and_signatures_that_cancel_out_are_refused() {
    // The order of the group minus one is the negative of one.
    let minus_one = hex::decode("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000000").unwrap();
    let mut one = [0; 32];
    one[31] = 1;
    let pair = [one, minus_one.try_into().unwrap()].map(|bytes| SecretKey::from_bytes(&bytes).unwrap());
    let keys = [pair[0].public_key(), pair[1].public_key()];
    assert_eq!(PublicKey::aggregate(&keys), Err(BlsError::Infinity));
    assert_eq!(Signature::aggregate(&[pair[0].sign(b"x"), pair[1].sign(b"x")]), Err(BlsError::Infinity));
    assert_eq!(PublicKey::aggregate(&[]), Err(BlsError::Empty));
    assert_eq!(Signature::aggregate(&[]), Err(BlsError::Empty));
}

#[test]
fn secrets_are_not_shown() {
    let key = secret(5);
    let shown = format!("{key:?}");
    assert_eq!(shown, "SecretKey([hidden])");
    assert_ne!(SecretKey::generate().to_bytes(), SecretKey::generate().to_bytes());
    assert_eq!(SecretKey::from_bytes(&key.to_bytes()).unwrap().public_key(), key.public_key());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_signed_verifies_and_nothing_else(material: [u8; 32], message: Vec<u8>, other: Vec<u8>) {
        let key = SecretKey::derive(&material);
        let (public, signature) = (key.public_key(), key.sign(&message));
        prop_assert!(signature.verify(&message, &public));
        prop_assert_eq!(signature.verify(&other, &public), message == other);
        prop_assert!(!signature.verify(&message, &secret(200).public_key()));
        prop_assert_eq!(PublicKey::from_bytes(&public.to_bytes()), Ok(public));
        prop_assert_eq!(Signature::from_bytes(&signature.to_bytes()), Ok(signature));
    }

    #[test]
    fn aggregates_need_every_signer(signers in 2u8..8, message: Vec<u8>) {
        let secrets: Vec<SecretKey> = (0..signers).map(secret).collect();
        let keys: Vec<PublicKey> = secrets.iter().map(SecretKey::public_key).collect();
        let signatures: Vec<Signature> = secrets.iter().map(|secret| secret.sign(&message)).collect();
        let all = Signature::aggregate(&signatures).unwrap();
        prop_assert!(all.verify(&message, &PublicKey::aggregate(&keys).unwrap()));
        prop_assert!(!all.verify(&message, &PublicKey::aggregate(&keys[1..]).unwrap()));
        prop_assert!(!Signature::aggregate(&signatures[1..]).unwrap().verify(&message, &PublicKey::aggregate(&keys).unwrap()));
    }

    #[test]
    fn arbitrary_bytes_are_no_points(bytes in prop::collection::vec(any::<u8>(), 128)) {
        prop_assert!(Signature::from_bytes(&bytes).is_err());
    }
}
