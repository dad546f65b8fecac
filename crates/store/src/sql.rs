//! The statements of both databases. SQLite and Postgres agree on every one of them (numbered parameters, upserts,
//! RETURNING); only how a writing transaction begins differs, so one macro writes both implementations.

use serde_json::Value;

use crate::StoreError;
use crate::model::{Document, Intent, IntentState};

/// Rows per INSERT: six parameters each, well below SQLite's 32,766.
pub(crate) const ROWS: usize = 1_000;

/// The databases' integers are signed.
pub(crate) fn int(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Range(number))
}

pub(crate) fn json(what: &str, text: &str) -> Result<Value, StoreError> {
    serde_json::from_str(text)
        .map_err(|error| StoreError::Corrupt { what: what.to_owned(), reason: error.to_string() })
}

pub(crate) type IntentRow = (String, Vec<u8>, String, Option<i64>, String);

pub(crate) fn intent(row: IntentRow) -> Result<Intent, StoreError> {
    let (key, sender, state, nonce, body) = row;
    let corrupt =
        |reason: &str| StoreError::Corrupt { what: format!("journal {key}"), reason: reason.to_owned() };
    let state =
        IntentState::ALL.into_iter().find(|s| s.as_str() == state).ok_or_else(|| corrupt("unknown state"))?;
    let sender = sender.as_slice().try_into().map_err(|_| corrupt("sender is no address"))?;
    let body = json(&key, &body)?;
    Ok(Intent { sender, state, nonce: nonce.map(i64::cast_unsigned), body, key })
}

pub(crate) fn document((key, version, body): (String, i64, String)) -> Result<Document, StoreError> {
    let body = json(&key, &body)?;
    Ok(Document { version: version.cast_unsigned(), body, key })
}

/// Implements [`crate::Store`] for `$store`, a struct with `pool` of sqlx's `$db`, whose writing transactions begin
/// with `$begin`; what follows the chain goes through its `begin_cached`, which need not wait for the disk.
macro_rules! implement {
    ($store:ty, $db:ty, $begin:literal) => {
        impl $store {
            async fn begin(&self) -> Result<sqlx::Transaction<'static, $db>, StoreError> {
                Ok(self.pool.begin_with($begin).await?)
            }

            /// Forgets blocks and logs from `from` on.
            async fn cut(
                transaction: &mut sqlx::Transaction<'static, $db>,
                from: u64,
            ) -> Result<(), StoreError> {
                for statement in
                    ["DELETE FROM logs WHERE block >= $1", "DELETE FROM blocks WHERE number >= $1"]
                {
                    sqlx::query(statement).bind(int(from)?).execute(&mut **transaction).await?;
                }
                Ok(())
            }

            async fn make_changes(
                transaction: &mut sqlx::Transaction<'static, $db>,
                changes: &[Change],
            ) -> Result<(), StoreError> {
                for change in changes {
                    let (namespace, key) = match change {
                        Change::Delete { namespace, key } => {
                            sqlx::query("DELETE FROM documents WHERE namespace = $1 AND key = $2")
                                .bind(namespace)
                                .bind(key)
                                .execute(&mut **transaction)
                                .await?;
                            continue;
                        }
                        Change::Put { namespace, key, .. } => (namespace, key),
                    };
                    let Change::Put { body, version, .. } = change else { continue };
                    let statement = match version {
                        None => {
                            "INSERT INTO documents (namespace, key, version, body) VALUES ($1, $2, 1, $3) \
                             ON CONFLICT (namespace, key) DO UPDATE \
                             SET version = documents.version + 1, body = excluded.body"
                        }
                        Some(0) => {
                            "INSERT INTO documents (namespace, key, version, body) VALUES ($1, $2, 1, $3) \
                             ON CONFLICT (namespace, key) DO NOTHING"
                        }
                        Some(_) => {
                            "UPDATE documents SET version = version + 1, body = $3 \
                             WHERE namespace = $1 AND key = $2 AND version = $4"
                        }
                    };
                    let mut query = sqlx::query(statement).bind(namespace).bind(key).bind(body.to_string());
                    if let Some(version) = version.filter(|version| *version > 0) {
                        query = query.bind(int(version)?);
                    }
                    if query.execute(&mut **transaction).await?.rows_affected() == 0 {
                        return Err(StoreError::Conflict { namespace: namespace.clone(), key: key.clone() });
                    }
                }
                Ok(())
            }
        }

        #[async_trait]
        impl Store for $store {
            async fn bind_chain(&self, identity: &str) -> Result<(), StoreError> {
                let mut transaction = self.begin().await?;
                sqlx::query("INSERT INTO meta (key, value) VALUES ('chain', $1) ON CONFLICT (key) DO NOTHING")
                    .bind(identity)
                    .execute(&mut *transaction)
                    .await?;
                let stored: String = sqlx::query_scalar("SELECT value FROM meta WHERE key = 'chain'")
                    .fetch_one(&mut *transaction)
                    .await?;
                if stored != identity {
                    return Err(StoreError::OtherChain { stored, wanted: identity.to_owned() });
                }
                Ok(transaction.commit().await?)
            }

            async fn cursor(&self) -> Result<Option<BlockRef>, StoreError> {
                let row: Option<(i64, Vec<u8>)> =
                    sqlx::query_as("SELECT number, hash FROM blocks ORDER BY number DESC LIMIT 1")
                        .fetch_optional(&self.pool)
                        .await?;
                row.map(block).transpose()
            }

            async fn blocks(&self) -> Result<Vec<BlockRef>, StoreError> {
                let rows: Vec<(i64, Vec<u8>)> =
                    sqlx::query_as("SELECT number, hash FROM blocks ORDER BY number DESC")
                        .fetch_all(&self.pool)
                        .await?;
                rows.into_iter().map(block).collect()
            }

            async fn apply(&self, batch: &Batch<'_>) -> Result<(), StoreError> {
                let mut transaction = self.begin_cached().await?;
                Self::cut(&mut transaction, batch.from).await?;
                for logs in batch.logs.chunks(ROWS) {
                    let mut rows = Vec::with_capacity(logs.len());
                    for log in logs {
                        rows.push((int(log.block)?, int(log.index)?, log));
                    }
                    // One parameter for four columns: copying each by itself from hand to hand is what took the time.
                    let mut query = sqlx::QueryBuilder::<$db>::new(
                        "INSERT INTO logs (block, log_index, tx, address, topics, data) \
                         SELECT column1, column2, substr(column3, 1, 32), substr(column3, 33, 20), \
                                substr(column3, 53, column4), substr(column3, 53 + column4) FROM (",
                    );
                    query.push_values(rows, |mut row, (block, index, log)| {
                        let topics: i32 = log.log.topics().iter().map(|_| 32).sum();
                        row.push_bind(block).push_bind(index).push_bind(log.packed()).push_bind(topics);
                    });
                    query.push(") AS packed");
                    query.build().execute(&mut *transaction).await?;
                }
                for blocks in batch.blocks.chunks(ROWS) {
                    let mut rows = Vec::with_capacity(blocks.len());
                    for block in blocks {
                        rows.push((int(block.number)?, block.hash));
                    }
                    let mut query = sqlx::QueryBuilder::<$db>::new("INSERT INTO blocks (number, hash) ");
                    query.push_values(rows, |mut row, (number, hash)| {
                        row.push_bind(number).push_bind(hash.to_vec());
                    });
                    query.build().execute(&mut *transaction).await?;
                }
                sqlx::query("DELETE FROM blocks WHERE number < $1")
                    .bind(int(batch.forget_below)?)
                    .execute(&mut *transaction)
                    .await?;
                Self::make_changes(&mut transaction, batch.changes).await?;
                Ok(transaction.commit().await?)
            }

            async fn rollback(&self, to: u64, changes: &[Change]) -> Result<(), StoreError> {
                let mut transaction = self.begin_cached().await?;
                Self::cut(&mut transaction, to.saturating_add(1)).await?;
                Self::make_changes(&mut transaction, changes).await?;
                Ok(transaction.commit().await?)
            }

            async fn logs(&self, query: &LogQuery) -> Result<Vec<StoredLog>, StoreError> {
                let mut sql = sqlx::QueryBuilder::<$db>::new(
                    "SELECT block, log_index, tx, address, topics, data FROM logs WHERE block BETWEEN ",
                );
                sql.push_bind(int(*query.blocks.start())?);
                // Callers may ask up to u64::MAX for "to the end".
                sql.push(" AND ").push_bind(i64::try_from(*query.blocks.end()).unwrap_or(i64::MAX));
                if let Some(address) = query.address {
                    sql.push(" AND address = ").push_bind(address.to_vec());
                }
                if let Some(event) = query.event {
                    sql.push(" AND substr(topics, 1, 32) = ").push_bind(event.to_vec());
                }
                sql.push(" ORDER BY block, log_index");
                let rows = sql.build_query_as().fetch_all(&self.pool).await?;
                rows.into_iter().map(StoredLog::read).collect()
            }

            async fn prune_logs(&self, block: u64) -> Result<u64, StoreError> {
                let mut transaction = self.begin().await?;
                let done = sqlx::query("DELETE FROM logs WHERE block < $1")
                    .bind(int(block)?)
                    .execute(&mut *transaction)
                    .await?;
                transaction.commit().await?;
                Ok(done.rows_affected())
            }

            async fn record_intent(&self, new: &Intent) -> Result<Intent, StoreError> {
                let mut transaction = self.begin().await?;
                sqlx::query(
                    "INSERT INTO journal (key, sender, state, nonce, body) VALUES ($1, $2, $3, $4, $5) \
                     ON CONFLICT (key) DO NOTHING",
                )
                .bind(&new.key)
                .bind(new.sender.as_slice())
                .bind(new.state.as_str())
                .bind(new.nonce.map(int).transpose()?)
                .bind(new.body.to_string())
                .execute(&mut *transaction)
                .await?;
                let row = sqlx::query_as("SELECT key, sender, state, nonce, body FROM journal WHERE key = $1")
                    .bind(&new.key)
                    .fetch_one(&mut *transaction)
                    .await?;
                transaction.commit().await?;
                intent(row)
            }

            async fn update_intent(&self, changed: &Intent) -> Result<(), StoreError> {
                let mut transaction = self.begin().await?;
                let done = sqlx::query("UPDATE journal SET state = $2, nonce = $3, body = $4 WHERE key = $1")
                    .bind(&changed.key)
                    .bind(changed.state.as_str())
                    .bind(changed.nonce.map(int).transpose()?)
                    .bind(changed.body.to_string())
                    .execute(&mut *transaction)
                    .await?;
                if done.rows_affected() == 0 {
                    let reason = "it is not there".to_owned();
                    return Err(StoreError::Corrupt { what: format!("journal {}", changed.key), reason });
                }
                Ok(transaction.commit().await?)
            }

            async fn intent(&self, key: &str) -> Result<Option<Intent>, StoreError> {
                let row = sqlx::query_as("SELECT key, sender, state, nonce, body FROM journal WHERE key = $1")
                    .bind(key)
                    .fetch_optional(&self.pool)
                    .await?;
                row.map(intent).transpose()
            }

            async fn open_intents(&self, sender: Address) -> Result<Vec<Intent>, StoreError> {
                let rows: Vec<IntentRow> = sqlx::query_as(
                    "SELECT key, sender, state, nonce, body FROM journal \
                     WHERE sender = $1 AND state NOT IN ('final', 'failed') ORDER BY nonce IS NULL, nonce, key",
                )
                .bind(sender.as_slice())
                .fetch_all(&self.pool)
                .await?;
                rows.into_iter().map(intent).collect()
            }

            async fn forget_intent(&self, key: &str) -> Result<(), StoreError> {
                sqlx::query("DELETE FROM journal WHERE key = $1").bind(key).execute(&self.pool).await?;
                Ok(())
            }

            async fn document(&self, namespace: &str, key: &str) -> Result<Option<Document>, StoreError> {
                let row =
                    sqlx::query_as("SELECT key, version, body FROM documents WHERE namespace = $1 AND key = $2")
                        .bind(namespace)
                        .bind(key)
                        .fetch_optional(&self.pool)
                        .await?;
                row.map(document).transpose()
            }

            async fn documents(&self, namespace: &str) -> Result<Vec<Document>, StoreError> {
                let rows: Vec<(String, i64, String)> =
                    sqlx::query_as("SELECT key, version, body FROM documents WHERE namespace = $1 ORDER BY key")
                        .bind(namespace)
                        .fetch_all(&self.pool)
                        .await?;
                rows.into_iter().map(document).collect()
            }

            async fn change(&self, changes: &[Change]) -> Result<(), StoreError> {
                let mut transaction = self.begin().await?;
                Self::make_changes(&mut transaction, changes).await?;
                Ok(transaction.commit().await?)
            }
        }

        fn block((number, hash): (i64, Vec<u8>)) -> Result<BlockRef, StoreError> {
            let hash = alloy::primitives::B256::try_from(hash.as_slice()).map_err(|_| StoreError::Corrupt {
                what: format!("blocks, {number}"),
                reason: "the hash has another length".to_owned(),
            })?;
            Ok(BlockRef { number: number.cast_unsigned(), hash })
        }
    };
}
pub(crate) use implement;
