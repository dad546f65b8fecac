//! `provider init` and `provider hardware`.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use iono_hardware::Hardware;
use serde_json::json;

use super::output;
use crate::capacity::Offer;
use crate::cli::Common;
use crate::config::{Config, template::TEMPLATE};
use crate::machine;

/// Writes the commented configuration.
///
/// # Errors
/// When the file is there already or cannot be written.
pub fn run(common: &Common, force: bool) -> Result<()> {
    let path = &common.config;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let mut file = options
        .open(path)
        .with_context(|| format!("cannot write {}; --force replaces a file that is there", path.display()))?;
    file.write_all(TEMPLATE.as_bytes())?;
    output::result(common, &json!({ "config": path }), |_| {
        format!("wrote {}; edit it, then `provider register` and `provider check`", path.display())
    })?;
    Ok(())
}

/// Shows what was found and what of it is offered.
///
/// # Errors
/// When the machine cannot be measured.
pub fn hardware(common: &Common, config: &Config) -> Result<()> {
    let found = Hardware::discover(&config.runtime.storage_path)?;
    let offer = Offer::of(machine::offer(&found), &config.reserve, &config.offer);
    let shown = json!({ "machine": found, "offered": offer });
    output::result(common, &shown, output::lines)?;
    Ok(())
}
