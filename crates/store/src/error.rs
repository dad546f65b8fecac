//! What can go wrong with a store, in words that say what to do.

use sqlx::migrate::MigrateError;

/// A store's failure. Nothing was written when a method returns one.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Neither SQLite nor Postgres.
    #[error("`{0}` is no store; write sqlite:PATH or postgres://USER@HOST/DATABASE")]
    Address(String),
    /// A newer program wrote the schema.
    #[error(
        "the store's schema (migration {0}) is newer than this program; run the newer program, or start with an empty store: the chain has all but the journal"
    )]
    Newer(i64),
    /// The schema cannot be brought up to date.
    #[error("the store's schema cannot be brought up to date: {0}")]
    Migrate(MigrateError),
    /// The store is of another deployment.
    #[error(
        "the store belongs to {stored}, and this daemon is to follow {wanted}; give each deployment its own store"
    )]
    OtherChain {
        /// What the store was bound to first.
        stored: String,
        /// What is asked for now.
        wanted: String,
    },
    /// No space is left.
    #[error(
        "the store's disk is full; nothing was written. Free some space; the daemon goes on by itself ({0})"
    )]
    Full(String),
    /// Another process holds it.
    #[error("the store is locked by another process ({0}); one daemon per store")]
    Busy(String),
    /// A document has another version than expected.
    #[error("{namespace}/{key} was changed by someone else meanwhile; read it again")]
    Conflict {
        /// Namespace of the document.
        namespace: String,
        /// Its key.
        key: String,
    },
    /// A number is larger than the database can hold.
    #[error("{0} is too large for the store")]
    Range(u64),
    /// What is stored cannot be read.
    #[error("the store holds something unreadable in {what}: {reason}")]
    Corrupt {
        /// Table and key.
        what: String,
        /// Why.
        reason: String,
    },
    /// The database failed.
    #[error("the store failed: {0}")]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|e| e.code().map(std::borrow::Cow::into_owned));
        // SQLite: 13 FULL, 5 BUSY, 6 LOCKED and their extended codes (low byte); Postgres: 53100 disk_full.
        let sqlite = code.as_deref().and_then(|code| code.parse::<u32>().ok()).filter(|code| *code < 10_000);
        match (code.as_deref(), sqlite.map(|code| code & 0xff)) {
            (Some("53100"), _) | (_, Some(13)) => Self::Full(error.to_string()),
            (_, Some(5 | 6)) => Self::Busy(error.to_string()),
            _ => Self::Database(error),
        }
    }
}

impl From<MigrateError> for StoreError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(version) => Self::Newer(version),
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
            error => Self::Migrate(error),
        }
    }
}
