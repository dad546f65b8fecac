//! What `fizz`'s commands do; each takes the settings, does its work and prints one result.

mod check;
mod init;
pub mod output;

use anyhow::Result;
use clap::CommandFactory as _;
use iono_host::config::{Config, Role};
use iono_host::reload::Source;
use iono_identity::ServerIdentity;
use serde_json::json;

pub use check::Missing;

use crate::cli::{Cli, Command, Common};
use crate::daemon;

/// Does what the command line says.
///
/// # Errors
/// What failed, in words for people; [`Missing`] when `fizz check` found something missing.
pub async fn run(cli: Cli) -> Result<()> {
    let Cli { common, command } = cli;
    match command {
        Command::Init { force } => init::run(&common, force),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "fizz", &mut text);
            output::text(&String::from_utf8_lossy(&text));
            Ok(())
        }
        Command::Pin => pin(&common, &load(&common)?),
        Command::Check => check::run(&common, &load(&common)?).await,
        Command::Run => {
            let config = load(&common)?;
            let (path, overrides) = (common.config.clone(), common.set.clone());
            daemon::run(config, Source { role: Role::Light, path, overrides }).await
        }
    }
}

fn load(common: &Common) -> Result<Config> {
    Ok(Config::load(Role::Light, &common.config, &common.set)?)
}

fn pin(common: &Common, config: &Config) -> Result<()> {
    iono_host::start::make_private(&config.data_dir)?;
    let pin = ServerIdentity::load_or_create(&daemon::key_path(&config.data_dir))?.pin();
    let shown = json!({ "pin": pin.to_string(), "hex": pin.0 });
    output::result(common, &shown, |_| pin.to_string())?;
    Ok(())
}
