//! BLS12-381 signatures of operators and Slark nodes, on `blst`: signatures in G1, keys in G2 ("min-sig"), in the
//! encoding of EIP-2537 that `contracts/src/verify/BlsVerifier.sol` reads.
//!
//! A key enters an aggregate only after its proof of possession, or a rogue key could speak for others. Infinity is
//! refused everywhere: the pairing takes it for valid.

mod encoding;
mod key;
mod shares;
mod signature;

pub use encoding::{G1_BYTES, G2_BYTES};
pub use key::{PublicKey, SecretKey};
pub use shares::{Share, Verdict, check_shares};
pub use signature::{Signature, hash_to_g1};

/// Domain of messages; `BlsVerifier.SIGNATURE_DOMAIN`.
pub const SIGNATURE_DOMAIN: &[u8] = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";
/// Domain of proofs of possession; `BlsVerifier.POSSESSION_DOMAIN`.
pub const POSSESSION_DOMAIN: &[u8] = b"BLS_POP_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";

/// Why bytes or keys are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlsError {
    /// Another length than the encoding's.
    #[error("a point has {expected} bytes here, not {got}")]
    Length {
        /// Bytes of the encoding.
        expected: usize,
        /// Bytes that were given.
        got: usize,
    },
    /// The 16 bytes before a coordinate are not zero, or the coordinate is not below the prime.
    #[error("a coordinate is no field element")]
    Field,
    /// The point is not on the curve.
    #[error("the point is not on the curve")]
    Curve,
    /// The point is outside the prime-order subgroup.
    #[error("the point is outside the subgroup")]
    Subgroup,
    /// The point at infinity, which would verify anything.
    #[error("the point at infinity is refused")]
    Infinity,
    /// No scalar between 1 and the group's order.
    #[error("no secret key: it must be between 1 and the order of the group")]
    Secret,
    /// Nothing to aggregate.
    #[error("nothing to aggregate")]
    Empty,
}
