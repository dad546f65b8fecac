//! `fizz init`.

use anyhow::Result;
use iono_host::start;
use serde_json::json;

use super::output;
use crate::cli::Common;

/// A complete configuration; lines that begin with `#` are explanations or defaults.
const TEMPLATE: &str = include_str!("template.toml");

/// Writes the commented configuration.
///
/// # Errors
/// When the file is there already or cannot be written.
pub(super) fn run(common: &Common, force: bool) -> Result<()> {
    let path = &common.config;
    start::write_template(path, TEMPLATE, force)?;
    output::result(common, &json!({ "config": path }), |_| {
        format!(
            "wrote {}; edit it, register the pin that `fizz pin` shows, then `fizz check`",
            path.display()
        )
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use iono_host::config::{Config, Leases, Role, Share};

    use super::*;

    #[test]
    fn the_template_is_a_valid_config_with_the_defaults() {
        let config = Config::parse(Role::Light, "template", TEMPLATE, [], &[]).unwrap();
        assert_eq!(config.reserve, Share::default());
        assert_eq!(config.leases, Leases::default());
        assert!(!config.pause.on_battery && config.subnet.is_none() && config.keys.is_none());
    }
}
