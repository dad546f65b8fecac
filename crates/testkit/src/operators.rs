//! Operators of the matching quorum on a devnet.

use alloy::primitives::{Bytes, U256};
use alloy::signers::local::PrivateKeySigner;
use anyhow::{Context, Result};
use iono_bindings::{IERC20, IOperatorRegistry, IStakingManager};
use iono_bls::SecretKey;

use crate::Devnet;

impl Devnet {
    /// Registers an operator's key, stakes whole SPON for it and enters it into the set, where it counts from the next era
    /// on; gives its owner ether.
    ///
    /// # Errors
    /// When a transaction fails.
    pub async fn operator(&self, owner: &PrivateKeySigner, secret: &SecretKey, stake: u64) -> Result<u32> {
        self.anvil.fund(owner.address(), 100 * 10_u128.pow(18)).await?;
        let key = Bytes::from(secret.public_key().to_bytes().to_vec());
        let registry = IOperatorRegistry::new(self.book.operator_registry, self.anvil.provider());
        let digest = registry.possessionDigest(owner.address(), key.clone()).call().await?;
        let proof = Bytes::from(secret.prove_possession(&digest).to_bytes().to_vec());
        let call = IOperatorRegistry::registerCall { key, proof };
        let receipt = self.send(owner, self.book.operator_registry, call).await?;
        let registered = receipt.decoded_log::<IOperatorRegistry::OperatorRegistered>();
        let operator = registered.context("no OperatorRegistered")?.operator;

        let tokens = U256::from(stake) * U256::from(10).pow(U256::from(18));
        let call = IERC20::transferCall { to: owner.address(), amount: tokens };
        self.send(&self.admin(), self.book.spon, call).await?;
        let call = IERC20::approveCall { spender: self.book.operator_staking, amount: tokens };
        self.send(owner, self.book.spon, call).await?;
        let call = IStakingManager::stakeCall { provider: operator, tokens };
        self.send(owner, self.book.operator_staking, call).await?;
        let call = IOperatorRegistry::enterCall { operator, evicted: U256::ZERO };
        self.send(owner, self.book.operator_registry, call).await?;
        Ok(operator.to())
    }

    /// Says where an operator's daemon answers.
    ///
    /// # Errors
    /// When the transaction fails.
    pub async fn announce(&self, owner: &PrivateKeySigner, operator: u32, url: &str) -> Result<()> {
        let call = IOperatorRegistry::announceCall { operator: U256::from(operator), url: url.to_owned() };
        self.send(owner, self.book.operator_registry, call).await?;
        Ok(())
    }
}
