//! Overrides of single settings by environment variables and `--set`, laid over the file's table before it is typed, so
//! that an unknown key is refused wherever it comes from.

use toml::{Table, Value};

use super::ConfigError;

/// Lays `PREFIX` + `SECTION__KEY=value` over `table`.
///
/// # Errors
/// [`ConfigError::Override`] when a name leads through something that is no section.
pub fn environment(
    table: &mut Table,
    prefix: &str,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<(), ConfigError> {
    for (name, value) in variables {
        if let Some(path) = name.strip_prefix(prefix) {
            let path: Vec<String> = path.split("__").map(str::to_ascii_lowercase).collect();
            insert(table, &path, &value).ok_or(ConfigError::Override(name))?;
        }
    }
    Ok(())
}

/// Lays `section.key=value` over `table`.
///
/// # Errors
/// [`ConfigError::Override`] when an assignment has no `=` or leads through something that is no section.
pub fn assignments(table: &mut Table, assignments: &[String]) -> Result<(), ConfigError> {
    for assignment in assignments {
        let wrong = || ConfigError::Override(assignment.clone());
        let (path, value) = assignment.split_once('=').ok_or_else(wrong)?;
        let path: Vec<String> = path.trim().split('.').map(str::to_owned).collect();
        insert(table, &path, value.trim()).ok_or_else(wrong)?;
    }
    Ok(())
}

fn insert(table: &mut Table, path: &[String], value: &str) -> Option<()> {
    let (key, sections) = path.split_last()?;
    if path.iter().any(String::is_empty) {
        return None;
    }
    let mut here = table;
    for section in sections {
        here = here.entry(section).or_insert_with(|| Value::Table(Table::new())).as_table_mut()?;
    }
    here.insert(key.clone(), typed(value));
    Some(())
}

/// A number, boolean or list when it reads as one, otherwise text, so that nobody needs quotes in a shell.
fn typed(value: &str) -> Value {
    let parsed = toml::from_str::<Table>(&format!("value = {value}"));
    parsed.ok().and_then(|mut table| table.remove("value")).unwrap_or_else(|| Value::String(value.to_owned()))
}
