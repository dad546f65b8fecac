//! When the machine belongs to its owner alone: it takes no new leases while it runs on battery, if the owner says so.

use std::fs;
use std::path::Path;

use iono_host::config::Pause;

/// Where the kernel shows power supplies.
const SUPPLIES: &str = "/sys/class/power_supply";

/// Why the machine takes no new leases at present, if so.
#[must_use]
pub fn why(pause: Pause) -> Option<String> {
    let rests = pause.on_battery && on_battery(Path::new(SUPPLIES));
    rests.then(|| "this machine runs on battery at present".to_owned())
}

/// Whether there is a mains supply and none that is plugged in. A machine without one, such as a server, is not on battery.
fn on_battery(supplies: &Path) -> bool {
    let Ok(entries) = fs::read_dir(supplies) else { return false };
    let read = |path: &Path, name| fs::read_to_string(path.join(name)).unwrap_or_default().trim().to_owned();
    let mains: Vec<bool> = entries
        .flatten()
        .map(|entry| entry.path())
        // A laptop's USB-C port is a supply of its own.
        .filter(|path| matches!(read(path, "type").as_str(), "Mains" | "USB"))
        .map(|path| read(&path, "online") == "1")
        .collect();
    !mains.is_empty() && mains.iter().all(|online| !online)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supplies(all: &[(&str, &str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, kind, online) in all {
            let path = folder.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("type"), format!("{kind}\n")).unwrap();
            fs::write(path.join("online"), format!("{online}\n")).unwrap();
        }
        folder
    }

    #[test]
    fn a_laptop_is_on_battery_when_nothing_is_plugged_in() {
        let case = |all: &[(&str, &str, &str)]| on_battery(supplies(all).path());
        assert!(case(&[("AC", "Mains", "0"), ("BAT0", "Battery", "1")]));
        assert!(!case(&[("AC", "Mains", "1"), ("BAT0", "Battery", "1")]));
        assert!(!case(&[("AC", "Mains", "0"), ("ucsi", "USB", "1")]));
        // A server shows nothing, or only what is no supply of its own.
        assert!(!case(&[]));
        assert!(!case(&[("hid", "Battery", "1")]));
        assert!(!on_battery(Path::new("/nowhere")));
        assert_eq!(why(Pause { on_battery: false }), None);
    }
}
