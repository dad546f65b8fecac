//! Postgres, for daemons that run beside many others.

use std::time::Duration;

use alloy::primitives::Address;
use async_trait::async_trait;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::model::{Batch, BlockRef, Change, Document, Intent, LogQuery, StoredLog};
use crate::sql::{IntentRow, ROWS, document, implement, int, intent};
use crate::{Store, StoreError};

pub(crate) struct Postgres {
    pool: PgPool,
}

impl Postgres {
    pub(crate) async fn open(url: &str) -> Result<Self, StoreError> {
        let pool = PgPoolOptions::new()
            .max_connections(8)
            .acquire_timeout(Duration::from_secs(10))
            .connect(url)
            .await?;
        sqlx::migrate!("migrations/postgres").run(&pool).await?;
        Ok(Self { pool })
    }
}

impl Postgres {
    /// After a crash of the server the last of these transactions may be missing, whole.
    async fn begin_cached(&self) -> Result<sqlx::Transaction<'static, sqlx::Postgres>, StoreError> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query("SET LOCAL synchronous_commit = off").execute(&mut *transaction).await?;
        Ok(transaction)
    }
}

implement!(Postgres, sqlx::Postgres, "BEGIN");
