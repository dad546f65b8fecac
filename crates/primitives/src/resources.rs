//! What a lease may use: the totals that stand in an order's word and the groups that a provider packs onto nodes.
//! `contracts/src/lib/Types.sol` has the bit layout of both.

use std::fmt;
use std::str::FromStr;

use alloy::primitives::U256;
use serde::{Deserialize, Serialize};

/// Disk classes, slowest first (SP-5); `Any` asks for none in particular.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StorageClass {
    /// No preference.
    #[default]
    Any = 0,
    /// Spinning disk.
    Hdd = 1,
    /// Solid state behind SATA or SAS.
    Ssd = 2,
    /// Solid state on PCIe.
    Nvme = 3,
}

impl StorageClass {
    /// The stored number, if it is one of these.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Any, Self::Hdd, Self::Ssd, Self::Nvme].get(usize::from(code)).copied()
    }
}

impl fmt::Display for StorageClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(["any", "hdd", "ssd", "nvme"][*self as usize])
    }
}

/// A GPU model as the chain carries it: at most 16 bytes of lower-case ASCII, such as `h100` or `rtx4090`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GpuModel([u8; 16]);

/// The name does not fit.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no GPU model: at most 16 of a-z, 0-9 and -")]
pub struct BadGpuModel(pub String);

impl GpuModel {
    /// Any model.
    pub const ANY: GpuModel = GpuModel([0; 16]);

    /// The name; empty for any.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|b| *b == 0).unwrap_or(16);
        std::str::from_utf8(&self.0[..end]).unwrap_or("")
    }

    /// The bytes as in the resources word.
    #[must_use]
    pub fn bytes(&self) -> [u8; 16] {
        self.0
    }
}

impl FromStr for GpuModel {
    type Err = BadGpuModel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.to_ascii_lowercase();
        let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if text.len() > 16 || !text.bytes().all(known) {
            return Err(BadGpuModel(text));
        }
        let mut bytes = [0; 16];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for GpuModel {
    type Error = BadGpuModel;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<GpuModel> for String {
    fn from(model: GpuModel) -> Self {
        model.as_str().to_owned()
    }
}

/// Totals over all services and replicas of a lease; the `Resources` word of the contracts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Resources {
    /// Millicores.
    pub cpu: u32,
    /// MiB.
    pub memory: u32,
    /// MiB, ephemeral and persistent together.
    pub storage: u32,
    /// Number of GPUs.
    pub gpus: u8,
    /// The contracts' GPU tier, 1–10 ([`GpuModel::tier`]); 0 without GPUs.
    pub gpu_tier: u8,
    /// The fastest class that any volume asks for.
    pub storage_class: StorageClass,
    /// Ports exposed to the outside.
    pub endpoints: u8,
    /// The model that all GPUs must have; [`GpuModel::ANY`] when open.
    pub gpu_model: GpuModel,
}

impl Resources {
    /// The coarse size that the chain counts capacity in: the largest of CPU cores, memory in 4 GiB and storage in
    /// 64 GiB steps, at least one.
    #[must_use]
    pub fn units(&self) -> u32 {
        let steps = [self.cpu.div_ceil(1_000), self.memory.div_ceil(4_096), self.storage.div_ceil(65_536), 1];
        steps.into_iter().fold(1, u32::max)
    }

    /// The packed word.
    #[must_use]
    pub fn word(&self) -> U256 {
        let model = u128::from_be_bytes(self.gpu_model.bytes());
        U256::from(self.cpu)
            | U256::from(self.memory) << 32
            | U256::from(self.storage) << 64
            | U256::from(self.gpus) << 96
            | U256::from(self.gpu_tier) << 104
            | U256::from(self.storage_class as u8) << 112
            | U256::from(self.endpoints) << 120
            | U256::from(model) << 128
    }

    /// Reads a packed word; `None` when its storage class or GPU model is malformed, as a hostile order's may be.
    #[must_use]
    pub fn from_word(word: U256) -> Option<Self> {
        let field = |shift: usize, bits: usize| -> u32 {
            let masked: U256 = (word >> shift) & ((U256::from(1) << bits) - U256::from(1));
            masked.to::<u32>()
        };
        let byte = |shift: usize| field(shift, 8) as u8;
        let model = (word >> 128_usize).to::<u128>().to_be_bytes();
        let end = model.iter().position(|b| *b == 0).unwrap_or(16);
        if model[end..].iter().any(|b| *b != 0) {
            return None;
        }
        Some(Self {
            cpu: field(0, 32),
            memory: field(32, 32),
            storage: field(64, 32),
            gpus: byte(96),
            gpu_tier: byte(104),
            storage_class: StorageClass::from_code(byte(112))?,
            endpoints: byte(120),
            gpu_model: std::str::from_utf8(&model[..end]).ok()?.parse().ok()?,
        })
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cpu, memory, storage) = (f64::from(self.cpu) / 1e3, self.memory, self.storage);
        write!(f, "{cpu} CPU, {memory} MiB memory, {storage} MiB storage")?;
        if self.gpus > 0 {
            write!(f, ", {} GPU {}", self.gpus, self.gpu_model.as_str())?;
        }
        Ok(())
    }
}

/// One service's replicas as an order's event carries them: 16 bytes, big-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Group {
    /// Replicas.
    pub count: u16,
    /// Millicores per replica; 24 bits.
    pub cpu: u32,
    /// MiB per replica; 24 bits.
    pub memory: u32,
    /// MiB of disk that goes with the container, per replica; 24 bits.
    pub ephemeral: u32,
    /// MiB of volumes that outlive the container, per replica; 24 bits.
    pub persistent: u32,
    /// GPUs per replica.
    pub gpus: u8,
    /// The class that its volumes ask for.
    pub storage_class: StorageClass,
}

impl Group {
    /// The largest value of a 24-bit field.
    pub const FIELD_MAX: u32 = (1 << 24) - 1;
    /// Most services that an order may carry.
    pub const MAX: usize = 12;

    /// Packs groups for `Spec.groups`. Fields beyond 24 bits saturate; `iono-manifest` refuses them before.
    #[must_use]
    pub fn encode(groups: &[Group]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(groups.len() * 16);
        for group in groups {
            bytes.extend(group.count.to_be_bytes());
            for field in [group.cpu, group.memory, group.ephemeral, group.persistent] {
                bytes.extend(&field.min(Self::FIELD_MAX).to_be_bytes()[1..]);
            }
            bytes.extend([group.gpus, group.storage_class as u8]);
        }
        bytes
    }

    /// Reads `Spec.groups`; `None` when the length or a class is malformed.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Vec<Group>> {
        let (chunks, rest) = bytes.as_chunks::<16>();
        if !rest.is_empty() || chunks.len() > Self::MAX {
            return None;
        }
        let field =
            |chunk: &[u8; 16], at: usize| u32::from_be_bytes([0, chunk[at], chunk[at + 1], chunk[at + 2]]);
        chunks
            .iter()
            .map(|chunk| {
                Some(Group {
                    count: u16::from_be_bytes([chunk[0], chunk[1]]),
                    cpu: field(chunk, 2),
                    memory: field(chunk, 5),
                    ephemeral: field(chunk, 8),
                    persistent: field(chunk, 11),
                    gpus: chunk[14],
                    storage_class: StorageClass::from_code(chunk[15])?,
                })
            })
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn class() -> impl Strategy<Value = StorageClass> {
        (0u8..4).prop_map(|code| StorageClass::from_code(code).unwrap())
    }

    proptest! {
        #[test]
        fn words_are_read_back(cpu: u32, memory: u32, storage: u32, gpus: u8, gpu_tier in 0u8..=10, class in class(), endpoints: u8, model in "[a-z0-9-]{0,16}") {
            let resources = Resources { cpu, memory, storage, gpus, gpu_tier, storage_class: class, endpoints, gpu_model: model.parse().unwrap() };
            prop_assert_eq!(Resources::from_word(resources.word()), Some(resources));
        }

        #[test]
        fn groups_are_read_back(count: u16, cpu in 0u32..1 << 24, memory in 0u32..1 << 24, ephemeral in 0u32..1 << 24, persistent in 0u32..1 << 24, gpus: u8, class in class()) {
            let group = Group { count, cpu, memory, ephemeral, persistent, gpus, storage_class: class };
            let bytes = Group::encode(&[group, group]);
            prop_assert_eq!(Group::decode(&bytes), Some(vec![group, group]));
            prop_assert_eq!(Group::decode(&bytes[1..]), None);
        }

        #[test]
        fn hostile_words_never_panic(limbs: [u64; 4]) {
            let _ = Resources::from_word(U256::from_limbs(limbs));
        }
    }

    #[test]
    fn units_follow_the_largest_need() {
        let base = Resources { cpu: 500, memory: 64, storage: 64, ..Resources::default() };
        assert_eq!(base.units(), 1);
        assert_eq!(Resources { memory: 8_193, ..base }.units(), 3);
        assert_eq!(Resources { storage: 1 << 20, ..base }.units(), 16);
    }
}
