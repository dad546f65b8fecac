//! The contracts as Rust sees them: interfaces generated from the Solidity build, the packed words, the address book,
//! reverts in words for people, and the light nodes by pages.

pub mod address_book;
pub mod errors;
pub mod light_nodes;
pub mod words;

pub use address_book::{AddressBook, AddressBookError};
pub use errors::{Explained, explain, revert_in, revert_of};
pub use light_nodes::light_nodes;
pub use words::{
    BidWord, LeaseWords, OrderWords, ProfileWord, TermsWord, TokenWord, order_flags, profile_flags,
};

/// What `build.rs` made of `contracts/src/interfaces`: one module per interface (`IOrderBook::placeBidCall`,
/// `IOrderBook::IOrderBookInstance`, `IOrderBook::IOrderBookEvents`…) and the shared structs beside them. Enums and
/// user-defined value types are the plain numbers that the ABI carries.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::unwrap_used)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}
pub use generated::*;

/// Contracts that are not ours: payment tokens, and the test dollar of a devnet.
#[allow(missing_docs, unreachable_pub, clippy::all)]
mod tokens {
    alloy::sol! {
        #![sol(all_derives)]

        /// ERC-20 with metadata and EIP-2612 permit.
        #[sol(rpc)]
        interface IERC20 {
            event Transfer(address indexed from, address indexed to, uint256 value);
            event Approval(address indexed owner, address indexed spender, uint256 value);

            error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed);
            error ERC20InsufficientAllowance(address spender, uint256 allowance, uint256 needed);
            error ERC20InvalidReceiver(address receiver);
            error ERC2612ExpiredSignature(uint256 deadline);
            error ERC2612InvalidSigner(address signer, address owner);
            error SafeERC20FailedOperation(address token);
            error AccessManagedUnauthorized(address caller);
            error ReentrancyGuardReentrantCall();

            function name() external view returns (string memory);
            function symbol() external view returns (string memory);
            function decimals() external view returns (uint8);
            function totalSupply() external view returns (uint256);
            function balanceOf(address account) external view returns (uint256);
            function allowance(address owner, address spender) external view returns (uint256);
            function transfer(address to, uint256 amount) external returns (bool);
            function approve(address spender, uint256 amount) external returns (bool);
            function transferFrom(address from, address to, uint256 amount) external returns (bool);
            function permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;
            function nonces(address owner) external view returns (uint256);
            function DOMAIN_SEPARATOR() external view returns (bytes32);
        }

        /// The devnet's test dollar: anyone may mint; `faucet` gives a small fixed sum.
        #[sol(rpc)]
        interface IDevDollar {
            function mint(address to, uint256 amount) external;
            function faucet() external;
        }
    }
}
pub use tokens::*;
