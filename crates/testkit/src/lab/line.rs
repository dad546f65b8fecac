//! The line: one thread for each direction reads packets from one TUN device, loses some, holds the others for the delay
//! and writes them to the other device. There is no limit to its bandwidth but the machine's.

use std::collections::VecDeque;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use nix::unistd::{Pid, gettid};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::Namespace;
use super::segments::thin;
use super::tun::{self, LARGEST, Tun};

/// Packets read before the due ones are looked at again.
const BATCH: usize = 64;
/// How often an idle relay looks whether it should end.
const PAUSE: Duration = Duration::from_millis(100);
/// Most bytes under way in one direction: 150 ms at more than ten gigabits a second.
const UNDER_WAY: usize = 256 << 20;

/// What a line does to packets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// There and back together.
    pub round_trip: Duration,
    /// Share of packets lost in each direction, 0 to 1.
    pub loss: f64,
    /// Decides which.
    pub seed: u64,
}

/// What both directions look at.
#[derive(Default)]
struct Switches {
    cut: AtomicBool,
    stop: AtomicBool,
}

pub(super) struct Relay {
    switches: Arc<Switches>,
    threads: Vec<(Pid, JoinHandle<()>)>,
}

impl Relay {
    /// Makes both devices and starts to relay.
    pub(super) fn start(router: &Namespace, gateway: &Namespace, line: Line) -> Result<Self> {
        let devices =
            [router.run(|| tun::create(router))?, gateway.run(|| tun::create(gateway))?].map(Arc::new);
        let [a, b] = devices;
        let mut relay = Self { switches: Arc::default(), threads: Vec::new() };
        for (turn, from, to) in [(0, &a, &b), (1, &b, &a)] {
            let mut direction = Direction {
                from: Arc::clone(from),
                to: Arc::clone(to),
                switches: Arc::clone(&relay.switches),
                delay: line.round_trip / 2,
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates
                loss: (line.loss * u64::MAX as f64) as u64,
                random: StdRng::seed_from_u64(line.seed * 2 + turn),
                under_way: VecDeque::new(),
                bytes: 0,
            };
            let (sender, receiver) = channel();
            let thread = std::thread::Builder::new()
                .name("lab-line".to_owned())
                .spawn(move || direction.run(&sender))
                .context("no thread for the line")?;
            relay.threads.push((receiver.recv()?, thread));
        }
        Ok(relay)
    }

    pub(super) fn cut(&self, cut: bool) {
        self.switches.cut.store(cut, Relaxed);
    }

    pub(super) fn time(&self) -> Result<Duration> {
        let mut total = Duration::ZERO;
        for (thread, _) in &self.threads {
            let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat"))?;
            let nanos = text.split_whitespace().next().ok_or_else(|| anyhow!("an empty schedstat"))?;
            total += Duration::from_nanos(nanos.parse()?);
        }
        Ok(total)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.switches.stop.store(true, Relaxed);
        for (_, thread) in self.threads.drain(..) {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

struct Direction {
    from: Arc<Tun>,
    to: Arc<Tun>,
    switches: Arc<Switches>,
    delay: Duration,
    /// Of `u64::MAX`.
    loss: u64,
    random: StdRng,
    under_way: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
}

impl Direction {
    fn run(&mut self, started: &Sender<Pid>) {
        if started.send(gettid()).is_err() {
            return;
        }
        let mut buffer = vec![0; LARGEST];
        while !self.switches.stop.load(Relaxed) {
            let pause = self.deliver();
            let mut ready = [PollFd::new(self.from.0.as_fd(), PollFlags::POLLIN)];
            // A signal only wakes it early.
            let _ = ppoll(&mut ready, Some(TimeSpec::from_duration(pause)), None);
            for _ in 0..BATCH {
                match self.from.read(&mut buffer) {
                    Ok(Some(packet)) => {
                        // The borrow of the buffer must not be one of `self`.
                        let length = packet.len();
                        self.take(&buffer[..length]);
                    }
                    Ok(None) => break,
                    // The device is gone with its namespace.
                    Err(_) => return,
                }
            }
        }
    }

    /// Writes what is due; gives the time until the next is.
    fn deliver(&mut self) -> Duration {
        let now = Instant::now();
        while let Some((due, _)) = self.under_way.front() {
            if *due > now {
                return (*due - now).min(PAUSE);
            }
            if let Some((_, packet)) = self.under_way.pop_front() {
                self.bytes -= packet.len();
                self.to.write(&packet);
            }
        }
        PAUSE
    }

    fn take(&mut self, packet: &[u8]) {
        if self.switches.cut.load(Relaxed) {
            return;
        }
        if self.loss == 0 && self.delay.is_zero() && self.under_way.is_empty() {
            return self.to.write(packet);
        }
        let due = Instant::now() + self.delay;
        let Self { random, under_way, bytes, loss, .. } = self;
        thin(
            packet,
            || random.random::<u64>() < *loss,
            |part| {
                if *bytes + part.len() <= UNDER_WAY {
                    *bytes += part.len();
                    under_way.push_back((due, part));
                }
            },
        );
    }
}
