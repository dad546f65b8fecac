// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

import {ILeaseBook, Quote} from "../interfaces/ILeaseBook.sol";
import {Spec} from "../lib/Types.sol";

/// @title  LeaseQuotes: a provider's signed offers to change a lease (EIP-712, SP-23)
/// @notice A quote names the lease's version and rate, so that it serves once and for one present state only.
abstract contract LeaseQuotes is ILeaseBook, EIP712 {
    bytes32 private constant QUOTE_TYPEHASH =
        keccak256("Quote(uint256 lease,uint16 version,uint80 oldRate,bytes32 specHash,uint80 rate,uint40 expiry)");

    constructor() EIP712("Ionosphere LeaseBook", "1") {}

    /// @inheritdoc ILeaseBook
    function quoteHash(Quote calldata quote) public view returns (bytes32) {
        return _hashTypedDataV4(
            keccak256(
                abi.encode(
                    QUOTE_TYPEHASH, quote.lease, quote.version, quote.oldRate, quote.specHash, quote.rate, quote.expiry
                )
            )
        );
    }

    /// @dev `signer` may be a contract (ERC-1271).
    function _checkQuote(
        Quote calldata quote,
        Spec calldata spec,
        uint256 version,
        uint256 rate,
        address signer,
        bytes calldata signature
    ) internal view {
        if (block.timestamp > quote.expiry) revert LeaseBook_QuoteExpired(quote.expiry);
        if (quote.version != version) revert LeaseBook_QuoteMismatch("version");
        if (quote.oldRate != rate) revert LeaseBook_QuoteMismatch("rate");
        if (quote.rate == 0) revert LeaseBook_QuoteMismatch("new rate is zero");
        if (quote.specHash != keccak256(abi.encode(spec))) revert LeaseBook_QuoteMismatch("spec");
        if (!SignatureChecker.isValidSignatureNowCalldata(signer, quoteHash(quote), signature)) {
            revert LeaseBook_QuoteMismatch("signature");
        }
    }
}
