//! When the machine belongs to its owner alone: it takes no new leases while it runs on battery or while its owner works on
//! it, if the owner says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use iono_host::config::Pause;

/// Where the kernel shows power supplies.
const SUPPLIES: &str = "/sys/class/power_supply";
/// Where the kernel counts what people's sessions use; tenants' containers and services are in other groups.
const SESSIONS: &str = "/sys/fs/cgroup/user.slice/cpu.stat";
/// Over so long the sessions' use is averaged.
const WINDOW: Duration = Duration::from_secs(5);
/// The owner has gone when the sessions used little for so long.
const QUIET: Duration = Duration::from_secs(120);

/// Looks after the owner.
#[derive(Debug)]
pub struct Rest {
    supplies: PathBuf,
    sessions: PathBuf,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// When the window began, and processor time until then.
    since: Option<(Instant, Duration)>,
    /// When the sessions last used more than they may.
    busy: Option<Instant>,
}

impl Default for Rest {
    fn default() -> Self {
        Self { supplies: SUPPLIES.into(), sessions: SESSIONS.into(), seen: Mutex::default() }
    }
}

impl Rest {
    /// Why the machine takes no new leases at present, if so. Asked again and again, it follows what the owner's sessions
    /// use.
    pub fn why(&self, pause: Pause) -> Option<String> {
        if pause.on_battery && on_battery(&self.supplies) {
            return Some("this machine runs on battery at present".to_owned());
        }
        let most = f64::from(pause.owner_cores?.0) / 1e3;
        let used = used(&fs::read_to_string(&self.sessions).unwrap_or_default())?;
        self.is_busy(Instant::now(), used, most)
            .then(|| format!("its owner uses more than {most} cores of this machine at present"))
    }

    /// What keeps these settings from having an effect on this machine, if anything.
    #[must_use]
    pub fn obstacle(&self, pause: Pause) -> Option<String> {
        pause.owner_cores?;
        let text = fs::read_to_string(&self.sessions).unwrap_or_default();
        let path = self.sessions.display();
        used(&text).is_none().then(|| {
            format!(
                "pause.owner_cores has no effect: {path} is missing; it needs systemd and control groups v2"
            )
        })
    }

    fn is_busy(&self, now: Instant, used: Duration, most: f64) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, before) = *seen.since.get_or_insert((now, used));
        let passed = now - since;
        if passed >= WINDOW {
            // Sessions that ended may take what they used along.
            if used.saturating_sub(before).as_secs_f64() > most * passed.as_secs_f64() {
                seen.busy = Some(now);
            }
            seen.since = Some((now, used));
        }
        seen.busy.is_some_and(|busy| now - busy < QUIET)
    }
}

/// Processor time in a `cpu.stat`.
fn used(stat: &str) -> Option<Duration> {
    let micros = stat.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
    Some(Duration::from_micros(micros.trim().parse().ok()?))
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
        assert_eq!(Rest::default().why(Pause::default()), None);
    }

    #[test]
    fn who_works_on_the_machine_is_left_alone_until_two_minutes_after() {
        let (rest, start) = (Rest::default(), Instant::now());
        let look = |second: u64, used: f64| {
            rest.is_busy(start + Duration::from_secs(second), Duration::from_secs_f64(used), 0.5)
        };
        assert!(!look(0, 1_000.0), "what was used before this began says nothing");
        assert!(!look(5, 1_002.0), "0.4 cores");
        assert!(look(10, 1_005.0), "0.6 cores");
        assert!(look(15, 1_005.0) && look(129, 1_005.0), "a break");
        assert!(!look(130, 1_005.0), "gone");
        assert!(look(135, 1_010.0), "back");
        assert!(!look(300, 3.0), "the sessions ended, their account with them");
    }

    #[test]
    fn the_sessions_account_is_read_where_there_is_one() {
        assert_eq!(used("usage_usec 1500000\nuser_usec 1\n"), Some(Duration::from_millis(1_500)));
        assert_eq!(used("user_usec 1\n"), None);
        let folder = tempfile::tempdir().unwrap();
        let rest = Rest { sessions: folder.path().join("cpu.stat"), ..Rest::default() };
        let pause = Pause { owner_cores: Some(iono_host::config::Cores(500)), ..Pause::default() };
        assert!(rest.obstacle(pause).unwrap().contains("no effect") && rest.why(pause).is_none());
        fs::write(&rest.sessions, "usage_usec 7\n").unwrap();
        assert_eq!((rest.obstacle(pause), rest.obstacle(Pause::default())), (None, None));
    }
}
