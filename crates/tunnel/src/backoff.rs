//! How long a client waits before it tries again: about a fourth of the time that it has tried for, so that a short outage
//! costs little more than itself, up to a bound, and never at the same time as everybody else.

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

    /// The next wait: between half and the whole of a time that grows by a fourth.
    pub(crate) fn wait(&mut self) -> Duration {
        let wait = jitter(self.next);
        self.next = (self.next * 5 / 4).min(LONGEST);
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
        let waits: Vec<Duration> = (0..30).map(|_| backoff.wait()).collect();
        assert!(waits[0] <= FIRST && waits[0] >= FIRST / 2);
        assert!(waits.iter().all(|wait| *wait <= LONGEST));
        let mut tried = Duration::ZERO;
        for wait in &waits {
            assert!(*wait <= FIRST + tried / 2, "{wait:?} after {tried:?}");
            tried += *wait;
        }
        assert!(waits[20..].iter().all(|wait| *wait >= LONGEST / 2));
        assert_ne!(waits[25], waits[26]);
    }
}
