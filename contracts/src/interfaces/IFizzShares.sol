// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title  FizzShares: who is paid for a light node, and how much of a lease's net (SP-37)
/// @notice Read once, when a lease opens: the lease keeps both.
interface IFizzShares {
    /// @return payee an address; zero when the node is unknown
    /// @return share bp of the net, at most 10,000
    function shareOf(uint256 provider, uint256 fizz) external view returns (address payee, uint256 share);
}
