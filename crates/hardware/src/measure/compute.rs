//! The compute score of the tiers (SP-5): four small works on all threads at once, each as often as it can be done in a
//! fixed time.
//!
//! A thread's points are the geometric mean of its four speeds over those of the reference, times [`POINTS`]; a machine's
//! score is the sum over its threads. The reference is a virtual processor of a server of 2023 (AMD EPYC of the 9004
//! series) with its neighbour at work, so that a score of 20,000 is some twenty of those and one of 50,000 some fifty.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// Points of a thread that is as fast as the reference's.
const POINTS: f64 = 1_000.0;
/// How long each work is done in each round.
const TIME: Duration = Duration::from_millis(120);
/// Of several rounds the best one counts: other programs on the machine make a measurement lower, never higher.
const ROUNDS: usize = 2;
/// Beyond this many threads a machine is measured as if it had no more.
const MOST_THREADS: usize = 1_024;

/// A work and how often a second the reference does it.
struct Work {
    reference: f64,
    make: fn() -> Box<dyn FnMut() -> u64>,
}

/// What programs are made of: bits, fractions, decisions, memory.
const WORKS: [Work; 4] = [
    Work { reference: 95_000.0, make: hashing },
    Work { reference: 18_500.0, make: multiplying },
    Work { reference: 28_000.0, make: sorting },
    Work { reference: 1_450.0, make: walking },
];

/// Measures this process's processors: all that it may use, at once. Takes about a second and blocks.
#[must_use]
pub fn compute_score() -> u32 {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let begin = Barrier::new(threads);
    let start = Instant::now();
    let points: f64 = std::thread::scope(|scope| {
        let one = || points_of_one(&begin, &|| start.elapsed());
        let measured: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        measured.into_iter().filter_map(|thread| thread.join().ok()).sum()
    });
    points as u32
}

/// One thread's points, while the others do the same.
fn points_of_one(begin: &Barrier, clock: &dyn Fn() -> Duration) -> f64 {
    let mean = WORKS.iter().map(|work| {
        let mut run = (work.make)();
        let speeds = (0..ROUNDS).map(|_| {
            begin.wait();
            speed(&mut run, clock)
        });
        (speeds.fold(0.0, f64::max) / work.reference).ln()
    });
    (mean.sum::<f64>() / WORKS.len() as f64).exp() * POINTS
}

/// How often a second of `clock` the work is done.
fn speed(run: &mut dyn FnMut() -> u64, clock: &dyn Fn() -> Duration) -> f64 {
    let (start, mut times) = (clock(), 0.0);
    loop {
        std::hint::black_box(run());
        times += 1.0;
        let spent = clock() - start;
        if spent >= TIME {
            return times / spent.as_secs_f64();
        }
    }
}

/// Numbers that look random and are the same each time.
fn numbers() -> impl FnMut() -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

/// A digest of 16 KiB.
fn hashing() -> Box<dyn FnMut() -> u64> {
    let mut next = numbers();
    let text: Vec<u8> = (0..2_048).flat_map(|_| next().to_le_bytes()).collect();
    Box::new(move || Sha256::digest(&text).iter().map(|byte| u64::from(*byte)).sum())
}

/// A product of two matrices of 64 × 64.
fn multiplying() -> Box<dyn FnMut() -> u64> {
    const N: usize = 64;
    let mut next = numbers();
    let mut matrix = || -> Vec<f64> { (0..N * N).map(|_| (next() % 1_000) as f64 / 1_000.0).collect() };
    let (a, b) = (matrix(), matrix());
    let mut c = vec![0.0; N * N];
    Box::new(move || {
        c.fill(0.0);
        for (row, out) in a.chunks_exact(N).zip(c.chunks_exact_mut(N)) {
            for (factor, line) in row.iter().zip(b.chunks_exact(N)) {
                out.iter_mut().zip(line).for_each(|(sum, value)| *sum += factor * value);
            }
        }
        c.iter().sum::<f64>() as u64
    })
}

/// 4,096 numbers brought into order.
fn sorting() -> Box<dyn FnMut() -> u64> {
    let mut next = numbers();
    let unsorted: Vec<u64> = (0..4_096).map(|_| next()).collect();
    let mut sorted = unsorted.clone();
    Box::new(move || {
        sorted.copy_from_slice(&unsorted);
        sorted.sort_unstable();
        sorted[0]
    })
}

/// 4,096 steps through 16 MiB, each to where the last one says: what the way to memory takes.
fn walking() -> Box<dyn FnMut() -> u64> {
    const LEN: usize = 1 << 22;
    // One cycle through all places (Sattolo), so that no walk ends up in a small circle.
    let mut next = numbers();
    let mut places: Vec<u32> = (0..LEN as u32).collect();
    for at in (1..LEN).rev() {
        places.swap(at, (next() % at as u64) as usize);
    }
    let mut at = 0_usize;
    Box::new(move || {
        for _ in 0..4_096 {
            at = places[at] as usize;
        }
        at as u64
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn each_work_does_the_same_each_time() {
        for make in [hashing, multiplying, sorting] {
            let (mut one, mut other) = (make(), make());
            let first = one();
            assert_eq!((one(), other()), (first, first));
        }
        let (mut one, mut other) = (walking(), walking());
        let steps: Vec<u64> = (0..4).map(|_| one()).collect();
        assert_eq!(steps, (0..4).map(|_| other()).collect::<Vec<_>>());
        assert!(steps.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn twice_the_work_is_half_the_speed() {
        // The clock is moved by the work alone, since tests beside this one take processors away.
        let clock = Cell::new(Duration::from_secs(3_600));
        let work = |ms: u64| clock.set(clock.get() + Duration::from_millis(ms));
        let measured = |ms: u64| {
            let mut run = || {
                work(ms);
                ms
            };
            speed(&mut run, &|| clock.get()).round()
        };
        assert_eq!((measured(1), measured(2), measured(500)), (1_000.0, 500.0, 2.0));
    }
}
