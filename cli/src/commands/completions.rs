//! `iono completions`: a completion script for a shell.

use clap::CommandFactory;
use serde_json::json;

use crate::args::{Cli, setup::Completions};
use crate::output::Report;

pub(crate) fn run(args: &Completions) -> Report {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "iono", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    Report::new(&json!({ "shell": args.shell.to_string(), "script": script }), script)
}
