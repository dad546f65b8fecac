//! Cards that are in the machine and that nobody drives: they cannot be rented out, and their owner ought to know.

use serde::{Deserialize, Serialize};

use crate::Source;

/// PCI's classes of what computes pictures: VGA, 3D and processing accelerators.
const CLASSES: [&str; 3] = ["0x0300", "0x0302", "0x1200"];
/// PCI's vendor ids, with the drivers that the vendors' tools need.
const VENDORS: [(&str, &str, &str); 2] = [("0x10de", "nvidia", "nvidia"), ("0x1002", "amd", "amdgpu")];

/// A card without its vendor's driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undriven {
    /// `nvidia` or `amd`.
    pub vendor: String,
    /// Its PCI address.
    pub address: String,
    /// What drives it instead, such as `nouveau`, or `vfio-pci` for a virtual machine.
    pub driver: Option<String>,
    /// The driver that it needs.
    pub needs: String,
}

impl Undriven {
    /// All of them, by address.
    #[must_use]
    pub fn read_all(source: &Source) -> Vec<Self> {
        let addresses = source.names("sys/bus/pci/devices").into_iter();
        addresses.filter_map(|address| Self::read(source, address)).collect()
    }

    fn read(source: &Source, address: String) -> Option<Self> {
        let folder = format!("sys/bus/pci/devices/{address}");
        let class = source.optional(&format!("{folder}/class"))?;
        let found = source.optional(&format!("{folder}/vendor"))?;
        let (_, vendor, needs) = VENDORS.into_iter().find(|(id, ..)| *id == found)?;
        let link = std::fs::read_link(source.path(&format!("{folder}/driver"))).ok();
        let driver = link.and_then(|link| Some(link.file_name()?.to_str()?.to_owned()));
        let is_card = CLASSES.iter().any(|known| class.starts_with(known));
        (is_card && driver.as_deref() != Some(needs)).then(|| Self {
            vendor: vendor.to_owned(),
            address,
            driver,
            needs: needs.to_owned(),
        })
    }
}

impl std::fmt::Display for Undriven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let driver = self.driver.as_deref().unwrap_or("no driver");
        write!(
            f,
            "a card of {} at {} has {driver}: install the driver `{}`",
            self.vendor, self.address, self.needs
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_without_their_vendors_driver_are_found() {
        let folder = tempfile::tempdir().unwrap();
        for (address, vendor, class, driver) in [
            ("0000:01:00.0", "0x10de", "0x030200", Some("nvidia")),
            ("0000:02:00.0", "0x10de", "0x030000", Some("nouveau")),
            ("0000:03:00.0", "0x1002", "0x120000", None),
            // A card's sound device, and a graphics device of another vendor.
            ("0000:03:00.1", "0x1002", "0x040300", None),
            ("0000:04:00.0", "0x8086", "0x030000", None),
        ] {
            let device = folder.path().join("sys/bus/pci/devices").join(address);
            std::fs::create_dir_all(&device).unwrap();
            std::fs::write(device.join("vendor"), vendor).unwrap();
            std::fs::write(device.join("class"), class).unwrap();
            if let Some(driver) = driver {
                std::os::unix::fs::symlink(format!("/drivers/{driver}"), device.join("driver")).unwrap();
            }
        }
        let found = Undriven::read_all(&Source::at(folder.path()));
        let words: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            words,
            [
                "a card of nvidia at 0000:02:00.0 has nouveau: install the driver `nvidia`",
                "a card of amd at 0000:03:00.0 has no driver: install the driver `amdgpu`",
            ]
        );
    }
}
