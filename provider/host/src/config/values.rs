//! Values as people write them: dollars, cores, sizes, durations and port ranges; a number and its text are the same.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use alloy::primitives::U256;
use iono_primitives::money::{format_decimal, parse_decimal};
use iono_primitives::quantity::{Cpu, QuantityError, Size};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A decimal with up to 18 digits after the point, held in units of 1e-18: dollars, or whole native tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Dollars(pub U256);

/// Millicores; written `0.5`, `2` or `500m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Cores(pub u32);

/// MiB; written `512Mi`, `1.5G` or bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Mebibytes(pub u32);

/// A duration; written `90s`, `15m`, `30d` or seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub Duration);

/// A range of ports, both ends included; written `30000-32767`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    /// The lowest port.
    pub first: u16,
    /// The highest port.
    pub last: u16,
}

impl Dollars {
    /// A whole number of them.
    #[must_use]
    pub fn whole(number: u64) -> Self {
        Self(U256::from(number) * U256::from(10_u64.pow(18)))
    }

    /// Reads a decimal such as `0.05`.
    ///
    /// # Errors
    /// The text is no decimal number with at most 18 digits after the point.
    pub fn parse(text: &str) -> Result<Self, iono_primitives::money::MoneyError> {
        let amount = parse_decimal(text, 18)?;
        // Far beyond any price; keeps every product of a price and a quantity within 256 bits.
        if amount >> 128_usize != U256::ZERO {
            return Err(iono_primitives::money::MoneyError::TooLarge(text.to_owned()));
        }
        Ok(Self(amount))
    }
}

impl Seconds {
    /// Whole seconds.
    #[must_use]
    pub const fn secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
    /// Milliseconds.
    #[must_use]
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }
}

/// Whether a quantity that is out of range is too small: nothing at all is a setting, though no order.
fn is_zero(text: &str) -> bool {
    text.bytes().filter(u8::is_ascii_digit).all(|digit| digit == b'0')
}

impl FromStr for Dollars {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| error.to_string())
    }
}
impl FromStr for Cores {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<Cpu>() {
            Ok(cpu) => Ok(Self(cpu.0)),
            Err(QuantityError::Range(_)) if is_zero(text) => Ok(Self(0)),
            Err(error) => Err(error.to_string()),
        }
    }
}
impl FromStr for Mebibytes {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<Size>().and_then(Size::mebibytes) {
            Ok(mebibytes) => Ok(Self(mebibytes)),
            Err(QuantityError::Range(_)) if is_zero(text) => Ok(Self(0)),
            Err(error) => Err(error.to_string()),
        }
    }
}
impl FromStr for Seconds {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(seconds) = text.parse::<u64>() {
            return Ok(Self::secs(seconds));
        }
        let wrong = |_| format!("`{text}` is no duration; write seconds or a number with ms, s, m, h or d");
        humantime::parse_duration(text).map(Self).map_err(wrong)
    }
}
impl FromStr for PortRange {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no port range; write 30000-32767");
        let (first, last) = text.split_once('-').ok_or_else(wrong)?;
        let range = Self {
            first: first.trim().parse().map_err(|_| wrong())?,
            last: last.trim().parse().map_err(|_| wrong())?,
        };
        if range.first == 0 || range.first > range.last { Err(wrong()) } else { Ok(range) }
    }
}

impl fmt::Display for Dollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_decimal(self.0, 18))
    }
}
impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}m", self.0)
    }
}
impl fmt::Display for Mebibytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}Mi", self.0)
    }
}
impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}
impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// Reads text, integers and floats alike through `FromStr`; a float's shortest text is what was written.
struct Written<T>(std::marker::PhantomData<T>);

impl<T: FromStr<Err = String>> Visitor<'_> for Written<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a quoted quantity")
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

macro_rules! written {
    ($($name:ident),*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Written(std::marker::PhantomData))
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}
written!(Dollars, Cores, Mebibytes, Seconds, PortRange);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!("0.05".parse::<Dollars>().unwrap().to_string(), "0.05");
        assert_eq!("1.5".parse::<Cores>().unwrap(), Cores(1_500));
        assert_eq!("1500m".parse::<Cores>().unwrap().to_string(), "1500m");
        assert_eq!("2Gi".parse::<Mebibytes>().unwrap().to_string().parse(), Ok(Mebibytes(2_048)));
        assert_eq!("90".parse::<Seconds>().unwrap(), Seconds::secs(90));
        assert_eq!("30d".parse::<Seconds>().unwrap(), Seconds::secs(30 * 86_400));
        assert_eq!("500ms".parse::<Seconds>().unwrap(), Seconds::millis(500));
        assert_eq!("1000-2000".parse::<PortRange>().unwrap().to_string(), "1000-2000");
        for bad in ["2000-1000", "0-5", "5", "a-b", "1-70000"] {
            assert!(bad.parse::<PortRange>().is_err(), "{bad}");
        }
        for zero in ["0", "0m", "0.0", "0.000m"] {
            assert_eq!(zero.parse(), Ok(Cores(0)), "{zero}");
        }
        for zero in ["0", "0Mi", "0.0Gi"] {
            assert_eq!(zero.parse(), Ok(Mebibytes(0)), "{zero}");
        }
        for bad in ["", "m", "-0", "99999999999Gi", "0x"] {
            assert!(bad.parse::<Cores>().is_err() && bad.parse::<Mebibytes>().is_err(), "{bad}");
        }
        assert!("-1".parse::<Dollars>().is_err());
        assert!("1e40".parse::<Dollars>().is_err());
    }

    #[test]
    fn numbers_and_text_are_the_same_in_toml() {
        #[derive(Deserialize)]
        struct Two {
            a: Dollars,
            b: Dollars,
        }
        let two: Two = toml::from_str("a = 0.015\nb = \"0.015\"").unwrap();
        assert_eq!(two.a, two.b);
    }
}
