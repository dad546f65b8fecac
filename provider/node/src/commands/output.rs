//! Results on stdout: JSON for programs, tables for people. Prose goes to stderr.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use comfy_table::Table;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use serde::Serialize;

use crate::cli::Common;

/// Text as it is.
pub fn text(text: &str) {
    print!("{text}");
}

/// A remark that is no result.
pub fn remark(text: &str) {
    eprintln!("{text}");
}

/// JSON with `--json`, else what `people` makes of the result.
///
/// # Errors
/// When the result is no JSON.
pub fn result<T: Serialize>(
    common: &Common,
    result: &T,
    people: impl FnOnce(&T) -> String,
) -> Result<(), serde_json::Error> {
    if common.json {
        println!("{}", serde_json::to_string_pretty(result)?);
    } else {
        println!("{}", people(result));
    }
    Ok(())
}

/// A table with a heading.
#[must_use]
pub fn table<const N: usize>(heading: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_preset(UTF8_BORDERS_ONLY).set_header(heading);
    for row in rows {
        table.add_row(row);
    }
    table.to_string()
}

/// A JSON value as indented lines of `key: value`.
#[must_use]
pub fn lines(value: &serde_json::Value) -> String {
    fn write(value: &serde_json::Value, depth: usize, out: &mut Vec<String>) {
        let indent = "  ".repeat(depth);
        let serde_json::Value::Object(map) = value else {
            return out.push(format!("{indent}{value}"));
        };
        for (key, value) in map {
            match value {
                serde_json::Value::Object(_) => {
                    out.push(format!("{indent}{key}:"));
                    write(value, depth + 1, out);
                }
                serde_json::Value::String(text) => out.push(format!("{indent}{key}: {text}")),
                value => out.push(format!("{indent}{key}: {value}")),
            }
        }
    }
    let mut out = Vec::new();
    write(value, 0, &mut out);
    out.join("\n")
}
