//! Fail-points: named places at which the process kills itself by SIGKILL when a test asks for it.
//!
//! `IONO_FAILPOINT=name` dies at the first pass of that place, `IONO_FAILPOINT=name:3` at the third. They are compiled
//! into every build, so that tests kill the very binary that is shipped; unset, a fail-point costs one atomic load.
//! Each crate lists its names in a `FAIL_POINTS` constant, and a daemon refuses a name that none of its crates has.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The variable's name.
const VARIABLE: &str = "IONO_FAILPOINT";

struct Armed {
    name: String,
    /// Passes left, this one included, until it strikes.
    left: AtomicU64,
}

fn armed() -> Option<&'static Armed> {
    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
    ARMED.get_or_init(|| parse(&std::env::var(VARIABLE).ok()?)).as_ref()
}

fn parse(text: &str) -> Option<Armed> {
    let (name, nth) = match text.split_once(':') {
        Some((name, nth)) => (name, nth.parse().ok()?),
        None => (text, 1),
    };
    (!name.is_empty() && nth > 0).then(|| Armed { name: name.to_owned(), left: AtomicU64::new(nth) })
}

/// Kills the process by SIGKILL if this place is armed.
pub fn fail_point(name: &'static str) {
    let Some(armed) = armed() else { return };
    if armed.name != name || armed.left.fetch_sub(1, Ordering::SeqCst) != 1 {
        return;
    }
    // Cannot fail for one's own process; the loop covers the moment until the signal arrives.
    let _ = kill(Pid::this(), Signal::SIGKILL);
    loop {
        std::thread::park();
    }
}

/// The armed name is not one of the daemon's.
#[derive(Debug, thiserror::Error)]
#[error("{VARIABLE}={0} names no fail-point of this daemon; --list-failpoints shows them")]
pub struct UnknownFailPoint(String);

/// Refuses a name that is in none of `known`, so that a misspelt test does not pass by never being killed.
///
/// # Errors
/// [`UnknownFailPoint`].
pub fn check_fail_points(known: &[&[&str]]) -> Result<(), UnknownFailPoint> {
    let Ok(text) = std::env::var(VARIABLE) else { return Ok(()) };
    match parse(&text) {
        Some(armed) if known.iter().any(|names| names.contains(&armed.name.as_str())) => Ok(()),
        _ => Err(UnknownFailPoint(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_counts() {
        let armed = parse("chain.after_send:3").map(|a| (a.name, a.left.into_inner()));
        assert_eq!(armed, Some(("chain.after_send".to_owned(), 3)));
        assert_eq!(parse("x").map(|a| a.left.into_inner()), Some(1));
        for bad in ["", ":1", "x:0", "x:y"] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}
