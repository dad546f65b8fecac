//! Comparing two things on a machine whose speed is unknown and may change: they take turns, and medians are compared.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// The middle of the values; the mean of the middle two when their number is even.
///
/// # Panics
/// Without any value.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

/// Seconds of each run of `a` and of `b`, run in turns; who begins changes every time.
pub(crate) async fn in_turns(
    runs: usize,
    mut a: impl AsyncFnMut() -> Result<f64>,
    mut b: impl AsyncFnMut() -> Result<f64>,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
    for run in 0..runs {
        if run % 2 == 0 {
            of_a.push(a().await?);
            of_b.push(b().await?);
        } else {
            of_b.push(b().await?);
            of_a.push(a().await?);
        }
    }
    Ok((of_a, of_b))
}

/// Seconds since `start`.
pub(crate) fn seconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64()
}

/// Time that this thread spent on a core: what others do on the machine does not count.
pub(crate) fn thread_time() -> Result<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let first = text.split_whitespace().next().context("an empty schedstat")?;
    Ok(Duration::from_nanos(first.parse()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_ignore_the_order_and_outliers() {
        assert_eq!(median(&[3.0, 1_000.0, 1.0]), 3.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[tokio::test]
    async fn turns_change() {
        let order = std::cell::RefCell::new(String::new());
        let note = |who: char, took: f64| {
            order.borrow_mut().push(who);
            Ok(took)
        };
        let (a, b) = in_turns(3, async || note('a', 1.0), async || note('b', 2.0)).await.unwrap();
        assert_eq!((order.borrow().as_str(), a.len(), b.len()), ("abbaab", 3, 3));
        assert_eq!((median(&a), median(&b)), (1.0, 2.0));
    }
}
