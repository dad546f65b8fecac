//! The examples' manifests, changed as far as a test machine must: its images, small sizes, nonces.

use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Writes `examples/<name>.yaml` to `folder` as `<file>.yaml` with each change (from, to) made wherever it occurs, and
/// gives the path.
///
/// # Errors
/// When a text that shall be changed is not in the example.
pub fn adapted(folder: &Path, name: &str, file: &str, changes: &[(&str, &str)]) -> Result<String> {
    let source = iono_testkit::repo_root()?.join(format!("examples/{name}.yaml"));
    let mut text =
        std::fs::read_to_string(&source).with_context(|| format!("cannot read {}", source.display()))?;
    for (from, to) in changes {
        ensure!(text.contains(from), "{} has no {from:?}", source.display());
        text = text.replace(from, to);
    }
    let path = folder.join(format!("{file}.yaml"));
    std::fs::write(&path, text)?;
    Ok(path.to_str().context("a folder that is not UTF-8")?.to_owned())
}
