//! Attribute tiers (SP-5): what a provider's record says of it and what an order asks for, in the 14 bits that
//! `contracts/src/lib/Types.sol` lays out: compute 2 | storage 2 | gpu 4 | connectivity 3 | compliance 3.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::resources::StorageClass;

/// Bit at which the compliance mask begins.
const COMPLIANCE: u32 = 11;

/// The ordinal fields: name, lowest bit, mask. A provider meets an order when each of its fields is at least the order's.
pub const ORDINAL: [(&str, u32, u32); 4] =
    [("compute", 0, 3), ("storage", 2, 3), ("GPU", 4, 15), ("connectivity", 8, 7)];

/// The word names none of the tiers.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is none of {}", known.join(", "))]
pub struct UnknownTier {
    text: String,
    known: &'static [&'static str],
}

/// Defines an enum of tiers from its words, with the stored numbers counted from one.
macro_rules! tiers {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "&'static str")]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// All words, the lowest first.
            pub const NAMES: &'static [&'static str] = &[$($text,)*];
            const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stored number, from 1 on.
            #[must_use]
            pub fn code(self) -> u32 {
                self as u32 + 1
            }

            /// What the stored number stands for; `None` for 0 and unknown ones.
            #[must_use]
            pub fn from_code(code: u32) -> Option<Self> {
                Self::ALL.get((code as usize).checked_sub(1)?).copied()
            }
        }

        impl FromStr for $name {
            type Err = UnknownTier;
            fn from_str(text: &str) -> Result<Self, UnknownTier> {
                let place = Self::NAMES.iter().position(|name| name.eq_ignore_ascii_case(text));
                // Of a stranger's word only what a terminal shows harmlessly.
                let shown = || text.chars().take(60).flat_map(char::escape_debug).collect();
                let unknown = || UnknownTier { text: shown(), known: Self::NAMES };
                place.map(|place| Self::ALL[place]).ok_or_else(unknown)
            }
        }

        impl TryFrom<String> for $name {
            type Error = UnknownTier;
            fn try_from(text: String) -> Result<Self, UnknownTier> {
                text.parse()
            }
        }

        impl From<$name> for &'static str {
            fn from(tier: $name) -> Self {
                $name::NAMES[tier as usize]
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str((*self).into())
            }
        }
    };
}

tiers! {
    /// How much a machine computes.
    Compute {
        /// The floor: any machine.
        Basic = "basic",
        /// General purpose: a score of 20,000 or more than 48 threads.
        General = "general",
        /// High performance: a score above 50,000.
        Hpc = "hpc",
    }
}

tiers! {
    /// How fast a machine's line is, down/up in Mbit/s.
    Connectivity {
        /// The floor: any line.
        Low = "low",
        /// From 100/75 on.
        Medium = "medium",
        /// From 500/400 on.
        High = "high",
        /// From 5000/5000 on.
        Ultra = "ultra",
    }
}

tiers! {
    /// A standard that the operation is audited for; each is a bit of its own.
    Compliance {
        /// SOC 2.
        Soc2 = "soc2",
        /// HIPAA.
        Hipaa = "hipaa",
        /// GDPR.
        Gdpr = "gdpr",
    }
}

/// All tiers of a provider, or all that an order asks for. What is left out says nothing, or asks for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Attributes {
    /// Compute tier.
    pub compute: Option<Compute>,
    /// Disk class.
    pub storage: StorageClass,
    /// GPU tier, 1 to 10 (`GpuModel::tier`); 0 without.
    pub gpu: u8,
    /// Connectivity tier.
    pub connectivity: Option<Connectivity>,
    /// Standards.
    pub compliance: BTreeSet<Compliance>,
}

impl Compute {
    /// The tier of a measured score (SP-5).
    #[must_use]
    pub fn of(score: u32, threads: u32) -> Self {
        match score {
            50_001.. => Self::Hpc,
            ..20_000 if threads <= 48 => Self::Basic,
            _ => Self::General,
        }
    }
}

impl Attributes {
    /// The stored bits.
    #[must_use]
    pub fn word(&self) -> u32 {
        let ordinal = [
            self.compute.map_or(0, Compute::code),
            self.storage as u32,
            self.gpu.into(),
            self.connectivity.map_or(0, Connectivity::code),
        ];
        let ordinal = ORDINAL.iter().zip(ordinal).map(|((_, shift, mask), code)| (code & mask) << shift);
        let compliance = self.compliance.iter().map(|standard| 1 << (COMPLIANCE + standard.code() - 1));
        ordinal.chain(compliance).fold(0, |word, bits| word | bits)
    }

    /// Reads stored bits; a number that stands for no tier is read as none.
    #[must_use]
    pub fn read(word: u32) -> Self {
        let [compute, storage, gpu, connectivity] = ORDINAL.map(|(_, shift, mask)| word >> shift & mask);
        let has = |standard: &&Compliance| word >> (COMPLIANCE + standard.code() - 1) & 1 != 0;
        Self {
            compute: Compute::from_code(compute),
            storage: StorageClass::from_code(storage as u8).unwrap_or_default(),
            gpu: gpu as u8,
            connectivity: Connectivity::from_code(connectivity),
            compliance: Compliance::ALL.iter().filter(has).copied().collect(),
        }
    }

    /// The standards that `wanted`'s bits ask for and `has`'s lack.
    #[must_use]
    pub fn missing_compliance(wanted: u32, has: u32) -> Vec<Compliance> {
        let has = Self::read(has).compliance;
        Self::read(wanted).compliance.into_iter().filter(|standard| !has.contains(standard)).collect()
    }
}

impl fmt::Display for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = Vec::new();
        parts.extend(self.compute.map(|tier| format!("compute {tier}")));
        parts.extend((self.storage != StorageClass::Any).then(|| format!("storage {}", self.storage)));
        parts.extend((self.gpu > 0).then(|| format!("GPU tier {}", self.gpu)));
        parts.extend(self.connectivity.map(|tier| format!("connectivity {tier}")));
        parts.extend(self.compliance.iter().map(|standard| format!("compliance {standard}")));
        if parts.is_empty() { f.write_str("none") } else { f.write_str(&parts.join(", ")) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_and_bits_are_those_of_the_contracts() {
        let full = Attributes {
            compute: Some(Compute::General),
            storage: StorageClass::Nvme,
            gpu: 9,
            connectivity: Some(Connectivity::High),
            compliance: [Compliance::Gdpr, Compliance::Soc2].into(),
        };
        assert_eq!(full.word(), 0b101 << 11 | 3 << 8 | 9 << 4 | 3 << 2 | 2);
        let shown =
            "compute general, storage nvme, GPU tier 9, connectivity high, compliance soc2, compliance gdpr";
        assert_eq!(full.to_string(), shown);
        assert_eq!((Attributes::default().word(), Attributes::default().to_string()), (0, "none".to_owned()));
        assert_eq!("HPC".parse(), Ok(Compute::Hpc));
        let unknown = "fast".parse::<Connectivity>().unwrap_err().to_string();
        assert_eq!(unknown, "`fast` is none of low, medium, high, ultra");
        assert_eq!(Attributes::missing_compliance(0b110 << 11, 0b010 << 11), [Compliance::Gdpr]);
    }

    proptest! {
        #[test]
        fn what_stands_for_tiers_is_read_back(word in 0u32..1 << 14) {
            prop_assume!(word >> 8 & 7 <= 4);
            prop_assert_eq!(Attributes::read(word).word(), word);
        }
    }
}
