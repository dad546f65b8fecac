//! The chain as the lease API sees it, in memory: owners, delegates, nonces, leases and contract wallets.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, missing_docs)]

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use alloy::primitives::{Address, B256};
use async_trait::async_trait;
use iono_identity::{Access, LeaseParty, Rights, Unreachable};
use iono_primitives::{LeaseId, WalletId};
use tokio::sync::watch;

#[derive(Default)]
struct State {
    owners: HashMap<WalletId, Address>,
    delegates: HashMap<(WalletId, Address), bool>,
    nonces: HashMap<WalletId, u64>,
    leases: HashMap<LeaseId, LeaseParty>,
    /// Hashes that a contract wallet stands by.
    signed: HashSet<(Address, B256)>,
    slow_wallets: bool,
    down: bool,
}

pub struct MemoryAccess {
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

impl Default for MemoryAccess {
    fn default() -> Self {
        Self { state: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

impl MemoryAccess {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changes.send_modify(|n| *n += 1);
    }

    pub fn transfer(&self, wallet: u64, owner: Address) {
        self.change(|state| {
            state.owners.insert(WalletId(wallet), owner);
            // Delegates are the old owner's.
            state.delegates.retain(|(w, _), _| w.0 != wallet);
        });
    }

    pub fn delegate(&self, wallet: u64, account: Address, write: Option<bool>) {
        let key = (WalletId(wallet), account);
        self.change(|state| match write {
            Some(write) => drop(state.delegates.insert(key, write)),
            None => drop(state.delegates.remove(&key)),
        });
    }

    pub fn revoke(&self, wallet: u64) {
        self.change(|state| *state.nonces.entry(WalletId(wallet)).or_default() += 1);
    }

    pub fn lease(&self, lease: u64, wallet: u64, open: bool) {
        let party = LeaseParty { wallet: WalletId(wallet), open };
        self.change(|state| {
            state.leases.insert(LeaseId(lease), party);
        });
    }

    pub fn contract_signs(&self, account: Address, hash: B256) {
        self.change(|state| {
            state.signed.insert((account, hash));
        });
    }

    pub fn slow_wallets(&self) {
        self.change(|state| state.slow_wallets = true);
    }

    pub fn down(&self, down: bool) {
        self.change(|state| state.down = down);
    }

    fn read<T>(&self, read: impl FnOnce(&State) -> T) -> Result<T, Unreachable> {
        let state = self.state.lock().unwrap();
        if state.down {
            return Err(Unreachable("no RPC answers".to_owned()));
        }
        Ok(read(&state))
    }
}

#[async_trait]
impl Access for MemoryAccess {
    async fn rights(&self, wallet: WalletId, account: Address) -> Result<Rights, Unreachable> {
        self.read(|state| {
            let nonce = state.nonces.get(&wallet).copied().unwrap_or_default();
            let owner = state.owners.get(&wallet) == Some(&account);
            let delegate = state.delegates.get(&(wallet, account)).copied();
            Rights { read: owner || delegate.is_some(), write: owner || delegate == Some(true), nonce }
        })
    }

    async fn lease(&self, lease: LeaseId) -> Result<Option<LeaseParty>, Unreachable> {
        self.read(|state| state.leases.get(&lease).copied())
    }

    async fn is_valid_signature(&self, account: Address, hash: B256, _: &[u8]) -> Result<bool, Unreachable> {
        if self.read(|state| state.slow_wallets)? {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        self.read(|state| state.signed.contains(&(account, hash)))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
