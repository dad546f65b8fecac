//! `iono`: the tenant's, provider owner's and governor's command line. Main only wires: parse, run, write, exit.

mod agreed;
mod args;
mod census;
mod chain;
mod commands;
mod context;
mod error;
mod files;
mod holdings;
mod home;
mod keys;
mod lease_file;
mod manifest_file;
mod offers;
mod operators;
mod order;
mod output;
mod permit;
mod prices;
mod probe;
mod providers;
mod remote;
mod rollout;
mod time;
mod token;
mod tx;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::context::Context;
use crate::output::Output;

/// Exit status of `iono shell` when iono itself fails, as with `docker exec`.
const SHELL_FAILED: u8 = 125;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output { json: cli.global.json, quiet: cli.global.quiet };
    let shell = matches!(cli.command, Command::Shell(_));
    tracing_subscriber_to_stderr();
    // Two crypto providers in one process panic at first use: pick ours before anything connects.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();

    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(2)
        .build()
        .map_err(|error| error::Failure::new(error::Kind::Failed, format!("cannot start: {error}")))
        .and_then(|runtime| {
            let result = runtime.block_on(run(cli));
            // A read of stdin that nobody ends must not keep the process.
            runtime.shutdown_background();
            result
        })
        .and_then(|report| output.finish(&report).map(|()| report.status));
    match result {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            output.fail(&failure);
            ExitCode::from(if shell { SHELL_FAILED } else { failure.kind as u8 })
        }
    }
}

async fn run(cli: Cli) -> error::Result<output::Report> {
    let context = Context::new(cli.global)?;
    commands::run(&context, cli.command).await
}

/// `RUST_LOG` shows what happens underneath, on stderr; silent otherwise.
fn tracing_subscriber_to_stderr() {
    if std::env::var_os("RUST_LOG").is_some() {
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_writer(std::io::stderr)
            .init();
    }
}
