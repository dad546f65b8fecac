//! Sends transactions, each intent once. An intent has a key that its caller chooses (`bid:42`); it is written to the
//! journal before anything else happens, and whoever asks for the same key again, in this process or after a crash,
//! gets the same transaction. One worker per key owns the nonces; one lock file per key keeps other daemons out.

mod fees;
mod job;
mod lock;
mod worker;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::signers::local::PrivateKeySigner;
use iono_store::{Intent, IntentState, SharedStore};
use iono_telemetry::{Health, Shutdown, fail_point};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{Rpc, SendError, SenderConfig};
use job::Job;
use lock::KeyLock;

/// Sends with one key; cheap to clone.
#[derive(Clone)]
pub struct Sender {
    shared: Arc<Shared>,
}

/// A mined transaction, whose block may still be re-organised away; then it is sent again by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mined {
    /// Hash of the transaction that was mined, of all those sent for the intent.
    pub transaction: B256,
    /// Block it is in.
    pub block: u64,
    /// That block's hash.
    pub block_hash: B256,
    /// Gas it used.
    pub gas_used: u64,
    /// Wei paid per unit of gas.
    pub gas_price: u128,
}

struct Shared {
    store: SharedStore,
    address: Address,
    /// Intents that are not final, as they are in the journal.
    open: Mutex<BTreeMap<String, Intent>>,
    /// Held while journal and memory change together.
    journal: tokio::sync::Mutex<()>,
    /// Counts changes: wakes the worker and those who wait.
    changed: watch::Sender<u64>,
    shutdown: Shutdown,
    _lock: KeyLock,
}

impl Sender {
    /// Takes the key's lock, reads the journal and starts the worker, which ends with `shutdown`. Needs no RPC yet.
    ///
    /// # Errors
    /// [`SendError::Locked`] when another process sends with this key; [`SendError::Store`].
    pub async fn start(
        rpc: &Rpc,
        store: SharedStore,
        signer: PrivateKeySigner,
        config: &SenderConfig,
        health: &Health,
        shutdown: &Shutdown,
    ) -> Result<Self, SendError> {
        let address = signer.address();
        let lock = KeyLock::take(&config.lock_dir, address)?;
        let open = store
            .open_intents(address)
            .await?
            .into_iter()
            .map(|intent| (intent.key.clone(), intent))
            .collect();
        let shared = Arc::new(Shared {
            store,
            address,
            open: Mutex::new(open),
            journal: tokio::sync::Mutex::default(),
            changed: watch::Sender::new(0),
            shutdown: shutdown.clone(),
            _lock: lock,
        });
        let worker = worker::Worker::new(shared.clone(), rpc, signer, config.clone(), health);
        shutdown.spawn("sender", worker.run());
        Ok(Self { shared })
    }

    /// The account that sends.
    #[must_use]
    pub fn address(&self) -> Address {
        self.shared.address
    }

    /// Sends `data` to `to` once for `key`, and waits until it is mined. A key that is in the journal already is not
    /// sent again: its own transaction is waited for, and what came of it is returned. Simulated first, so that a call
    /// the contract refuses costs no gas.
    ///
    /// # Errors
    /// [`SendError::Reverted`] when the contract refuses; the key then stays failed until [`Sender::forget`].
    pub async fn submit(&self, key: &str, to: Address, data: Bytes) -> Result<Mined, SendError> {
        self.submit_with_value(key, to, data, U256::ZERO).await
    }

    /// [`Sender::submit`] with wei for the called contract.
    ///
    /// # Errors
    /// As [`Sender::submit`].
    pub async fn submit_with_value(
        &self,
        key: &str,
        to: Address,
        data: Bytes,
        value: U256,
    ) -> Result<Mined, SendError> {
        fail_point("chain.before_journal");
        let body = Job::new(to, data, value).to_json()?;
        let sender = self.shared.address;
        let queued = Intent { key: key.to_owned(), sender, state: IntentState::Queued, nonce: None, body };
        self.shared.record(queued).await?;
        self.outcome(key).await
    }

    /// Waits for an intent that is in the journal.
    async fn outcome(&self, key: &str) -> Result<Mined, SendError> {
        let mut changes = self.shared.changed.subscribe();
        let token = self.shared.shutdown.token();
        loop {
            changes.mark_unchanged();
            let open = self.shared.lock().get(key).cloned();
            let intent = match open {
                Some(intent) => intent,
                None => self.shared.store.intent(key).await?.ok_or(SendError::Ending)?,
            };
            let job = Job::read(&intent)?;
            match intent.state {
                IntentState::Mined | IntentState::Final => return job.mined.ok_or(SendError::Ending),
                IntentState::Failed => return Err(SendError::Reverted(job.explained())),
                IntentState::Queued | IntentState::Sent => {}
            }
            tokio::select! {
                changed = changes.changed() => changed.map_err(|_| SendError::Ending)?,
                () = token.cancelled() => return Err(SendError::Ending),
            }
        }
    }

    /// What the journal knows of a key; `None` when it was never submitted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn state(&self, key: &str) -> Result<Option<IntentState>, SendError> {
        Ok(self.shared.store.intent(key).await?.map(|intent| intent.state))
    }

    /// Forgets a key that is final or failed, so that it may be submitted anew. An open one stays.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forget(&self, key: &str) -> Result<(), SendError> {
        match self.state(key).await? {
            Some(state) if !state.is_open() => Ok(self.shared.store.forget_intent(key).await?),
            _ => Ok(()),
        }
    }

    /// How many intents are not final.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.lock().len()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Intent>> {
        // A panic while holding it leaves the map whole.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Writes a new intent to the journal, and hands it to the worker unless one of its key is final already.
    async fn record(&self, intent: Intent) -> Result<(), iono_store::StoreError> {
        let _guard = self.journal.lock().await;
        let stored = self.store.record_intent(&intent).await?;
        fail_point("chain.after_journal");
        if stored.state.is_open() {
            self.lock().entry(stored.key.clone()).or_insert(stored);
            self.changed();
        }
        Ok(())
    }

    /// Writes an intent to the journal and then to memory.
    async fn update(&self, intent: Intent) -> Result<(), iono_store::StoreError> {
        let _guard = self.journal.lock().await;
        self.store.update_intent(&intent).await?;
        let mut open = self.lock();
        if intent.state.is_open() {
            open.insert(intent.key.clone(), intent);
        } else {
            open.remove(&intent.key);
        }
        drop(open);
        self.changed();
        Ok(())
    }
}
