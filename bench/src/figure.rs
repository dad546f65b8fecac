//! A measured figure with the bound that it is held to, the table that a person reads, and `bench/results.json`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use comfy_table::{Cell, CellAlignment, Color, Table, presets};
use serde::Serialize;

/// What a figure must reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    /// This much or more.
    AtLeast(f64),
    /// This much or less.
    AtMost(f64),
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(bound) => format!("≥ {}", short(bound)),
            Self::AtMost(bound) => format!("≤ {}", short(bound)),
        }
    }
}

/// One measured number.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    /// Key in the results, such as `backfill_ratio`.
    #[serde(skip)]
    pub(crate) name: Cow<'static, str>,
    /// For people.
    pub(crate) what: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// `None` for what is only reported.
    #[serde(flatten)]
    pub(crate) bound: Option<Bound>,
    /// The single runs behind the value, where there were several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) runs: Vec<f64>,
}

impl Figure {
    /// A figure without a bound.
    pub(crate) fn new(
        name: impl Into<Cow<'static, str>>,
        what: impl Into<String>,
        value: f64,
        unit: &'static str,
    ) -> Self {
        let name = name.into();
        Self { name, what: what.into(), value, unit, bound: None, runs: Vec::new() }
    }

    pub(crate) fn at_least(mut self, bound: f64) -> Self {
        self.bound = Some(Bound::AtLeast(bound));
        self
    }

    pub(crate) fn at_most(mut self, bound: f64) -> Self {
        self.bound = Some(Bound::AtMost(bound));
        self
    }

    pub(crate) fn runs(mut self, runs: &[f64]) -> Self {
        self.runs = runs.to_vec();
        self
    }

    /// `None` without a bound.
    fn holds(&self) -> Option<bool> {
        self.bound.map(|bound| bound.holds(self.value))
    }
}

/// Everything that was measured.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<Figure>);

#[derive(Serialize)]
struct Entry<'a> {
    #[serde(flatten)]
    figure: &'a Figure,
    #[serde(skip_serializing_if = "Option::is_none")]
    holds: Option<bool>,
}

impl Report {
    pub(crate) fn extend(&mut self, figures: Vec<Figure>) {
        self.0.extend(figures);
    }

    /// Names of the figures that miss their bound.
    pub(crate) fn missed(&self) -> Vec<&str> {
        self.0
            .iter()
            .filter(|figure| figure.holds() == Some(false))
            .map(|figure| figure.name.as_ref())
            .collect()
    }

    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_BORDERS_ONLY).set_header(["what", "measured", "unit", "bound", ""]);
        for figure in &self.0 {
            let (mark, color) = match figure.holds() {
                Some(true) => ("holds", Color::Green),
                Some(false) => ("MISSED", Color::Red),
                None => ("", Color::Reset),
            };
            table.add_row([
                Cell::new(&figure.what),
                Cell::new(short(figure.value)).set_alignment(CellAlignment::Right),
                Cell::new(figure.unit),
                Cell::new(figure.bound.map(Bound::text).unwrap_or_default()),
                Cell::new(mark).fg(color),
            ]);
        }
        table
    }

    /// Writes `{"cores", "figures": {NAME: {what, value, unit, at_least | at_most, holds, runs}}}`.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let entries =
            self.0.iter().map(|figure| (figure.name.as_ref(), Entry { figure, holds: figure.holds() }));
        let figures: BTreeMap<&str, Entry<'_>> = entries.collect();
        let cores = std::thread::available_parallelism()?.get();
        let document = serde_json::json!({ "cores": cores, "figures": figures });
        let text = serde_json::to_string_pretty(&document)? + "\n";
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Whole numbers with thousands set apart, small ones with three digits.
fn short(value: f64) -> String {
    if value.fract() != 0.0 && value.abs() < 100.0 {
        return format!("{value:.3}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) && !text.ends_with('-') {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_met_or_missed_and_both_are_written() {
        let mut report = Report::default();
        report.extend(vec![
            Figure::new("fast", "fast enough", 1_000_000.0, "a second").at_least(1_000_000.0),
            Figure::new("slow", "too slow", 1.21, "times").at_most(1.2).runs(&[1.21]),
            Figure::new("plain", "reported", -7.0, "things"),
        ]);
        assert_eq!(report.missed(), ["slow"]);
        let table = report.table().to_string();
        assert!(
            table.contains("1 000 000") && table.contains("≤ 1.200") && table.contains("MISSED"),
            "{table}"
        );

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.json");
        report.write(&path).unwrap();
        let written: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(written["figures"]["slow"]["at_most"], 1.2);
        assert_eq!(written["figures"]["slow"]["holds"], false);
        assert_eq!(written["figures"]["fast"]["at_least"], 1_000_000.0);
        assert!(written["figures"]["plain"].get("holds").is_none());
    }
}
