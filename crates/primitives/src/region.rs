//! Regions: an area and a zone in 16 bits, zone low. Zero means any.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Names of the areas; an area's code is its place in this list plus one. Only ever appended to.
const AREAS: [&str; 20] = [
    "local",
    "us-east",
    "us-central",
    "us-west",
    "ca-central",
    "mx-central",
    "sa-east",
    "eu-west",
    "eu-central",
    "eu-north",
    "eu-south",
    "eu-east",
    "uk",
    "me-central",
    "af-south",
    "in-south",
    "ap-southeast",
    "ap-northeast",
    "ap-east",
    "oc-east",
];

/// Where a provider is, or where a tenant wants to be: `eu-west`, `eu-west/3` or `any`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Region(pub u16);

/// The text names no region.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no region; known are any, {list}, each with an optional /zone from 1 to 255", list = AREAS.join(", "))]
pub struct UnknownRegion(pub String);

impl Region {
    /// No preference.
    pub const ANY: Region = Region(0);

    /// The area's code; 0 is any.
    #[must_use]
    pub fn area(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// The zone within the area; 0 is any.
    #[must_use]
    pub fn zone(self) -> u8 {
        self.0 as u8
    }

    /// Names of all areas, for help and completion.
    #[must_use]
    pub fn areas() -> &'static [&'static str] {
        &AREAS
    }
}

impl FromStr for Region {
    type Err = UnknownRegion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.eq_ignore_ascii_case("any") || text.is_empty() {
            return Ok(Self::ANY);
        }
        let unknown = || UnknownRegion(text.to_owned());
        let (area, zone) = text.split_once('/').unwrap_or((text, "0"));
        let place = AREAS.iter().position(|name| name.eq_ignore_ascii_case(area)).ok_or_else(unknown)?;
        let code = u8::try_from(place + 1).map_err(|_| unknown())?;
        let zone: u8 = zone.parse().map_err(|_| unknown())?;
        Ok(Self(u16::from(code) << 8 | u16::from(zone)))
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(name) = usize::from(self.area()).checked_sub(1).map(|place| AREAS.get(place)) else {
            return f.write_str("any");
        };
        let name = name.copied().unwrap_or("unknown");
        if self.zone() == 0 { f.write_str(name) } else { write!(f, "{name}/{}", self.zone()) }
    }
}

impl TryFrom<String> for Region {
    type Error = UnknownRegion;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Region> for String {
    fn from(region: Region) -> Self {
        region.to_string()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes_agree() {
        for name in AREAS {
            let region: Region = name.parse().unwrap();
            assert_eq!(region.to_string(), name);
        }
        assert_eq!("eu-west/3".parse::<Region>().unwrap().to_string(), "eu-west/3");
        assert_eq!("any".parse::<Region>().unwrap(), Region::ANY);
        assert!("atlantis".parse::<Region>().is_err());
        assert!("eu-west/300".parse::<Region>().is_err());
    }
}
