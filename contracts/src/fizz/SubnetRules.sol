// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IFizzRegistry, SubnetTerms} from "../interfaces/IFizzRegistry.sol";

/// @title  SubnetRules: what a subnet may ask and give (SP-38)
library SubnetRules {
    /// A gateway keeps at least a tenth, so that no vote makes it work for nothing.
    uint256 internal constant MAX_SHARE = 9_000;
    /// Twenty times what the first tier stakes. More would expel everybody by other means.
    uint256 internal constant MAX_DELEGATION = 10_000e18;

    function check(SubnetTerms calldata terms) internal pure {
        if (terms.share > MAX_SHARE) revert IFizzRegistry.FizzRegistry_BadTerms("share");
        if (terms.minDelegation > MAX_DELEGATION) revert IFizzRegistry.FizzRegistry_BadTerms("minDelegation");
    }
}
