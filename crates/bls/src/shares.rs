//! Shares: signatures of many operators over one message, checked together (SP-14).
//!
//! With a secret random factor rᵢ per share, Σ rᵢ·signatureᵢ is the signature of Σ rᵢ·keyᵢ exactly when every share holds,
//! but for a chance of 2⁻⁶³: two pairings for any number of shares. When that fails, halves are checked the same way.

use blst::MultiPoint;
use blst::min_sig::{PublicKey as BlstKey, Signature as BlstSignature};
use rand::TryRngCore;
use rand::rngs::OsRng;

use crate::{PublicKey, Signature};

/// Bytes of a factor, which is odd: a false share passes once in 2^63.
const FACTOR_BYTES: usize = 8;

/// One operator's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Whose it is; its possession was proved.
    pub key: PublicKey,
    /// Over the message that all shares are checked for.
    pub signature: Signature,
}

/// What a check of many shares found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Indices of the shares that do not hold, lowest first.
    pub bad: Vec<usize>,
    /// Pairing checks that it took: one when none is bad, at most 2·⌈log₂ n⌉ more for each that is.
    pub checks: usize,
}

/// Finds the shares that are no signature of `message` by their key.
///
/// # Panics
/// When the system has no randomness to give.
#[must_use]
pub fn check_shares(message: &[u8], shares: &[Share]) -> Verdict {
    let mut verdict = Verdict::default();
    if shares.is_empty() {
        return verdict;
    }
    let batch = Batch::new(message, shares);
    // Ranges in order of their start, the next one last; `true`: known to hold a bad share, so that it needs no check.
    let mut ranges = vec![(0, shares.len(), false)];
    while let Some((from, to, known)) = ranges.pop() {
        if !known {
            verdict.checks += 1;
            if batch.holds(from, to) {
                continue;
            }
        }
        if to - from == 1 {
            verdict.bad.push(from);
            continue;
        }
        let middle = from.midpoint(to);
        verdict.checks += 1;
        if batch.holds(from, middle) {
            ranges.push((middle, to, true));
        } else {
            ranges.push((middle, to, false));
            ranges.push((from, middle, true));
        }
    }
    verdict
}

struct Batch<'a> {
    message: &'a [u8],
    keys: Vec<BlstKey>,
    signatures: Vec<BlstSignature>,
    /// Little-endian, `FACTOR_BYTES` each.
    factors: Vec<u8>,
}

impl<'a> Batch<'a> {
    fn new(message: &'a [u8], shares: &[Share]) -> Self {
        let mut factors = vec![0; shares.len() * FACTOR_BYTES];
        OsRng.try_fill_bytes(&mut factors).expect("the system gives randomness");
        // A factor of zero would wave its share through.
        factors.iter_mut().step_by(FACTOR_BYTES).for_each(|low| *low |= 1);
        Self {
            message,
            keys: shares.iter().map(|share| share.key.0).collect(),
            signatures: shares.iter().map(|share| share.signature.0).collect(),
            factors,
        }
    }

    fn holds(&self, from: usize, to: usize) -> bool {
        let factors = &self.factors[from * FACTOR_BYTES..to * FACTOR_BYTES];
        let key = self.keys[from..to].mult(factors, 8 * FACTOR_BYTES);
        let signature = self.signatures[from..to].mult(factors, 8 * FACTOR_BYTES);
        Signature(signature.to_signature()).verify(self.message, &PublicKey(key.to_public_key()))
    }
}
