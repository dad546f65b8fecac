//! `provider init` and `provider hardware`.

use anyhow::Result;
use serde_json::json;

use super::output;
use crate::cli::Common;
use crate::machine;
use iono_host::config::{Config, template::TEMPLATE};
use iono_host::start;

/// Writes the commented configuration.
///
/// # Errors
/// When the file is there already or cannot be written.
pub fn run(common: &Common, force: bool) -> Result<()> {
    let path = &common.config;
    start::write_template(path, TEMPLATE, force)?;
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
