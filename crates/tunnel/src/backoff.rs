//! How long a client waits before it tries again: at once at first, so that a moment's outage costs a moment, then longer,
//! and never at the same time as everybody else.

use std::time::Duration;

use rand::Rng as _;

const FIRST: Duration = Duration::from_millis(100);
/// So short that a light node is back within five seconds of its network's return.
const LONGEST: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { next: FIRST }
    }

    /// The next wait: between half and the whole of a time that doubles.
    pub(crate) fn wait(&mut self) -> Duration {
        let wait = jitter(self.next);
        self.next = (self.next * 2).min(LONGEST);
        wait
    }
}

/// Something between half of `time` and all of it.
pub(crate) fn jitter(time: Duration) -> Duration {
    time.mul_f64(rand::rng().random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_bound_and_differ() {
        let mut backoff = Backoff::new();
        let waits: Vec<Duration> = (0..20).map(|_| backoff.wait()).collect();
        assert!(waits[0] <= FIRST && waits[0] >= FIRST / 2);
        assert!(waits.iter().all(|wait| *wait <= LONGEST));
        assert!(waits[10..].iter().all(|wait| *wait >= LONGEST / 2));
        assert_ne!(waits[15], waits[16]);
    }
}
