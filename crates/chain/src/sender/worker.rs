//! The one task that owns a key's nonces. Every tick it compares the journal with the chain and takes the next step of
//! each intent: queued → sent → mined → final, or back when a re-org or a stray transaction of the same key undid it.
//! A step is journalled before it has an effect, so that a crash between the two repeats it with the same nonce.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::BlockId;
use alloy::eips::eip2718::Encodable2718;
use alloy::network::{TransactionBuilder, TxSignerSync};
use alloy::primitives::{B256, Bytes, TxKind, U256};
use alloy::providers::{DynProvider, Provider};
use alloy::rpc::types::{TransactionReceipt, TransactionRequest};
use alloy::signers::local::PrivateKeySigner;
use alloy::transports::{RpcError, TransportError, TransportErrorKind};
use iono_bindings::{Explained, revert_of};
use iono_store::{Intent, IntentState, StoreError};
use iono_telemetry::{Check, Health, fail_point};

use super::fees::Fees;
use super::job::{Attempt, Job};
use super::{Mined, Shared};
use crate::{Rpc, SenderConfig};
use std::sync::Arc;

/// How long a nonce must be seen as used by something else before it is believed, since the receipt may lag behind: this
/// long and two blocks, or the longer time.
const DOUBT: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(15));
/// How often the balance is looked at.
const BALANCE: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
const GWEI: u64 = 1_000_000_000;

pub(super) struct Worker {
    shared: Arc<Shared>,
    provider: DynProvider,
    chain_id: u64,
    signer: PrivateKeySigner,
    config: SenderConfig,
    poll: Duration,
    finality_depth: u64,
    gas: Check,
    journal: Check,
    /// The nonce that follows all we know of; a higher one on the chain is a stray transaction's doing.
    expected: Option<u64>,
    /// Intents whose nonce is used, though no receipt of theirs shows; since when and which block.
    doubts: HashMap<String, (Instant, u64)>,
    /// Head at which mined intents were last compared.
    compared: u64,
    /// An intent was mined since then.
    fresh: bool,
    balance_at: Option<Instant>,
}

/// Why a tick stopped early; the next one goes on.
#[derive(Debug, thiserror::Error)]
enum TickError {
    #[error(transparent)]
    Rpc(#[from] TransportError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot sign: {0}")]
    Sign(#[from] alloy::signers::Error),
}

/// What the chain says of our account.
struct Account {
    head: u64,
    /// Nonces below this are used by mined transactions.
    latest: u64,
    /// Nonces below this are used by transactions that the node knows.
    pending: u64,
}

impl Worker {
    pub(super) fn new(
        shared: Arc<Shared>,
        rpc: &Rpc,
        signer: PrivateKeySigner,
        config: SenderConfig,
        health: &Health,
    ) -> Self {
        let (gas, journal) = (health.check("gas"), health.check("journal"));
        // Red only on evidence: an outage is the `rpc` check's matter.
        gas.ok();
        journal.ok();
        Self {
            shared,
            provider: rpc.provider().clone(),
            chain_id: rpc.chain_id(),
            signer,
            config,
            poll: rpc.config().poll(),
            finality_depth: rpc.config().finality_depth,
            gas,
            journal,
            expected: None,
            doubts: HashMap::new(),
            compared: 0,
            fresh: false,
            balance_at: None,
        }
    }

    pub(super) async fn run(mut self) {
        let token = self.shared.shutdown.token();
        let mut changes = self.shared.changed.subscribe();
        let mut wait = self.poll;
        while !token.is_cancelled() {
            changes.mark_unchanged();
            match self.tick().await {
                Ok(()) => {
                    self.journal.ok();
                    wait = self.poll;
                }
                Err(error) => {
                    match &error {
                        TickError::Store(error) => self.journal.fail(error.to_string()),
                        error => tracing::debug!(%error, "sending is interrupted; trying again"),
                    }
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                    continue;
                }
            }
            tokio::select! {
                () = token.cancelled() => {}
                _ = changes.changed() => {}
                () = tokio::time::sleep(self.poll) => {}
            }
        }
    }

    async fn tick(&mut self) -> Result<(), TickError> {
        if self.balance_at.is_none_or(|at| at.elapsed() > BALANCE) {
            self.look_at_balance().await?;
        }
        let intents: Vec<Intent> = self.shared.lock().values().cloned().collect();
        metrics::gauge!("iono_sender_open_intents").set(intents.len() as f64);
        if intents.is_empty() {
            return Ok(());
        }
        let account = self.account().await?;
        let fresh = std::mem::take(&mut self.fresh);
        for intent in intents.iter().filter(|i| i.state == IntentState::Sent) {
            self.track(intent, &account).await?;
        }
        if fresh || account.head != self.compared {
            for intent in intents.iter().filter(|i| i.state == IntentState::Mined) {
                self.compare(intent, &account).await?;
            }
            self.compared = account.head;
        }
        for intent in intents.iter().filter(|i| i.state == IntentState::Queued) {
            let in_flight = self.shared.lock().values().filter(|i| i.state == IntentState::Sent).count();
            if in_flight >= self.config.in_flight {
                break;
            }
            self.launch(intent, &account).await?;
        }
        self.fill_gap(&account).await
    }

    /// A nonce below those in flight that nothing uses, because a stray transaction vanished or the contract came to
    /// refuse the call that had it, would hold the others up for ever: it is used for nothing.
    async fn fill_gap(&self, account: &Account) -> Result<(), TickError> {
        let nonces: BTreeSet<u64> = {
            let open = self.shared.lock();
            if open.values().any(|i| i.state == IntentState::Queued) {
                return Ok(()); // the next one to be sent takes it
            }
            open.values().filter(|i| i.state == IntentState::Sent).filter_map(|i| i.nonce).collect()
        };
        let (gap, address) = (account.pending, self.shared.address);
        if nonces.contains(&gap) || nonces.range(gap..).next().is_none() {
            return Ok(());
        }
        tracing::warn!(%address, nonce = gap, "nothing uses this nonce and others wait for it; filling it");
        let body = Job::new(address, Bytes::new(), U256::ZERO).to_json()?;
        let (key, state) = (format!("gap:{gap}:{}", now()), IntentState::Queued);
        let filler = Intent { key, sender: address, state, nonce: None, body };
        Ok(self.shared.record(filler).await?)
    }

    async fn account(&mut self) -> Result<Account, TickError> {
        let address = self.shared.address;
        let head = self.provider.get_block_number().await?;
        let latest = self.provider.get_transaction_count(address).await?;
        let pending = self.provider.get_transaction_count(address).pending().await?.max(latest);
        if let Some(expected) = self.expected
            && pending > expected
        {
            metrics::counter!("iono_sender_stray_transactions_total").increment(pending - expected);
            tracing::warn!(
                %address, nonce = pending, expected,
                "someone else sends with this key; going on after its transactions. Give each daemon a key of its own"
            );
        }
        self.expected = self.expected.max(Some(pending));
        Ok(Account { head, latest, pending })
    }

    async fn look_at_balance(&mut self) -> Result<(), TickError> {
        let balance = self.provider.get_balance(self.shared.address).await?;
        let gwei = u64::try_from(balance / U256::from(GWEI)).unwrap_or(u64::MAX);
        metrics::gauge!("iono_sender_balance_gwei").set(gwei as f64);
        if gwei < self.config.low_balance_gwei {
            let low = self.config.low_balance_gwei;
            self.gas.fail(format!(
                "{} has {gwei} gwei left for gas, less than {low}: top it up",
                self.shared.address
            ));
        } else {
            self.gas.ok();
        }
        self.balance_at = Some(Instant::now());
        Ok(())
    }

    /// A sent intent: mined, waiting, dropped, too cheap, or overtaken by a stray transaction.
    async fn track(&mut self, intent: &Intent, account: &Account) -> Result<(), TickError> {
        let mut job = Job::read(intent)?;
        if let Some(receipt) = self.receipt(&job).await? {
            self.doubts.remove(&intent.key);
            return self.mined(intent, job, &receipt).await;
        }
        let Some(nonce) = intent.nonce else { return self.requeue(intent, job).await };
        if account.latest > nonce {
            let (since, head) =
                *self.doubts.entry(intent.key.clone()).or_insert_with(|| (Instant::now(), account.head));
            let (short, long) = DOUBT;
            let sure = since.elapsed() >= long || since.elapsed() >= short && account.head >= head + 2;
            if !sure {
                return Ok(());
            }
            self.doubts.remove(&intent.key);
            tracing::warn!(key = intent.key, nonce, "another transaction took the nonce; sending anew");
            return self.requeue(intent, job).await;
        }
        let Some(last) = job.attempts.last().cloned() else { return self.requeue(intent, job).await };
        if now().saturating_sub(last.at) >= self.config.bump_after_s {
            let estimate = self.provider.estimate_eip1559_fees().await?;
            let paid = Fees { max_fee: last.max_fee, tip: last.tip };
            if let Some(fees) = Fees::replacing(paid, &estimate, &self.config) {
                tracing::info!(key = intent.key, nonce, max_fee = fees.max_fee, "raising the fee");
                let raw = self.attempt(&mut job, nonce, last.gas, fees)?;
                self.write(intent, IntentState::Sent, Some(nonce), &job).await?;
                fail_point("chain.before_replace");
                let _ = self.broadcast(&intent.key, raw).await?;
                return Ok(());
            }
        }
        if self.provider.get_transaction_by_hash(last.hash).await?.is_none() {
            tracing::info!(
                key = intent.key,
                nonce,
                "the node does not know the transaction; sending it again"
            );
            let raw = self.sign(&job, nonce, &last)?.1;
            let _ = self.broadcast(&intent.key, raw).await?;
        }
        Ok(())
    }

    /// A mined intent: final, still on its way there, or gone with a re-org.
    async fn compare(&mut self, intent: &Intent, account: &Account) -> Result<(), TickError> {
        let mut job = Job::read(intent)?;
        let Some(receipt) = self.receipt(&job).await? else {
            tracing::warn!(key = intent.key, "a re-org took the transaction back; sending it again");
            job.mined = None;
            return self.write(intent, IntentState::Sent, intent.nonce, &job).await;
        };
        let block = receipt.block_number.unwrap_or(u64::MAX);
        if job.mined.as_ref().map(|mined| Some(mined.block_hash)) != Some(receipt.block_hash) {
            return self.mined(intent, job, &receipt).await;
        }
        if account.head >= block.saturating_add(self.finality_depth) {
            fail_point("chain.before_final");
            self.write(intent, IntentState::Final, intent.nonce, &job).await?;
        }
        Ok(())
    }

    /// A queued intent: simulated, given a nonce, journalled, sent.
    async fn launch(&mut self, intent: &Intent, account: &Account) -> Result<(), TickError> {
        let mut job = Job::read(intent)?;
        let gas = match self.simulate(&job).await {
            Ok(gas) => gas,
            Err(error) => match revert_of(&error) {
                Some(explained) => return self.failed(intent, job, &explained).await,
                None if is(&error, INSUFFICIENT_FUNDS) => return self.look_at_balance().await,
                None => return Err(error.into()),
            },
        };
        let fees = Fees::first(&self.provider.estimate_eip1559_fees().await?, &self.config);
        let nonce = self.next_nonce(account);
        job.attempts.clear();
        let raw = self.attempt(&mut job, nonce, gas, fees)?;
        self.write(intent, IntentState::Sent, Some(nonce), &job).await?;
        self.expected = self.expected.max(Some(nonce + 1));
        fail_point("chain.before_send");
        match self.broadcast(&intent.key, raw).await? {
            Broadcast::Taken => fail_point("chain.after_send"),
            // Never in any mempool, so that its nonce may be given to another.
            Broadcast::Refused => {
                job.attempts.clear();
                self.write(intent, IntentState::Queued, None, &job).await?;
                self.expected = None;
                self.balance_at = None;
                tokio::time::sleep(self.poll).await;
            }
        }
        Ok(())
    }

    /// The lowest nonce that neither the chain, nor the mempool, nor the journal uses.
    fn next_nonce(&self, account: &Account) -> u64 {
        let open = self.shared.lock();
        let sent = open.values().filter(|i| i.state == IntentState::Sent);
        let used: BTreeSet<u64> = sent.filter_map(|i| i.nonce).collect();
        (account.latest.max(account.pending)..).find(|nonce| !used.contains(nonce)).unwrap_or(account.pending)
    }

    /// Gas for the call with the margin; an error with revert data when the contract refuses.
    async fn simulate(&self, job: &Job) -> Result<u64, TransportError> {
        // On the pending block: what is sent now lands in the next one at the earliest.
        let gas = self.provider.estimate_gas(self.request(job)).block(BlockId::pending()).await?;
        Ok(gas + gas * self.config.gas_margin_percent / 100)
    }

    fn request(&self, job: &Job) -> TransactionRequest {
        TransactionRequest::default()
            .with_from(self.shared.address)
            .with_to(job.to)
            .with_input(job.data.clone())
            .with_value(job.value)
    }

    /// Signs another attempt and adds it to the job.
    fn attempt(&self, job: &mut Job, nonce: u64, gas: u64, fees: Fees) -> Result<Bytes, TickError> {
        let mut attempt = Attempt { hash: B256::ZERO, gas, max_fee: fees.max_fee, tip: fees.tip, at: now() };
        let (hash, raw) = self.sign(job, nonce, &attempt)?;
        attempt.hash = hash;
        job.attempts.push(attempt);
        Ok(raw)
    }

    /// Signing is deterministic (RFC 6979): the same attempt has the same hash after a restart.
    fn sign(&self, job: &Job, nonce: u64, attempt: &Attempt) -> Result<(B256, Bytes), TickError> {
        let mut transaction = TxEip1559 {
            chain_id: self.chain_id,
            nonce,
            gas_limit: attempt.gas,
            max_fee_per_gas: attempt.max_fee,
            max_priority_fee_per_gas: attempt.tip,
            to: TxKind::Call(job.to),
            value: job.value,
            input: job.data.clone(),
            ..TxEip1559::default()
        };
        let signature = self.signer.sign_transaction_sync(&mut transaction)?;
        let signed = TxEnvelope::from(transaction.into_signed(signature));
        Ok((*signed.hash(), signed.encoded_2718().into()))
    }

    async fn broadcast(&self, key: &str, raw: Bytes) -> Result<Broadcast, TickError> {
        let Err(error) = self.provider.send_raw_transaction(&raw).await else { return Ok(Broadcast::Taken) };
        if is(&error, ALREADY_KNOWN) {
            return Ok(Broadcast::Taken);
        }
        if !matches!(error, RpcError::ErrorResp(_)) {
            // It may have arrived; the next tick finds out.
            return Err(error.into());
        }
        if is(&error, INSUFFICIENT_FUNDS) {
            self.gas.fail(format!("{} cannot pay for gas: top it up", self.shared.address));
        }
        tracing::warn!(key, %error, "the node refused the transaction");
        Ok(Broadcast::Refused)
    }

    /// Newest attempts first: they are the likelier ones.
    async fn receipt(&self, job: &Job) -> Result<Option<TransactionReceipt>, TransportError> {
        for attempt in job.attempts.iter().rev() {
            if let Some(receipt) = self.provider.get_transaction_receipt(attempt.hash).await?
                && receipt.block_hash.is_some()
            {
                return Ok(Some(receipt));
            }
        }
        Ok(None)
    }

    async fn mined(
        &mut self,
        intent: &Intent,
        mut job: Job,
        receipt: &TransactionReceipt,
    ) -> Result<(), TickError> {
        let block = receipt.block_number.unwrap_or_default();
        if !receipt.status() {
            let call = self.provider.call(self.request(&job)).block(BlockId::number(block)).await;
            let explained = call.err().as_ref().and_then(revert_of).unwrap_or_else(|| Explained {
                code: "reverted".to_owned(),
                what: format!("transaction {} reverted in block {block}", receipt.transaction_hash),
                hint: "something changed between its simulation and its block".to_owned(),
            });
            return self.failed(intent, job, &explained).await;
        }
        fail_point("chain.before_mined");
        job.mined = Some(Mined {
            transaction: receipt.transaction_hash,
            block,
            block_hash: receipt.block_hash.unwrap_or_default(),
            gas_used: receipt.gas_used,
            gas_price: receipt.effective_gas_price,
        });
        self.write(intent, IntentState::Mined, intent.nonce, &job).await?;
        self.fresh = true;
        metrics::counter!("iono_sender_mined_total").increment(1);
        metrics::counter!("iono_sender_gas_used_total").increment(receipt.gas_used);
        tracing::debug!(key = intent.key, block, transaction = %receipt.transaction_hash, "mined");
        fail_point("chain.after_mined");
        Ok(())
    }

    async fn failed(&mut self, intent: &Intent, mut job: Job, why: &Explained) -> Result<(), TickError> {
        metrics::counter!("iono_sender_failed_total").increment(1);
        tracing::debug!(key = intent.key, code = why.code, "the contract refuses: {why}");
        job.fail(why);
        self.write(intent, IntentState::Failed, intent.nonce, &job).await
    }

    /// Back to the start, with a new nonce; the simulation tells whether the effect is there already.
    async fn requeue(&mut self, intent: &Intent, mut job: Job) -> Result<(), TickError> {
        job.attempts.clear();
        self.write(intent, IntentState::Queued, None, &job).await
    }

    async fn write(
        &self,
        intent: &Intent,
        state: IntentState,
        nonce: Option<u64>,
        job: &Job,
    ) -> Result<(), TickError> {
        let changed = Intent { state, nonce, body: job.to_json()?, ..intent.clone() };
        Ok(self.shared.update(changed).await?)
    }
}

enum Broadcast {
    Taken,
    Refused,
}

const ALREADY_KNOWN: &[&str] = &["already known", "already imported", "known transaction", "alreadyknown"];
const INSUFFICIENT_FUNDS: &[&str] = &["insufficient funds", "insufficient balance", "out of gas money"];

/// Whether the node's words are one of these; nodes agree on them more than on codes.
fn is(error: &RpcError<TransportErrorKind>, words: &[&str]) -> bool {
    let Some(payload) = error.as_error_resp() else { return false };
    let message = payload.message.to_ascii_lowercase();
    words.iter().any(|words| message.contains(words))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
