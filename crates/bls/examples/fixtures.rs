//! Prints signatures as JSON in the form of `contracts/test/verify/fixtures/blst.json`:
//! `cargo run -p iono-bls --example fixtures > contracts/test/verify/fixtures/blst.json`
#![allow(clippy::print_stdout)]

use alloy::hex::encode_prefixed;
use alloy::primitives::keccak256;
use iono_bls::{BlsError, PublicKey, SIGNATURE_DOMAIN, SecretKey, Signature, hash_to_g1};
use serde_json::{Value, json};

/// Signed messages; the empty one first.
const SIGNATURES: u8 = 12;
/// Signers of the aggregate.
const SIGNERS: u8 = 5;

fn main() -> Result<(), BlsError> {
    let signatures: Vec<Value> = (0..SIGNATURES).map(signed).collect();
    let message = b"one result, many signers";
    let secrets: Vec<SecretKey> = (0..SIGNERS).map(|number| SecretKey::derive(&[number + 100; 32])).collect();
    let keys: Vec<PublicKey> = secrets.iter().map(SecretKey::public_key).collect();
    let parts: Vec<Signature> = secrets.iter().map(|secret| secret.sign(message)).collect();
    let file = json!({
        "signatures": signatures,
        "aggregate": {
            "publicKey": encode_prefixed(PublicKey::aggregate(&keys)?.to_bytes()),
            "message": encode_prefixed(message),
            "signature": encode_prefixed(Signature::aggregate(&parts)?.to_bytes()),
        },
        "outsideSubgroup": {
            "g1": encode_prefixed(outside(128, |bytes| Signature::from_bytes(bytes).err())),
            "g2": encode_prefixed(outside(256, |bytes| PublicKey::from_bytes(bytes).err())),
        },
    });
    println!("{file:#}");
    Ok(())
}

fn signed(number: u8) -> Value {
    let secret = SecretKey::derive(&[number + 1; 32]);
    let message: Vec<u8> = (0..u8::saturating_mul(number, 17)).collect();
    let digest = keccak256(&message);
    json!({
        "publicKey": encode_prefixed(secret.public_key().to_bytes()),
        "message": encode_prefixed(&message),
        "signature": encode_prefixed(secret.sign(&message).to_bytes()),
        "digest": digest.to_string(),
        "possession": encode_prefixed(secret.prove_possession(&digest).to_bytes()),
        "hashed": encode_prefixed(hash_to_g1(&message, SIGNATURE_DOMAIN)),
    })
}

/// A point on the curve but outside the subgroup: those with a small x, of which about every second lies on the curve
/// and hardly any in the subgroup. `blst` finds the y.
fn outside(length: usize, error: impl Fn(&[u8]) -> Option<BlsError>) -> Vec<u8> {
    let points = (1..=u8::MAX).filter_map(|x| {
        let mut compressed = vec![0; length * 3 / 8];
        compressed[0] = 0x80;
        *compressed.last_mut()? = x;
        let plain = if length == 128 {
            blst::min_sig::Signature::uncompress(&compressed).ok()?.serialize().to_vec()
        } else {
            blst::min_sig::PublicKey::uncompress(&compressed).ok()?.serialize().to_vec()
        };
        // EIP-2537: 16 zero bytes before each coordinate, the real part first.
        let mut coordinates: Vec<&[u8]> = plain.chunks_exact(48).collect();
        if length == 256 {
            coordinates.swap(0, 1);
            coordinates.swap(2, 3);
        }
        Some(coordinates.into_iter().flat_map(|part| [&[0; 16], part].concat()).collect::<Vec<u8>>())
    });
    points.into_iter().find(|bytes| error(bytes) == Some(BlsError::Subgroup)).unwrap_or_default()
}
