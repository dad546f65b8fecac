//! One row of the comparison: runs of both sides, the ratio of their medians, and how sure that is.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::figure::Figure;
use crate::stats::median;

/// Least ratio that the interval's lower end must reach.
const BOUND: f64 = 0.95;
/// Beyond this a ratio says no more: what takes next to nothing is infinitely better.
const MOST: f64 = 100.0;
/// Draws of the bootstrap.
const DRAWS: usize = 5_000;

/// What is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    More,
    Less,
}

/// See the file's first lines.
#[derive(Debug)]
pub(crate) struct Row {
    name: String,
    what: String,
    unit: &'static str,
    better: Better,
    runs: [Vec<f64>; 2],
}

impl Row {
    pub(crate) fn new(
        name: impl Into<String>,
        what: impl Into<String>,
        unit: &'static str,
        better: Better,
    ) -> Self {
        Self { name: name.into(), what: what.into(), unit, better, runs: [Vec::new(), Vec::new()] }
    }

    /// A run of side 0 (ours) or 1; those of the same place are a pair.
    pub(crate) fn push(&mut self, side: usize, value: f64) {
        self.runs[side].push(value);
    }

    /// Ours over theirs, or the other way round where less is better; at most [`MOST`].
    fn ratio(&self, ours: &[f64], theirs: &[f64]) -> f64 {
        let (ours, theirs) = (median(ours), median(theirs));
        let (above, below) = match self.better {
            Better::More => (ours, theirs),
            Better::Less => (theirs, ours),
        };
        (above / below.max(f64::MIN_POSITIVE)).min(MOST)
    }

    /// The 95% interval of the ratio, by drawing pairs again and again.
    pub(crate) fn interval(&self) -> (f64, f64) {
        let [ours, theirs] = &self.runs;
        let mut random = StdRng::seed_from_u64(95);
        let mut ratios: Vec<f64> = (0..DRAWS)
            .map(|_| {
                let drawn: Vec<usize> = ours.iter().map(|_| random.random_range(0..ours.len())).collect();
                let pick = |runs: &[f64]| drawn.iter().map(|at| runs[*at]).collect::<Vec<f64>>();
                self.ratio(&pick(ours), &pick(theirs))
            })
            .collect();
        ratios.sort_by(f64::total_cmp);
        (ratios[DRAWS / 40], ratios[DRAWS - 1 - DRAWS / 40])
    }

    /// What was measured, in one line.
    fn summary(&self) -> String {
        let Self { what, runs: [ours, theirs], .. } = self;
        let ratio = self.ratio(ours, theirs);
        let (low, high) = self.interval();
        format!("{what}: ratio {ratio:.2}, 95% in {low:.2} to {high:.2}")
    }

    /// Tells who waits that this row is done.
    #[allow(clippy::print_stderr)] // progress is prose
    pub(crate) fn done(self) -> Self {
        let Self { unit, runs: [ours, theirs], .. } = &self;
        eprintln!("  {} ({:.2} against {:.2} {unit})", self.summary(), median(ours), median(theirs));
        self
    }

    /// The ratio, its interval's lower end with the bound, and both sides' medians.
    pub(crate) fn figures(&self) -> Vec<Figure> {
        let Self { name, unit, runs: [ours, theirs], .. } = self;
        let ratio = self.ratio(ours, theirs);
        let (low, _) = self.interval();
        let summary = format!("{}; lower end", self.summary());
        vec![
            Figure::new(format!("tunnel_{name}_ratio_low"), summary, low, "times").at_least(BOUND),
            Figure::new(format!("tunnel_{name}_ratio"), "  ratio of the medians", ratio, "times"),
            Figure::new(format!("tunnel_{name}"), "  ours", median(ours), unit).runs(ours),
            Figure::new(format!("tunnel_{name}_rathole"), "  rathole", median(theirs), unit).runs(theirs),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_oriented_and_their_interval_holds_them() {
        let mut more = Row::new("a", "a", "x", Better::More);
        let mut less = Row::new("b", "b", "x", Better::Less);
        for value in [4.0, 5.0, 6.0, 4.5, 5.5, 4.8, 5.2] {
            for row in [&mut more, &mut less] {
                row.push(0, value);
                row.push(1, value * 2.0);
            }
        }
        assert!((more.ratio(&more.runs[0], &more.runs[1]) - 0.5).abs() < 1e-9);
        assert!((less.ratio(&less.runs[0], &less.runs[1]) - 2.0).abs() < 1e-9);
        let (low, high) = less.interval();
        assert!(low <= 2.0 && 2.0 <= high, "{low} {high}");
        assert_eq!(less.figures().len(), 4);
    }
}
