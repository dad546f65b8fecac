//! stdout is the result, stderr the prose. With `--json` the result is one JSON document; what streams writes one
//! document a line.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::Value;

use crate::error::{Failure, Kind, Result};

/// What a command found or did: the same facts for machines and for people.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) json: Value,
    pub(crate) text: String,
    /// Exit status; only `shell` passes a foreign one.
    pub(crate) status: u8,
    /// Set when the command has written its result itself, as streams do.
    pub(crate) written: bool,
}

impl Report {
    /// A result; `value` must serialise, which plain structs always do.
    pub(crate) fn new(value: &impl Serialize, text: impl Into<String>) -> Self {
        let json = serde_json::to_value(value).unwrap_or(Value::Null);
        Self { json, text: text.into(), status: 0, written: false }
    }

    /// The result was streamed already.
    pub(crate) fn streamed(status: u8) -> Self {
        Self { json: Value::Null, text: String::new(), status, written: true }
    }
}

/// Where a command's prose and result go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
}

impl Output {
    /// Writes the result. A reader that hung up (`iono ps | head`) is no error.
    pub(crate) fn finish(self, report: &Report) -> Result<()> {
        if report.written {
            return Ok(());
        }
        if self.json {
            self.document(&report.json, true)
        } else if report.text.is_empty() {
            Ok(())
        } else {
            write_out(harmless(report.text.trim_end_matches('\n')).as_bytes(), true)
        }
    }

    /// Writes a failure: prose to stderr and, with `--json`, `{"error": …}` to stdout.
    pub(crate) fn fail(self, failure: &Failure) {
        if self.json {
            let _ = self.document(&serde_json::json!({ "error": failure }), true);
        }
        self.error_line(&format!("error: {}", failure.message));
        if let Some(hint) = &failure.hint {
            self.error_line(&format!("hint: {hint}"));
        }
    }

    /// One JSON document on stdout; pretty unless it is a line of a stream.
    pub(crate) fn document(self, value: &impl Serialize, pretty: bool) -> Result<()> {
        let text = if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
        let text = text.map_err(|error| Failure::new(Kind::Failed, format!("cannot write JSON: {error}")))?;
        write_out(text.as_bytes(), true)
    }

    /// Prose for the person who watches.
    pub(crate) fn note(self, text: &str) {
        if !self.quiet {
            self.error_line(text);
        }
    }

    /// Prose that matters even when `--quiet` is given.
    pub(crate) fn warn(self, text: &str) {
        self.error_line(&format!("warning: {text}"));
    }

    fn error_line(self, text: &str) {
        // Nobody is left to tell when stderr is gone.
        let _ = writeln!(std::io::stderr().lock(), "{}", harmless(text));
    }

    /// Progress of a command with several steps.
    pub(crate) fn progress(self) -> Progress {
        let spinner = if self.quiet || !std::io::stderr().is_terminal() {
            None
        } else {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            Some(bar)
        };
        Progress { output: self, spinner }
    }
}

/// Raw bytes to stdout, flushed; a closed pipe ends the process quietly, as it does for other tools.
pub(crate) fn write_out(bytes: &[u8], newline: bool) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout
        .write_all(bytes)
        .and_then(|()| if newline { stdout.write_all(b"\n") } else { Ok(()) })
        .and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Failure::new(Kind::Failed, format!("cannot write to stdout: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// A spinner on a terminal, plain lines elsewhere.
#[derive(Debug)]
pub(crate) struct Progress {
    output: Output,
    spinner: Option<ProgressBar>,
}

impl Progress {
    /// What is being waited for now.
    pub(crate) fn wait(&self, text: &str) {
        if let Some(bar) = &self.spinner {
            bar.set_message(harmless(text).into_owned());
        }
    }

    /// A step that is done.
    pub(crate) fn done(&self, text: &str) {
        match &self.spinner {
            Some(bar) => bar.println(format!("✓ {}", harmless(text))),
            None => self.output.note(text),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.spinner {
            bar.finish_and_clear();
        }
    }
}

/// Text that cannot steer the terminal: endpoints, reasons and messages are strangers' words. (What a workload prints
/// goes to its tenant as it is.)
fn harmless(text: &str) -> Cow<'_, str> {
    let harmful = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if text.contains(harmful) { text.replace(harmful, "\u{fffd}").into() } else { text.into() }
}

/// A table for people: no frames, so that columns can be cut and copied.
pub(crate) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(head.iter().copied());
    for row in rows {
        table.add_row(row);
    }
    // The library pads both sides of a cell; lines begin with their first column and end with their last.
    table
        .lines()
        .map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

/// `key  value` lines, keys aligned.
pub(crate) fn facts(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    pairs.iter().map(|(key, value)| format!("{key:width$}  {value}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_words_do_not_steer_the_terminal() {
        assert_eq!(harmless("\u{1b}[2Jhost\r\n\u{202e}x"), "\u{fffd}[2Jhost\u{fffd}\n\u{fffd}x");
        assert_eq!(harmless("ü\t– fine\n"), "ü\t– fine\n");
    }

    #[test]
    fn facts_align() {
        assert_eq!(facts(&[("a", "1".into()), ("long", "2".into())]), "a     1\nlong  2");
    }

    #[test]
    fn tables_have_no_frame() {
        let text = table(&["ID", "WHAT"], [vec!["1".into(), "x".into()], vec!["22".into(), String::new()]]);
        assert_eq!(text, "ID  WHAT\n1   x\n22");
    }
}
