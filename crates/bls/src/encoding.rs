//! EIP-2537's encoding: every coordinate is 16 zero bytes and 48 bytes big-endian; in G2 the real part comes first, while
//! `blst` (and the ZCash encoding) puts the imaginary part first.

use crate::BlsError;

/// Bytes of a point in G1: x, y.
pub const G1_BYTES: usize = 128;
/// Bytes of a point in G2: x.c0, x.c1, y.c0, y.c1.
pub const G2_BYTES: usize = 256;

const FIELD: usize = 48;
const PADDED: usize = 64;
/// Order of `blst`'s coordinates in EIP-2537's places: x, y.
const G1_ORDER: [usize; 2] = [0, 1];
/// x.c1, x.c0, y.c1, y.c0 become x.c0, x.c1, y.c0, y.c1.
const G2_ORDER: [usize; 4] = [1, 0, 3, 2];

/// From `blst`'s uncompressed form, which is never infinity here.
pub(crate) fn pad_g1(blst: &[u8; 2 * FIELD]) -> [u8; G1_BYTES] {
    let mut bytes = [0; G1_BYTES];
    pad(blst, &G1_ORDER, &mut bytes);
    bytes
}

/// From `blst`'s uncompressed form, which is never infinity here.
pub(crate) fn pad_g2(blst: &[u8; 4 * FIELD]) -> [u8; G2_BYTES] {
    let mut bytes = [0; G2_BYTES];
    pad(blst, &G2_ORDER, &mut bytes);
    bytes
}

/// To `blst`'s uncompressed form.
pub(crate) fn strip_g1(bytes: &[u8]) -> Result<[u8; 2 * FIELD], BlsError> {
    let mut blst = [0; 2 * FIELD];
    strip(bytes, &G1_ORDER, &mut blst)?;
    Ok(blst)
}

/// To `blst`'s uncompressed form.
pub(crate) fn strip_g2(bytes: &[u8]) -> Result<[u8; 4 * FIELD], BlsError> {
    let mut blst = [0; 4 * FIELD];
    strip(bytes, &G2_ORDER, &mut blst)?;
    Ok(blst)
}

fn pad(blst: &[u8], order: &[usize], bytes: &mut [u8]) {
    for (place, from) in bytes.chunks_exact_mut(PADDED).zip(order) {
        place[PADDED - FIELD..].copy_from_slice(&blst[from * FIELD..(from + 1) * FIELD]);
    }
}

fn strip(bytes: &[u8], order: &[usize], blst: &mut [u8]) -> Result<(), BlsError> {
    let expected = order.len() * PADDED;
    if bytes.len() != expected {
        return Err(BlsError::Length { expected, got: bytes.len() });
    }
    if bytes.iter().all(|byte| *byte == 0) {
        return Err(BlsError::Infinity);
    }
    for (place, to) in bytes.chunks_exact(PADDED).zip(order) {
        let (zeroes, coordinate) = place.split_at(PADDED - FIELD);
        // The three high bits are flags in `blst`'s form; the prime has 381 bits, so that no field element sets them.
        if zeroes.iter().any(|byte| *byte != 0) || coordinate[0] & 0xe0 != 0 {
            return Err(BlsError::Field);
        }
        blst[to * FIELD..(to + 1) * FIELD].copy_from_slice(coordinate);
    }
    Ok(())
}
