//! The table of kills, `target/faults.json`: which daemon died at which fail-point, and what was found afterwards. Tests
//! of several processes add their rows to one file.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result};
use fs4::FileExt;
use serde_json::{Value, json};

use crate::repo_root;

/// Adds the row of a kill that was survived, in place of an older one of the same daemon and fail-point. `found` says
/// what the test saw afterwards, such as `{"leases": 1}`.
///
/// # Errors
/// When the file cannot be read or written.
pub fn record(daemon: &str, fail_point: &str, found: &Value) -> Result<()> {
    let folder = repo_root()?.join("target");
    fs::create_dir_all(&folder)?;
    let lock = File::create(folder.join("faults.lock"))?;
    FileExt::lock(&lock)?;
    write(&folder.join("faults.json"), daemon, fail_point, found)
}

fn write(path: &Path, daemon: &str, fail_point: &str, found: &Value) -> Result<()> {
    let mut rows: Vec<Value> = match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).with_context(|| path.display().to_string())?,
        Err(_) => Vec::new(),
    };
    rows.retain(|row| row["daemon"] != daemon || row["fail_point"] != fail_point);
    rows.push(json!({ "daemon": daemon, "fail_point": fail_point, "killed_by": "SIGKILL", "found": found }));
    rows.sort_by_key(|row| (row["daemon"].to_string(), row["fail_point"].to_string()));
    Ok(fs::write(path, serde_json::to_string_pretty(&rows)? + "\n")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_replaces_its_older_self() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("faults.json");
        for (daemon, point, leases) in [("b", "x", 1), ("a", "y", 1), ("b", "x", 2)] {
            write(&path, daemon, point, &json!({ "leases": leases })).unwrap();
        }
        let rows: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(rows.as_array().unwrap().len(), 2);
        assert_eq!((&rows[0]["daemon"], &rows[1]["found"]["leases"]), (&json!("a"), &json!(2)));
    }
}
