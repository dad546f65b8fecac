//! Sends a person's transactions: estimated with a margin, one after the other, each waited for, every refusal in
//! words. (Daemons use the durable sender of `iono-chain`; here the person is there to look.)

use std::sync::Mutex;
use std::time::Duration;

use alloy::consensus::Transaction as _;
use alloy::eips::eip2718::Encodable2718;
use alloy::network::{EthereumWallet, NetworkTransactionBuilder, TransactionBuilder};
use alloy::primitives::{Address, B256, Bytes, U256, utils::format_ether};
use alloy::providers::Provider;
use alloy::rpc::types::{Log, TransactionRequest};
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::{SolCall, SolEvent};
use alloy::transports::{RpcError, TransportErrorKind};
use iono_bindings::errors;
use serde::Serialize;

use crate::chain::{Chain, refused};
use crate::error::{Context, Failure, Kind, Result};
use crate::output::{Output, Report, table};

/// Gas limit over the estimate, in percent: state may change between estimate and block.
const GAS_MARGIN: u64 = 130;
/// And this much more: a bill that is nothing at the estimate's time and something a second later is written to ledgers
/// that may hold nothing yet, two of them. What is not used is not paid.
const GAS_EXTRA: u64 = 50_000;
/// Units of gas, at most, by which the limits of two equal transactions differ: so their hashes differ, and what a node
/// knows already is never another command's transaction.
const GAS_JITTER: u64 = 10_000;
/// Tries when another transaction of the same key comes in between.
const ATTEMPTS: u32 = 4;
/// How often a receipt is asked for.
const RECEIPT_POLL: Duration = Duration::from_millis(200);

/// One transaction to be.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// Name of the step in results, such as `create_order`.
    pub(crate) name: &'static str,
    /// What it does, for people, as in "cannot …".
    pub(crate) doing: String,
    pub(crate) to: Address,
    pub(crate) input: Bytes,
    function: &'static str,
}

impl Step {
    pub(crate) fn new<C: SolCall>(
        name: &'static str,
        doing: impl Into<String>,
        to: Address,
        call: &C,
    ) -> Self {
        Self { name, doing: doing.into(), to, input: call.abi_encode().into(), function: C::SIGNATURE }
    }
}

/// A transaction that was mined and succeeded.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sent {
    pub(crate) step: &'static str,
    pub(crate) hash: B256,
    pub(crate) block: u64,
    pub(crate) gas: u64,
    #[serde(skip)]
    pub(crate) logs: Vec<Log>,
}

impl Sent {
    /// The first event `E` of the receipt.
    pub(crate) fn event<E: SolEvent>(&self) -> Option<E> {
        self.logs.iter().find_map(|log| E::decode_log(&log.inner).ok().map(|decoded| decoded.data))
    }
}

/// What `--dry-run` shows instead of sending.
#[derive(Debug, Clone, Serialize)]
struct Planned {
    step: &'static str,
    contract: String,
    to: Address,
    function: &'static str,
    data: Bytes,
    /// `null` when the step cannot be simulated before the one that precedes it.
    gas: Option<u64>,
}

/// Whether a node refused a transaction because its nonce is taken.
pub(crate) fn is_nonce_race(error: &RpcError<TransportErrorKind>) -> bool {
    let message = error.as_error_resp().map(|payload| payload.message.to_lowercase()).unwrap_or_default();
    ["nonce too low", "replacement transaction underpriced"].iter().any(|words| message.contains(words))
}

/// Signs and sends with one key.
pub(crate) struct Sender {
    chain: Chain,
    signer: PrivateKeySigner,
    output: Output,
    dry_run: bool,
    timeout: Duration,
    planned: Mutex<Vec<Planned>>,
}

impl Sender {
    pub(crate) fn new(
        chain: Chain,
        signer: PrivateKeySigner,
        output: Output,
        dry_run: bool,
        timeout: Duration,
    ) -> Self {
        Self { chain, signer, output, dry_run, timeout, planned: Mutex::new(Vec::new()) }
    }

    pub(crate) fn address(&self) -> Address {
        self.signer.address()
    }

    pub(crate) fn signer(&self) -> &PrivateKeySigner {
        &self.signer
    }

    /// Simulates, signs, sends and waits for the receipt. `None` with `--dry-run`: the step is recorded instead.
    pub(crate) async fn send(&self, step: Step) -> Result<Option<Sent>> {
        let request = TransactionRequest::default()
            .with_from(self.address())
            .with_to(step.to)
            .with_input(step.input.clone());
        if self.dry_run {
            return self.record(step, request).await;
        }
        let rpc = &self.chain.rpc;
        let gas = match rpc.estimate_gas(request.clone()).await {
            Ok(gas) => gas.saturating_mul(GAS_MARGIN) / 100 + GAS_EXTRA + rand::random_range(0..GAS_JITTER),
            Err(error) => return Err(self.explain(&step, &error).await),
        };
        let mut attempts = 0;
        let hash = loop {
            attempts += 1;
            match self.submit(step.name, request.clone(), gas).await? {
                Ok(hash) => break hash,
                // Another command of this key came in between: take the next nonce.
                Err(error) if attempts < ATTEMPTS && is_nonce_race(&error) => {}
                Err(error) => return Err(self.explain(&step, &error).await),
            }
        };
        self.receipt(&step, hash).await.map(Some)
    }

    /// Signs with the key's next nonce and sends; the inner error is the RPC's.
    async fn submit(
        &self,
        step: &'static str,
        request: TransactionRequest,
        gas: u64,
    ) -> Result<std::result::Result<B256, RpcError<TransportErrorKind>>> {
        let rpc = &self.chain.rpc;
        let fees = rpc.estimate_eip1559_fees().await.or_fail(Kind::Rpc, "cannot read the chain's fees")?;
        let nonce = rpc
            .get_transaction_count(self.address())
            .pending()
            .await
            .or_fail(Kind::Rpc, "cannot read the key's nonce")?;
        let signed = request
            .with_chain_id(self.chain.book.chain_id)
            .with_nonce(nonce)
            .with_gas_limit(gas)
            .with_max_fee_per_gas(fees.max_fee_per_gas)
            .with_max_priority_fee_per_gas(fees.max_priority_fee_per_gas)
            .build(&EthereumWallet::from(self.signer.clone()))
            .await
            .or_fail(Kind::Failed, "cannot sign the transaction")?;
        let hash = *signed.tx_hash();
        tracing::debug!(step, %hash, nonce, gas = signed.gas_limit(), "sending");
        Ok(rpc.send_raw_transaction(&signed.encoded_2718()).await.map(|_| hash))
    }

    async fn receipt(&self, step: &Step, hash: B256) -> Result<Sent> {
        let deadline = tokio::time::Instant::now() + self.timeout;
        loop {
            // A failed poll is not a failed transaction: only the deadline gives up.
            if let Ok(Some(receipt)) = self.chain.rpc.get_transaction_receipt(hash).await {
                let block = receipt.block_number.unwrap_or_default();
                if !receipt.status() {
                    return Err(self.replay(step, hash, block).await);
                }
                let (gas, logs) = (receipt.gas_used, receipt.logs().to_vec());
                return Ok(Sent { step: step.name, hash, block, gas, logs });
            }
            if tokio::time::Instant::now() >= deadline {
                let waited = humantime::format_duration(self.timeout);
                return Err(Failure::new(
                    Kind::Timeout,
                    format!("cannot {}: transaction {hash} is not in a block after {waited}", step.doing),
                )
                .hint("it may still be mined: look before you send again; --receipt-timeout waits longer"));
            }
            tokio::time::sleep(RECEIPT_POLL).await;
        }
    }

    /// Why a mined transaction failed: the same call again on the block before it.
    async fn replay(&self, step: &Step, hash: B256, block: u64) -> Failure {
        let request = TransactionRequest::default()
            .with_from(self.address())
            .with_to(step.to)
            .with_input(step.input.clone());
        match self.chain.rpc.call(request).block(block.into()).await {
            Err(error) => self.explain(step, &error).await,
            Ok(_) => Failure::new(
                Kind::Refused,
                format!(
                    "cannot {}: transaction {hash} failed in block {block}, and the same call works now",
                    step.doing
                ),
            )
            .hint("another transaction came between; try again"),
        }
    }

    async fn explain(&self, step: &Step, error: &RpcError<TransportErrorKind>) -> Failure {
        if let Some(explained) = errors::revert_of(error) {
            return refused(&format!("cannot {}", step.doing), &explained);
        }
        let ether = self.chain.rpc.get_balance(self.address()).await.unwrap_or(U256::MAX);
        let message = crate::error::chain(error);
        if ether.is_zero() || message.contains("nsufficient funds") {
            return Failure::new(
                Kind::Funds,
                format!(
                    "cannot {}: {} has {} ether to pay for gas",
                    step.doing,
                    self.address(),
                    format_ether(ether)
                ),
            )
            .hint("send ether to this address; on a devnet `iono faucet` gives some");
        }
        Failure::new(Kind::Rpc, format!("cannot {}: {message}", step.doing))
    }

    async fn record(&self, step: Step, request: TransactionRequest) -> Result<Option<Sent>> {
        let first = self.planned.lock().map(|planned| planned.is_empty()).unwrap_or(true);
        let gas = match self.chain.rpc.estimate_gas(request).await {
            Ok(gas) => Some(gas),
            Err(error) if first => return Err(self.explain(&step, &error).await),
            Err(_) => None,
        };
        let contract = self.chain.book.name_of(step.to).unwrap_or("token").to_owned();
        if let Ok(mut planned) = self.planned.lock() {
            planned.push(Planned {
                step: step.name,
                contract,
                to: step.to,
                function: step.function,
                data: step.input,
                gas,
            });
        }
        Ok(None)
    }

    /// What `--dry-run` found.
    pub(crate) fn plan(&self) -> Report {
        let planned = self.planned.lock().map(|planned| planned.clone()).unwrap_or_default();
        self.output.note("dry run: nothing was sent");
        let rows = planned.iter().map(|step| {
            let gas = step.gas.map_or_else(|| "after the step before".to_owned(), |gas| gas.to_string());
            vec![step.step.to_owned(), step.contract.clone(), step.function.to_owned(), gas]
        });
        let text = table(&["STEP", "CONTRACT", "FUNCTION", "GAS"], rows);
        Report::new(
            &serde_json::json!({ "dry_run": true, "from": self.address(), "transactions": planned }),
            text,
        )
    }
}
