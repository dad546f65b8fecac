//! What is known of GPU models: the tier that brackets and rewards go by (SP-5), and which card satisfies an order.
//!
//! A model's text is a name with optional interface and memory: `a100`, `a100-sxm`, `a100-80gi`, `a100-sxm-80gi`.

use crate::resources::GpuModel;

/// Ten tiers, two in each of five price bands (under $1,000, $2,000, $5,000, above $7,500, above $15,000); a model
/// between two bands stays in the lower one. Longest prefix of the name wins, so that `rtx4090d` is found by `rtx4090`.
const TIERS: [(u8, &[&str]); 10] = [
    (1, &["gtx", "t1000", "p4", "rtx20", "rtx3050", "rtx4050", "rtx3060", "rx6", "t4"]),
    (2, &["rtx4060", "rtx3070", "rtx3080", "rtx4070", "rtx5060", "rtx5070", "rx7", "p100", "rtx2080ti"]),
    (3, &["rtx3090", "rtx4080", "rtx5080", "rtxa4000", "rtx4000", "rx7900", "v100", "a2"]),
    (4, &["rtx4090", "rtxa5000", "rtx5000", "a10", "a16"]),
    (5, &["rtx5090", "a30", "l4", "rtxa6000", "rtx8000"]),
    (6, &["a40", "rtx6000", "mi210"]),
    (7, &["l40", "rtxpro6000", "a100-40gi"]),
    (8, &["a100", "mi250"]),
    (9, &["h100", "h800", "mi300", "gh200"]),
    (10, &["h200", "b200", "b300", "gb200", "gb300", "mi325", "mi350", "mi355"]),
];

/// A model's text taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GpuName<'m> {
    /// Without interface and memory.
    pub base: &'m str,
    /// `sxm` or `pcie`.
    pub interface: Option<&'m str>,
    /// GiB.
    pub memory: Option<u16>,
}

impl GpuModel {
    /// The tier, 1 (entry) to 10. An order for any model is satisfied by an entry card and has tier 1; a model that is
    /// not known here counts as the dearest.
    #[must_use]
    pub fn tier(&self) -> u8 {
        if *self == GpuModel::ANY {
            return 1;
        }
        let name = self.as_str();
        let matching =
            TIERS.iter().flat_map(|(tier, names)| names.iter().map(move |known| (known.len(), *tier, known)));
        let best = matching
            .filter(|(_, _, known)| name.starts_with(**known))
            .max_by_key(|(length, tier, _)| (*length, *tier));
        best.map_or(10, |(_, tier, _)| tier)
    }

    /// Name, interface and memory.
    #[must_use]
    pub fn name(&self) -> GpuName<'_> {
        let mut name = GpuName { base: self.as_str(), interface: None, memory: None };
        if let Some((rest, last)) = name.base.rsplit_once('-')
            && let Some(memory) = last.strip_suffix("gi").and_then(|digits| digits.parse().ok())
        {
            (name.base, name.memory) = (rest, Some(memory));
        }
        if let Some((rest, last @ ("sxm" | "pcie"))) = name.base.rsplit_once('-') {
            (name.base, name.interface) = (rest, Some(last));
        }
        name
    }

    /// Whether a card of this model is what an order for `wanted` asks for: the same name, the same interface if one is
    /// asked for, at least the memory if some is asked for.
    #[must_use]
    pub fn satisfies(&self, wanted: &GpuModel) -> bool {
        if *wanted == GpuModel::ANY {
            return true;
        }
        let (have, want) = (self.name(), wanted.name());
        have.base == want.base
            && (want.interface.is_none() || have.interface == want.interface)
            && want.memory.is_none_or(|memory| have.memory.is_some_and(|have| have >= memory))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn model(text: &str) -> GpuModel {
        text.parse().unwrap()
    }

    #[test]
    fn tiers_follow_the_price_bands() {
        for (text, tier) in [
            ("", 1),
            ("voodoo2", 10),
            ("gtx1080ti", 1),
            ("t4", 1),
            ("rtx2080ti", 2),
            ("rtx4090", 4),
            ("a10", 4),
            ("a100", 8),
        ] {
            assert_eq!(model(text).tier(), tier, "{text}");
        }
        assert_eq!(model("a100-40gi").tier(), 7);
        assert_eq!(model("h100-sxm-80gi").tier(), 9);
        assert_eq!(model("rtx6000-ada").tier(), 6);
        assert_eq!(model("l40s").tier(), 7);
    }

    #[test]
    fn interface_and_memory_are_conditions() {
        let card = model("a100-sxm-80gi");
        assert_eq!(card.name(), GpuName { base: "a100", interface: Some("sxm"), memory: Some(80) });
        for wanted in ["", "a100", "a100-80gi", "a100-40gi", "a100-sxm", "a100-sxm-80gi"] {
            assert!(card.satisfies(&model(wanted)), "{wanted}");
        }
        for wanted in ["a10", "h100", "a100-pcie", "a100-96gi"] {
            assert!(!card.satisfies(&model(wanted)), "{wanted}");
        }
        assert!(!model("a100").satisfies(&model("a100-80gi")));
        assert_eq!(model("rtx6000-ada").name().base, "rtx6000-ada");
    }
}
