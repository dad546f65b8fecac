//! `fizz init`.

use std::io::Write as _;

use anyhow::{Context as _, Result};
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
