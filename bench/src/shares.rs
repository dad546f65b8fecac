//! Verifying and aggregating the shares of a quorum, against `blst`'s own batch verification and additions on the same
//! data, on one thread. Time on the core is counted, so that a busy machine does not matter.

use std::hint::black_box;

use alloy::primitives::keccak256;
use anyhow::{Context, Result, ensure};
use blst::min_sig::{
    AggregateSignature, PublicKey as BlstKey, SecretKey as BlstSecret, Signature as BlstSignature,
};
use blst::{BLST_ERROR, blst_scalar};
use iono_bls::{PublicKey, SIGNATURE_DOMAIN, Share, Signature, Verdict, check_shares};

use crate::figure::Figure;
use crate::stats::{in_turns, median, thread_time};

const SHARES: usize = 1_000;
/// A third of them.
const MANY_BAD: usize = 333;
const RUNS: usize = 7;
/// Bits of the factors on both sides.
const FACTOR_BITS: usize = 64;

/// Measures on the thread that calls.
pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let message = keccak256("root of a batch of matches");
    let shares = Shares::sign(message.as_slice(), 0)?;
    let (ours, blst) = in_turns(
        RUNS,
        async || timed(|| shares.check_and_add(message.as_slice())),
        async || timed(|| shares.check_and_add_by_blst(message.as_slice())),
    )
    .await?;
    let (ours, blst) = (median(&ours), median(&blst));
    let ratio = Figure::new(
        "shares_ratio",
        format!("{SHARES} shares verified and added, against blst's batch"),
        ours / blst,
        "times",
    );
    let mut figures = vec![ratio.at_most(1.2)];
    for (bad, checks, seconds) in [
        (1, "shares_1_bad_checks", "shares_1_bad_ratio"),
        (MANY_BAD, "shares_333_bad_checks", "shares_333_bad_ratio"),
    ] {
        let shares = Shares::sign(message.as_slice(), bad)?;
        let mut verdict = Verdict::default();
        let spent = timed(|| {
            verdict = check_shares(message.as_slice(), &shares.ours);
            Ok(())
        })?;
        ensure!(verdict.bad.len() == bad, "{} bad shares were found, not {bad}", verdict.bad.len());
        let what = format!("pairing checks to find {bad} bad of {SHARES} shares");
        figures.push(Figure::new(checks, what, count(verdict.checks), "checks").at_most(most_checks(bad)));
        let what = format!("finding {bad} bad of {SHARES} shares, against blst's batch with none bad");
        figures.push(Figure::new(seconds, what, spent / blst, "times"));
    }
    Ok(figures)
}

/// Two for each halving on the way to each bad share, and the first.
fn most_checks(bad: usize) -> f64 {
    count(1 + 2 * bad * SHARES.next_power_of_two().trailing_zeros() as usize)
}

#[allow(clippy::cast_precision_loss)] // far below 2^52
fn count(number: usize) -> f64 {
    number as f64
}

/// Seconds of this thread on a core.
fn timed(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = thread_time()?;
    work()?;
    Ok(thread_time()?.saturating_sub(start).as_secs_f64())
}

/// The same shares for both sides.
struct Shares {
    ours: Vec<Share>,
    keys: Vec<BlstKey>,
    signatures: Vec<BlstSignature>,
    factors: Vec<blst_scalar>,
}

impl Shares {
    /// The first `bad` of every three sign another message.
    fn sign(message: &[u8], bad: usize) -> Result<Self> {
        let mut shares = Self { ours: vec![], keys: vec![], signatures: vec![], factors: vec![] };
        for index in 0..SHARES {
            let material = keccak256(index.to_be_bytes());
            let secret = BlstSecret::key_gen(material.as_slice(), &[]).ok().context("no key")?;
            let is_bad = index % 3 == 0 && index / 3 < bad;
            let message = if is_bad { b"another".as_slice() } else { message };
            let ours = iono_bls::SecretKey::derive(&material.0);
            shares.ours.push(Share { key: ours.public_key(), signature: ours.sign(message) });
            shares.keys.push(secret.sk_to_pk());
            shares.signatures.push(secret.sign(message, SIGNATURE_DOMAIN, &[]));
            let mut factor = blst_scalar::default();
            factor.b[..FACTOR_BITS / 8].copy_from_slice(&keccak256(material)[..FACTOR_BITS / 8]);
            shares.factors.push(factor);
        }
        Ok(shares)
    }

    fn check_and_add(&self, message: &[u8]) -> Result<()> {
        ensure!(check_shares(message, &self.ours).bad.is_empty(), "a good share was refused");
        let signatures: Vec<Signature> = self.ours.iter().map(|share| share.signature).collect();
        let keys: Vec<PublicKey> = self.ours.iter().map(|share| share.key).collect();
        black_box((Signature::aggregate(&signatures)?, PublicKey::aggregate(&keys)?));
        Ok(())
    }

    fn check_and_add_by_blst(&self, message: &[u8]) -> Result<()> {
        let messages = vec![message; SHARES];
        let keys: Vec<&BlstKey> = self.keys.iter().collect();
        let signatures: Vec<&BlstSignature> = self.signatures.iter().collect();
        let verdict = BlstSignature::verify_multiple_aggregate_signatures(
            &messages,
            SIGNATURE_DOMAIN,
            &keys,
            false,
            &signatures,
            false,
            &self.factors,
            FACTOR_BITS,
        );
        ensure!(verdict == BLST_ERROR::BLST_SUCCESS, "blst refused a good share");
        let sum = AggregateSignature::aggregate(&signatures, false).ok().context("nothing to add")?;
        let key =
            blst::min_sig::AggregatePublicKey::aggregate(&keys, false).ok().context("nothing to add")?;
        black_box((sum.to_signature(), key.to_public_key()));
        Ok(())
    }
}
