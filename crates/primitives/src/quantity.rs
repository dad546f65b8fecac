//! Quantities as manifests write them: CPU in units or `m`, bytes with k…E and Ki…Ei.

use std::str::FromStr;

/// Why a quantity was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum QuantityError {
    /// Neither a number nor a number with a known suffix.
    #[error("`{0}` is no CPU quantity; write 0.5, 2 or 500m")]
    Cpu(String),
    /// Neither a number nor a number with a known suffix.
    #[error("`{0}` is no size; write bytes or a number with k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi or Ei")]
    Size(String),
    /// Zero or beyond what the chain can hold.
    #[error("`{0}` is out of range")]
    Range(String),
}

/// CPU in millicores: `500m`, `0.5`, `2`. Fractions of a millicore are rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu(pub u32);

/// A size in bytes: `512Mi`, `1.5G`, `1073741824`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl Size {
    /// Whole MiB, rounded up; at most what a 32-bit field holds.
    ///
    /// # Errors
    /// [`QuantityError::Range`] when it does not fit.
    pub fn mebibytes(self) -> Result<u32, QuantityError> {
        u32::try_from(self.0.div_ceil(1 << 20)).map_err(|_| QuantityError::Range(self.0.to_string()))
    }
}

/// A decimal in thousandths, rounded up; no sign, no exponent.
fn thousandths(text: &str) -> Option<u128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits =
        |part: &str| !part.is_empty() && part.len() <= 20 && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let kept = fraction.get(..3).unwrap_or(fraction);
    let rest = fraction.get(3..).unwrap_or("");
    let scaled: u128 = format!("{kept:0<3}").parse().ok()?;
    let up = u128::from(rest.bytes().any(|b| b != b'0'));
    Some(whole.parse::<u128>().ok()?.checked_mul(1_000)? + scaled + up)
}

impl FromStr for Cpu {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || QuantityError::Cpu(text.to_owned());
        let millis = match text.strip_suffix('m') {
            Some(millis) => thousandths(millis).ok_or_else(bad)?.div_ceil(1_000),
            None => thousandths(text).ok_or_else(bad)?,
        };
        match u32::try_from(millis) {
            Ok(0) | Err(_) => Err(QuantityError::Range(text.to_owned())),
            Ok(millis) => Ok(Self(millis)),
        }
    }
}

impl FromStr for Size {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let split = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, suffix) = text.split_at(split);
        let factor: u128 = match suffix {
            "" => 1,
            "k" | "K" => 1_000,
            "M" => 1_000_000,
            "G" => 1_000_000_000,
            "T" => 1_000_000_000_000,
            "P" => 1_000_000_000_000_000,
            "E" => 1_000_000_000_000_000_000,
            "Ki" => 1 << 10,
            "Mi" => 1 << 20,
            "Gi" => 1 << 30,
            "Ti" => 1 << 40,
            "Pi" => 1 << 50,
            "Ei" => 1 << 60,
            _ => return Err(QuantityError::Size(text.to_owned())),
        };
        let scaled = thousandths(number).ok_or_else(|| QuantityError::Size(text.to_owned()))?;
        let bytes = scaled.checked_mul(factor).map(|bytes| bytes.div_ceil(1_000));
        match bytes.and_then(|bytes| u64::try_from(bytes).ok()) {
            None | Some(0) => Err(QuantityError::Range(text.to_owned())),
            Some(bytes) => Ok(Self(bytes)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn cpu() {
        for (text, millis) in [("500m", 500), ("0.5", 500), ("2", 2_000), ("1.0001", 1_001), ("0.1m", 1)] {
            assert_eq!(text.parse::<Cpu>().unwrap(), Cpu(millis), "{text}");
        }
        for bad in ["", "m", "-1", "1 ", "1e3", "0", "99999999999"] {
            assert!(bad.parse::<Cpu>().is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("512Mi", 512 << 20), ("1.5G", 1_500_000_000), ("1024", 1024), ("1Ei", 1 << 60)]
        {
            assert_eq!(text.parse::<Size>().unwrap(), Size(bytes), "{text}");
        }
        assert_eq!("1".parse::<Size>().unwrap().mebibytes().unwrap(), 1);
        for bad in ["", "Gi", "1GiB", "-1Gi", "0Gi", "99Ei", "1..5G"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }
}
