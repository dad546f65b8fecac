//! How a machine is at this moment: load, free memory, heat, fans.

use serde::{Deserialize, Serialize};

use crate::Source;

/// Chips whose sensors are looked at; a machine that has more is looked at as far as this.
const MOST_CHIPS: usize = 64;

/// A machine's state.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Condition {
    /// Thousandths of processes that ran or waited for a processor, on the average of the last minute.
    pub load: u64,
    /// Bytes of memory that programs could have without others giving any back.
    pub memory_free: u64,
    /// The hottest sensor's degrees Celsius; `None` where there is none, as in most virtual machines.
    pub temperature: Option<i32>,
    /// Turns a minute of each fan.
    pub fans: Vec<u32>,
}

impl Condition {
    /// Reads it. What cannot be read is zero or left out.
    #[must_use]
    pub fn read(source: &Source) -> Self {
        let load = source.optional("proc/loadavg").and_then(|text| thousandths(text.split(' ').next()?));
        let info = source.optional("proc/meminfo").unwrap_or_default();
        let available = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
        let available = available.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        Self {
            load: load.unwrap_or(0),
            memory_free: available.unwrap_or(0).saturating_mul(1_024),
            temperature: sensors(source, "temp").max().map(|milli| (milli / 1_000) as i32),
            fans: sensors(source, "fan").filter_map(|turns| turns.try_into().ok()).collect(),
        }
    }
}

/// What all sensors of a kind say (`temp1_input`, `fan2_input`); those that fail are left out.
fn sensors(source: &Source, kind: &'static str) -> impl Iterator<Item = i64> {
    let chips = source.names("sys/class/hwmon").into_iter().take(MOST_CHIPS);
    chips.flat_map(move |chip| {
        let folder = format!("sys/class/hwmon/{chip}");
        let names = source.names(&folder).into_iter();
        let of_kind = names.filter(move |name| name.starts_with(kind) && name.ends_with("_input"));
        let values = of_kind.filter_map(|name| source.optional(&format!("{folder}/{name}"))?.parse().ok());
        values.collect::<Vec<i64>>()
    })
}

/// `1.25` as 1250.
fn thousandths(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let part = format!("{part:0<3}");
    whole.parse::<u64>().ok()?.checked_mul(1_000)?.checked_add(part.get(..3)?.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sensors_and_numbers_are_read_and_nonsense_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("proc/loadavg", "1.25 0.80 0.40 2/300 4711\n"),
            ("proc/meminfo", "MemTotal: 2048 kB\nMemAvailable:   1024 kB\n"),
            ("sys/class/hwmon/hwmon0/temp1_input", "45500\n"),
            ("sys/class/hwmon/hwmon0/temp1_max", "99000\n"),
            ("sys/class/hwmon/hwmon1/temp2_input", "61000\n"),
            ("sys/class/hwmon/hwmon1/temp3_input", "hot\n"),
            ("sys/class/hwmon/hwmon1/fan1_input", "1200\n"),
            ("sys/class/hwmon/hwmon1/fan2_input", "-1\n"),
        ] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let found = Condition::read(&Source::at(folder.path()));
        let expected =
            Condition { load: 1_250, memory_free: 1 << 20, temperature: Some(61), fans: vec![1_200] };
        assert_eq!(found, expected);
        let bare = tempfile::tempdir().unwrap();
        assert_eq!(Condition::read(&Source::at(bare.path())), Condition::default());
    }

    #[test]
    fn loads_are_read_as_the_kernel_writes_them() {
        for (text, expected) in
            [("0.00", Some(0)), ("12.5", Some(12_500)), ("3", Some(3_000)), ("x", None), ("1.x", None)]
        {
            assert_eq!(thousandths(text), expected, "{text}");
        }
    }
}
