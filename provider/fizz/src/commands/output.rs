//! Results on stdout: JSON for programs, lines for people. Prose goes to stderr.
#![allow(clippy::print_stdout, clippy::print_stderr)]

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
