//! Where the contracts are: the JSON that `contracts/script/Deploy.s.sol` writes for each chain.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use alloy::primitives::Address;
use serde::{Deserialize, Serialize};

/// Addresses of one deployment. Keys that are not known here are passed over: a newer script may write more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AddressBook {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Block from which a follower reads; no earlier one holds an event of ours.
    pub start_block: u64,
    /// SPON.
    pub spon: Address,
    /// Payment tokens and market terms.
    pub payment_tokens: Address,
    /// Providers.
    pub provider_registry: Address,
    /// Stakes.
    pub staking_manager: Address,
    /// Wallets and ledgers.
    pub escrow: Address,
    /// Orders and bids.
    pub order_book: Address,
    /// Leases.
    pub lease_book: Address,
    /// Scoring weights.
    pub match_policy: Address,
    /// Seeds.
    pub randomness: Address,
    /// Ratings.
    pub ratings: Address,
    /// Delegates and revocations.
    pub lease_access: Address,
    /// BLS12-381.
    pub bls_verifier: Address,
    /// Operators of the matching quorum.
    pub operator_registry: Address,
    /// Their stakes.
    pub operator_staking: Address,
    /// What they sign.
    pub match_task_manager: Address,
    /// Era boundaries.
    pub era_clock: Address,
    /// Who may call the governed functions.
    pub access_manager: Address,
    /// Who deployed it; on a devnet it was given the supply of SPON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployer: Option<Address>,
    /// What holds the foundation's delegations; older deployments have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foundation_delegation: Option<Address>,
    /// Light nodes and subnets; older deployments have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fizz_registry: Option<Address>,
    /// What subnets decide; older deployments have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet_governor: Option<Address>,
    /// Payment tokens by symbol.
    #[serde(default)]
    pub tokens: BTreeMap<String, Address>,
}

/// Why an address book was refused.
#[derive(Debug, thiserror::Error)]
pub enum AddressBookError {
    /// The file cannot be read.
    #[error(
        "cannot read the address book {path}: {source}; ask for it who deployed the contracts with `iono admin deploy`"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not the JSON of an address book.
    #[error("{path} is no address book: {source}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its line.
        source: serde_json::Error,
    },
    /// A contract is missing.
    #[error("{path} has the zero address for {name}; deploy again or mend the file")]
    Zero {
        /// The file.
        path: PathBuf,
        /// The contract.
        name: &'static str,
    },
    /// Another chain than the RPC's.
    #[error(
        "the address book is for chain {book}, but the RPC serves chain {rpc}; use the book or the RPC of one chain"
    )]
    Chain {
        /// The book's chain id.
        book: u64,
        /// The RPC's chain id.
        rpc: u64,
    },
}

impl AddressBook {
    /// Reads and validates a file.
    ///
    /// # Errors
    /// [`AddressBookError`] when it cannot be read, is malformed, or lacks a contract.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, AddressBookError> {
        let path = path.as_ref().to_owned();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source) => return Err(AddressBookError::Read { path, source }),
        };
        let book: Self = match serde_json::from_str(&text) {
            Ok(book) => book,
            Err(source) => return Err(AddressBookError::Parse { path, source }),
        };
        match book.contracts().into_iter().find(|(_, address)| address.is_zero()) {
            Some((name, _)) => Err(AddressBookError::Zero { path, name }),
            None => Ok(book),
        }
    }

    /// Refuses a book of another chain.
    ///
    /// # Errors
    /// [`AddressBookError::Chain`].
    pub fn check_chain(&self, rpc: u64) -> Result<(), AddressBookError> {
        if self.chain_id == rpc { Ok(()) } else { Err(AddressBookError::Chain { book: self.chain_id, rpc }) }
    }

    /// Contracts that the market cannot do without, by the book's own names.
    #[must_use]
    pub fn contracts(&self) -> [(&'static str, Address); 17] {
        [
            ("spon", self.spon),
            ("paymentTokens", self.payment_tokens),
            ("providerRegistry", self.provider_registry),
            ("stakingManager", self.staking_manager),
            ("escrow", self.escrow),
            ("orderBook", self.order_book),
            ("leaseBook", self.lease_book),
            ("matchPolicy", self.match_policy),
            ("randomness", self.randomness),
            ("ratings", self.ratings),
            ("leaseAccess", self.lease_access),
            ("blsVerifier", self.bls_verifier),
            ("operatorRegistry", self.operator_registry),
            ("operatorStaking", self.operator_staking),
            ("matchTaskManager", self.match_task_manager),
            ("eraClock", self.era_clock),
            ("accessManager", self.access_manager),
        ]
    }

    /// The book's name for an address: a contract or a token.
    #[must_use]
    pub fn name_of(&self, address: Address) -> Option<&str> {
        let contract = self.contracts().into_iter().find(|(_, a)| *a == address).map(|(name, _)| name);
        contract
            .or_else(|| self.tokens.iter().find(|(_, a)| **a == address).map(|(symbol, _)| symbol.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn book() -> serde_json::Value {
        let names = [
            "spon",
            "paymentTokens",
            "providerRegistry",
            "stakingManager",
            "escrow",
            "orderBook",
            "leaseBook",
            "matchPolicy",
            "randomness",
            "ratings",
            "leaseAccess",
            "blsVerifier",
            "operatorRegistry",
            "operatorStaking",
            "matchTaskManager",
            "eraClock",
            "accessManager",
        ];
        let mut book = json!({ "chainId": 31337, "startBlock": 3, "deployer": Address::ZERO, "tokens": {} });
        for (index, name) in names.into_iter().enumerate() {
            book[name] = json!(Address::with_last_byte(index as u8 + 1));
        }
        book["tokens"]["dUSD"] = json!(Address::with_last_byte(99));
        book
    }

    fn load(book: &serde_json::Value) -> Result<AddressBook, AddressBookError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), book.to_string()).unwrap();
        AddressBook::load(file.path())
    }

    #[test]
    fn what_the_script_writes_is_read() {
        let book = load(&book()).unwrap();
        assert_eq!((book.chain_id, book.start_block, book.deployer), (31337, 3, Some(Address::ZERO)));
        assert_eq!(book.name_of(book.lease_book), Some("leaseBook"));
        assert_eq!(book.name_of(Address::with_last_byte(99)), Some("dUSD"));
        assert!(book.check_chain(1).unwrap_err().to_string().contains("chain 31337"));
    }

    #[test]
    fn a_missing_contract_is_named() {
        let mut zero = book();
        zero["escrow"] = json!(Address::ZERO);
        assert!(load(&zero).unwrap_err().to_string().contains("escrow"));
        let mut missing = book();
        missing.as_object_mut().unwrap().remove("escrow");
        assert!(load(&missing).unwrap_err().to_string().contains("escrow"));
        assert!(AddressBook::load("/nowhere.json").unwrap_err().to_string().contains("iono admin deploy"));
    }
}
