//! What both daemons do when they start, and their commands before that.

use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use alloy::primitives::Address;
use anyhow::{Context as _, Result};
use iono_bindings::AddressBook;
use iono_identity::unix_now;
use iono_store::{Change, SharedStore};

/// Namespace of what a daemon knows of itself.
pub const SELF: &str = "self";

/// Makes a data directory, for this user alone.
///
/// # Errors
/// When it cannot be made.
pub fn make_private(path: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot make {}", path.display()))
}

/// When a daemon's records begin, unix seconds: its first start on this store.
///
/// # Errors
/// The store's.
pub async fn records_since(store: &SharedStore) -> Result<u64> {
    if let Some(stored) = store.document(SELF, "records_since").await? {
        return Ok(stored.parse()?);
    }
    let now = unix_now();
    store.change(&[Change::put(SELF, "records_since", &now)?]).await?;
    Ok(now)
}

/// The contracts whose logs say what a host has to know.
#[must_use]
pub fn followed(book: &AddressBook) -> Vec<Address> {
    vec![
        book.order_book,
        book.lease_book,
        book.provider_registry,
        book.payment_tokens,
        book.escrow,
        book.lease_access,
    ]
}

/// Writes a commented configuration; one that is there is replaced by `force` alone.
///
/// # Errors
/// When the file is there already or cannot be written.
pub fn write_template(path: &Path, text: &str, force: bool) -> Result<()> {
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
    Ok(file.write_all(text.as_bytes())?)
}
