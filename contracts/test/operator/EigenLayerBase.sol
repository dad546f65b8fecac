// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";

import {DevDollar} from "../../src/token/DevDollar.sol";
import {OperatorBase} from "./OperatorBase.sol";

interface IEigenDelegation {
    struct OperatorDetails {
        address unused;
        address delegationApprover;
        uint32 stakerOptOutWindowBlocks;
    }

    struct QueuedWithdrawalParams {
        address[] strategies;
        uint256[] shares;
        address withdrawer;
    }

    struct SignatureWithExpiry {
        bytes signature;
        uint256 expiry;
    }

    function initialize(
        address owner,
        address pauser,
        uint256 paused,
        uint256 delay,
        address[] memory,
        uint256[] memory
    ) external;
    function registerAsOperator(OperatorDetails calldata details, string calldata metadata) external;
    function delegateTo(address operator, SignatureWithExpiry memory approval, bytes32 salt) external;
    function queueWithdrawals(QueuedWithdrawalParams[] calldata params) external returns (bytes32[] memory);
    function undelegate(address staker) external returns (bytes32[] memory);
}

interface IEigenStrategyManager {
    function initialize(address owner, address whitelister, address pauser, uint256 paused) external;
    function addStrategiesToDepositWhitelist(address[] calldata strategies, bool[] calldata forbidden) external;
    function depositIntoStrategy(address strategy, address token, uint256 amount) external returns (uint256);
}

interface IEigenStrategy {
    function initialize(address token, address pauser) external;
}

/// @title  EigenLayerBase: EigenLayer's own core contracts (fetched by tools/eigenlayer), and a staker that uses them
abstract contract EigenLayerBase is OperatorBase {
    string private constant EIGEN = "node_modules/eigenlayer-contracts/out/";
    address internal constant STAKER = address(0x57a);

    IEigenDelegation internal delegation;
    IEigenStrategyManager internal strategies;
    address private _pauser;
    bool private _delegated;

    /// @dev Delegation and strategy managers behind proxies, each knowing the other's address.
    function _deployEigenLayer() internal {
        address[] memory pausers = new address[](1);
        pausers[0] = address(this);
        address pauser = _eigen("PauserRegistry", abi.encode(pausers, address(this)));
        uint256 nonce = vm.getNonce(address(this));
        address strategiesAt = vm.computeCreateAddress(address(this), nonce + 4);
        address delegationAt = vm.computeCreateAddress(address(this), nonce + 5);
        address slasher = _eigen("Slasher", abi.encode(strategiesAt, delegationAt));
        address pods =
            _eigen("EigenPodManager", abi.encode(address(0), address(0), strategiesAt, slasher, delegationAt));
        address strategiesCode = _eigen("StrategyManager", abi.encode(delegationAt, pods, slasher));
        address delegationCode = _eigen("DelegationManager", abi.encode(strategiesAt, slasher, pods));
        strategies = IEigenStrategyManager(
            address(
                new ERC1967Proxy(
                    strategiesCode,
                    abi.encodeCall(IEigenStrategyManager.initialize, (address(this), address(this), pauser, 0))
                )
            )
        );
        delegation = IEigenDelegation(
            address(
                new ERC1967Proxy(
                    delegationCode,
                    abi.encodeCall(
                        IEigenDelegation.initialize, (address(this), pauser, 0, 0, new address[](0), new uint256[](0))
                    )
                )
            )
        );
        assertEq(address(strategies), strategiesAt);
        assertEq(address(delegation), delegationAt);
        _pauser = pauser;
    }

    function _eigen(string memory name, bytes memory args) private returns (address) {
        return vm.deployCode(string.concat(EIGEN, name, ".sol/", name, ".json"), args);
    }

    function _strategyOf(DevDollar token) internal returns (address strategy) {
        address code = _eigen("StrategyBase", abi.encode(strategies));
        strategy = address(new ERC1967Proxy(code, abi.encodeCall(IEigenStrategy.initialize, (address(token), _pauser))));
        address[] memory list = new address[](1);
        list[0] = strategy;
        strategies.addStrategiesToDepositWhitelist(list, new bool[](1));
    }

    /// @dev A staker deposits and, the first time, delegates to the owner of operator 1.
    function _restake(DevDollar token, address strategy, uint256 amount) internal {
        token.mint(STAKER, amount);
        vm.startPrank(STAKER);
        token.approve(address(strategies), amount);
        strategies.depositIntoStrategy(strategy, address(token), amount);
        if (!_delegated) {
            IEigenDelegation.SignatureWithExpiry memory none;
            delegation.delegateTo(_ownerOf(1), none, 0);
            _delegated = true;
        }
        vm.stopPrank();
    }
}
