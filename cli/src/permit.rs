//! EIP-2612 permits: one signature in place of an approval, where the token has them.

use alloy::primitives::{Address, B256, U256};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::{SolStruct, eip712_domain};
use iono_bindings::IERC20;

use crate::chain::Chain;
use crate::error::{Context, Kind, Result};
use crate::token::Token;

/// Seconds that a permit is valid: longer than any receipt is waited for.
const VALID: u64 = 1_200;

alloy::sol! {
    struct Permit {
        address owner;
        address spender;
        uint256 value;
        uint256 nonce;
        uint256 deadline;
    }

    #[sol(rpc)]
    interface IERC5267 {
        function eip712Domain() external view returns (
            bytes1 fields, string memory name, string memory version, uint256 chainId, address verifyingContract,
            bytes32 salt, uint256[] memory extensions
        );
        function version() external view returns (string memory);
    }
}

/// A signed permit as the contracts take it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signed {
    pub(crate) deadline: U256,
    pub(crate) v: u8,
    pub(crate) r: B256,
    pub(crate) s: B256,
}

/// Signs a permit; `None` when the token has none, or has one of another form than EIP-2612's.
pub(crate) async fn sign(
    chain: &Chain,
    signer: &PrivateKeySigner,
    token: &Token,
    spender: Address,
    amount: U256,
) -> Result<Option<Signed>> {
    let contract = IERC20::new(token.asset, &chain.rpc);
    let Ok(separator) = contract.DOMAIN_SEPARATOR().call().await else { return Ok(None) };
    let Ok(nonce) = contract.nonces(signer.address()).call().await else { return Ok(None) };
    let Some(name) = contract.name().call().await.ok() else { return Ok(None) };
    // The domain's version is told by ERC-5267 or version(); most tokens have "1". Only one that gives the token's own
    // separator is signed for.
    let described = IERC5267::new(token.asset, &chain.rpc);
    let mut versions = Vec::new();
    if let Ok(domain) = described.eip712Domain().call().await {
        versions.push(domain.version);
    }
    if let Ok(version) = described.version().call().await {
        versions.push(version);
    }
    versions.extend(["1".to_owned(), "2".to_owned()]);
    let domain = versions.into_iter().find_map(|version| {
        let domain = eip712_domain! {
            name: name.clone(),
            version: version,
            chain_id: chain.book.chain_id,
            verifying_contract: token.asset,
        };
        (domain.separator() == separator).then_some(domain)
    });
    let Some(domain) = domain else { return Ok(None) };
    let (_, now) = chain.head().await?;
    let deadline = U256::from(now.max(iono_identity::unix_now()) + VALID);
    let permit = Permit { owner: signer.address(), spender, value: amount, nonce, deadline };
    let signature = signer
        .sign_hash_sync(&permit.eip712_signing_hash(&domain))
        .or_fail(Kind::Failed, "cannot sign the permit")?;
    Ok(Some(Signed {
        deadline,
        v: 27 + u8::from(signature.v()),
        r: signature.r().into(),
        s: signature.s().into(),
    }))
}
