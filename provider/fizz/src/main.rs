//! `fizz`: parses the command line and hands over to the library.

use std::process::ExitCode;

use clap::Parser as _;
use iono_fizz::cli::Cli;
use iono_fizz::commands::{self, Missing, output};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        output::remark("error: a TLS provider is installed already");
        return ExitCode::FAILURE;
    }
    match commands::run(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The list that was printed says it all.
            if !error.is::<Missing>() {
                output::remark(&format!("error: {error:#}"));
            }
            ExitCode::FAILURE
        }
    }
}
