//! SQLite: one file, write-ahead log, writers queue up at BEGIN IMMEDIATE instead of failing half-way.

use std::path::Path;
use std::time::Duration;

use alloy::primitives::Address;
use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, SqlitePool};

use crate::model::{Batch, BlockRef, Change, Document, Intent, LogQuery, StoredLog};
use crate::sql::{IntentRow, ROWS, document, implement, int, intent};
use crate::{Store, StoreError};

/// How long a writer waits for another.
const BUSY: Duration = Duration::from_secs(10);
/// After this a connection that nobody uses is closed.
const IDLE: Duration = Duration::from_secs(60);

/// Pages of 4 KiB in the log after which the cache's connection moves them into the database, which waits for the disk:
/// rarely, so that a long back-fill does not. The journal's connections do so after 1,000, as is SQLite's default.
const CHECKPOINT_PAGES: u32 = 8_192;

pub(crate) struct Sqlite {
    pool: SqlitePool,
    /// One connection whose commits do not wait for the disk: for what the chain has anyway.
    cache: SqlitePool,
}

impl Sqlite {
    pub(crate) async fn open(path: &str) -> Result<Self, StoreError> {
        let memory = path == ":memory:";
        let mut options = SqliteConnectOptions::new().busy_timeout(BUSY).synchronous(SqliteSynchronous::Full);
        options = if memory {
            options.in_memory(true)
        } else {
            if let Some(folder) = Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty()) {
                std::fs::create_dir_all(folder).map_err(|error| StoreError::Database(error.into()))?;
            }
            options.filename(path).create_if_missing(true).journal_mode(SqliteJournalMode::Wal)
        };
        let (pool, cache) = if memory {
            // Each connection of a memory database would be a database of its own.
            let one = SqlitePoolOptions::new().max_connections(1).min_connections(1);
            let pool = one.idle_timeout(None).max_lifetime(None).connect_with(options).await?;
            (pool.clone(), pool)
        } else {
            let pool = connections(4).max_lifetime(None).connect_with(options.clone()).await?;
            let options = options.synchronous(SqliteSynchronous::Normal);
            let options = options.pragma("wal_autocheckpoint", CHECKPOINT_PAGES.to_string());
            (pool, connections(1).connect_lazy_with(options))
        };
        sqlx::migrate!("migrations/sqlite").run(&pool).await?;
        Ok(Self { pool, cache })
    }
}

/// At most so many connections, none of which is used again after it lost count of its transactions: on a full disk
/// SQLite rolls back by itself, and the driver, whose own rollback then fails, would refuse every transaction to come.
fn connections(most: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(most)
        .idle_timeout(IDLE)
        .before_acquire(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }))
}

impl Sqlite {
    /// After a power failure the last of these transactions may be missing, whole; never one of the journal's, since
    /// committing there flushes the log up to itself.
    async fn begin_cached(&self) -> Result<sqlx::Transaction<'static, sqlx::Sqlite>, StoreError> {
        Ok(self.cache.begin_with("BEGIN IMMEDIATE").await?)
    }
}

implement!(Sqlite, sqlx::Sqlite, "BEGIN IMMEDIATE");

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_disk_says_so_and_writes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("full.db");
        let store = Sqlite::open(path.to_str().unwrap()).await.unwrap();
        store.change(&[Change::put("n", "before", &1).unwrap()]).await.unwrap();
        // As many pages as it has now: the next one is refused with SQLITE_FULL, as on a full disk.
        let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&store.pool).await.unwrap();
        let options = SqliteConnectOptions::new().filename(&path).pragma("max_page_count", pages.to_string());
        let pool = connections(1).connect_with(options).await.unwrap();
        let small = Sqlite { cache: pool.clone(), pool };

        let big = "x".repeat(100_000);
        let changes = [Change::put("n", "small", &2).unwrap(), Change::put("n", "big", &big).unwrap()];
        let error = small.change(&changes).await.unwrap_err();
        assert!(matches!(error, StoreError::Full(_)), "{error}");
        assert!(error.to_string().contains("disk is full"), "{error}");

        // What needs no space can be written still, and by the same connections as everything later.
        small.change(&[Change::put("n", "before", &3).unwrap()]).await.unwrap();
        let keys: Vec<_> = store.documents("n").await.unwrap().into_iter().map(|d| d.key).collect();
        assert_eq!(keys, ["before"]);
        // Space came back: the same store goes on.
        store.change(&changes).await.unwrap();
    }

    #[tokio::test]
    async fn a_newer_schema_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("newer.db");
        let store = Sqlite::open(path.to_str().unwrap()).await.unwrap();
        sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (9999, 'from the future', TRUE, x'00', 0)",
        )
        .execute(&store.pool)
        .await
        .unwrap();
        let error = Sqlite::open(path.to_str().unwrap()).await.err().unwrap();
        assert!(matches!(error, StoreError::Newer(9999)), "{error}");
        assert!(error.to_string().contains("newer than this program"), "{error}");
    }
}
