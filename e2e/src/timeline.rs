//! The demo's running account: step, block, seconds, gas; readable while it grows and kept for `target/demo.json`.

use std::time::Instant;

use serde::Serialize;

/// What happened when.
#[derive(Debug)]
pub struct Timeline {
    start: Instant,
    rows: Vec<Row>,
}

/// One step of the story.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What was done, in a few words.
    pub step: String,
    /// Who did it.
    pub who: String,
    /// Block in which it was mined, if it was a transaction.
    pub block: Option<u64>,
    /// Seconds since the start.
    pub seconds: f64,
    /// Gas of its transaction.
    pub gas: Option<u64>,
    /// What came of it.
    pub note: String,
}

impl Timeline {
    /// Starts the clock and prints the head.
    #[must_use]
    pub fn start() -> Self {
        print(&format!("{:>7}  {:>6}  {:>8}  {:<11}  {}", "seconds", "block", "gas", "who", "what"));
        print(&"─".repeat(100));
        Self { start: Instant::now(), rows: Vec::new() }
    }

    /// Adds a step and prints it.
    pub fn step(&mut self, who: &str, step: &str, mined: Option<(u64, u64)>, note: &str) {
        let seconds = (self.start.elapsed().as_secs_f64() * 100.0).round() / 100.0;
        let (block, gas) = (mined.map(|mined| mined.0), mined.map(|mined| mined.1));
        let cell = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
        let line = format!("{seconds:>7.1}  {:>6}  {:>8}  {who:<11}  {step}", cell(block), cell(gas));
        print(&if note.is_empty() { line } else { format!("{line}: {note}") });
        let (step, who, note) = (step.to_owned(), who.to_owned(), note.to_owned());
        self.rows.push(Row { step, who, block, seconds, gas, note });
    }

    /// All steps so far.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }
}

/// A line of the story on stdout.
#[allow(clippy::print_stdout)]
pub fn print(line: &str) {
    println!("{line}");
}
