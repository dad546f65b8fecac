//! `matchmaker`: a keeper that resolves each order as soon as its seed exists, and is paid the match fee for it; with a
//! BLS key an operator of the quorum that matches orders by the hundred. It cannot choose the winner either way: that is
//! a pure function of the chain's storage and the seed. See docs/matchmaker.md.

mod api;
mod args;
mod auctions;
mod check;
mod config;
mod desk;
mod drand;
mod journal;
mod keeper;
mod market;
mod operator;
mod peers;
mod reader;
mod roster;
mod run;
mod status;
mod task;
mod view;
mod watch;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory as _, Parser as _};

use args::{Cli, Command};
use config::Config;

/// Fail-points of this daemon; those of the chain crate come on top.
const FAIL_POINTS: &[&str] = &[
    "matchmaker.started",
    "matchmaker.before_commit",
    "matchmaker.after_commit",
    "matchmaker.before_resolve",
    "matchmaker.after_resolve",
    "matchmaker.before_expire",
    "matchmaker.after_expire",
    "matchmaker.before_sign",
    "matchmaker.after_sign",
    "matchmaker.before_share",
    "matchmaker.after_share",
    "matchmaker.before_submit",
    "matchmaker.after_submit",
    "matchmaker.before_seed",
    "matchmaker.after_seed",
];

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        complain("error: a TLS provider is installed already");
        return ExitCode::FAILURE;
    }
    match dispatch(cli).await {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(cli: Cli) -> Result<ExitCode> {
    let config = || Config::load(&cli.config, std::env::vars(), &cli.set);
    match cli.command {
        Command::Run { list_failpoints: true } => {
            let names = [FAIL_POINTS, iono_chain::FAIL_POINTS].concat();
            say(&if cli.json { serde_json::to_string(&names)? } else { names.join("\n") })?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Run { .. } => run::run(config()?).await.map(|()| ExitCode::SUCCESS),
        Command::Status => {
            let status = status::read(&config()?).await?;
            say(&if cli.json { serde_json::to_string(&status)? } else { status.to_string() })?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Check => {
            let findings = check::run(config()).await;
            say(&if cli.json { serde_json::to_string(&findings)? } else { check::table(&findings) })?;
            let well = findings.iter().all(|finding| finding.ok);
            Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "matchmaker", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The result goes to stdout.
fn say(text: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

/// Prose goes to stderr.
fn complain(text: &str) {
    // Nothing is left to do when stderr is gone.
    let _ = writeln!(std::io::stderr(), "{text}");
}
