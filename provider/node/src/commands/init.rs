//! `provider init` and `provider hardware`.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::output;
use crate::cli::Common;
use crate::machine;
use iono_host::config::{Config, template::TEMPLATE};

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

/// Shows what was found, what of it is offered, what is withheld and why, and the tiers that the registry is told.
///
/// # Errors
/// When the machine cannot be measured.
pub async fn hardware(common: &Common, config: &Config) -> Result<()> {
    let machine::Seen { this, offer, unknown } = machine::look(config).await?;
    if let Some(why) = unknown {
        output::remark(&format!("whether GPUs can be offered is not known: {why}"));
    }
    let tiers = offer.attributes(&config.public);
    let shown = json!({ "machine": this, "offered": offer, "tiers": tiers });
    output::result(common, &shown, output::lines)?;
    Ok(())
}
