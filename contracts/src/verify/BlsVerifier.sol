// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IBlsVerifier} from "../interfaces/IBlsVerifier.sol";
import {Bls} from "./Bls.sol";
import {HashToG1} from "./HashToG1.sol";

/// @title  BlsVerifier: the Bls library as a contract, for whoever verifies too seldom to carry it
/// @notice Stateless and immutable. Made once for each chain, it refuses one without EIP-2537.
contract BlsVerifier is IBlsVerifier {
    /// The chain lacks EIP-2537, or has it differently.
    error Bls_NoPrecompile();

    /// A known answer for the probe: the key of secret 1 is g2 itself, so its signature of a message is H(message).
    bytes private constant G2 = hex"00000000000000000000000000000000024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
        hex"0000000000000000000000000000000013e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
        hex"000000000000000000000000000000000ce5d527727d6e118cc9cdc6da2e351aadfd9baa8cbdd3a76d429a695160d12c923ac9cc3baca289e193548608b82801"
        hex"000000000000000000000000000000000606c4a02ea734cc32acd2b02bc28b99cb3e287e85a763af267492ab572e99ab3f370d275cec1da1aaa9075ff05f79be";

    /// @dev Probes the precompiles: one signature that must hold and one that must not.
    constructor() {
        bytes memory signature = HashToG1.hash("probe", Bls.SIGNATURE_DOMAIN);
        if (!Bls.verify(G2, "probe", signature) || Bls.verify(G2, "another", signature)) revert Bls_NoPrecompile();
    }

    /// @inheritdoc IBlsVerifier
    function verify(bytes calldata publicKey, bytes calldata message, bytes calldata signature)
        external
        view
        returns (bool)
    {
        return Bls.verify(publicKey, message, signature);
    }

    /// @inheritdoc IBlsVerifier
    function verifyPossession(bytes calldata publicKey, bytes32 digest, bytes calldata proof)
        external
        view
        returns (bool)
    {
        return Bls.verifyPossession(publicKey, digest, proof);
    }

    /// @inheritdoc IBlsVerifier
    function hashToG1(bytes calldata message, bytes calldata domain) external view returns (bytes memory point) {
        if (domain.length == 0 || domain.length > 255) revert Bls_BadLength("domain");
        return HashToG1.hash(message, domain);
    }
}
