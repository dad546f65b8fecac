// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IFizzShares} from "../../src/interfaces/IFizzShares.sol";
import {ProviderRecord} from "../../src/interfaces/IProviderRegistry.sol";
import {OrderFlags, Terms} from "../../src/lib/Types.sol";
import {MarketBase} from "../market/MarketBase.sol";

/// @title  SettleAttack: anyone may settle, and how often somebody does changes nobody's earnings
/// @notice Each settlement used to round provider and light node down by up to a unit of its own. At a unit a second, which
///         is a third of a cent an hour, a stranger who settled every second took everything from the provider, and a
///         gateway everything from its light node.
contract SettleAttack is MarketBase {
    uint80 private constant UNIT_A_SECOND = 1e12;
    uint256 private constant FIZZ = 5;

    address private node = makeAddr("node");

    function test_everySecondByAStranger() public {
        _provider(1);
        uint256 lease = _lease(UNIT_A_SECOND, 0);
        _settleEachSecond(lease, 100);
        assertEq(_net(1), 78, "78% of a hundred units");
    }

    function test_everySecondByTheGateway() public {
        _gateway();
        uint256 lease = _lease(UNIT_A_SECOND, FIZZ);
        _settleEachSecond(lease, 100);
        assertEq(_net(uint160(node)), uint256(78) * 30 / 100, "30% of the net");
        assertEq(_net(1), 78 - uint256(78) * 30 / 100);
    }

    /// Two leases alike, one settled in any rhythm, one once: every ledger shows the same.
    function testFuzz_anyRhythm(uint80 rate, uint16[24] memory steps) public {
        _gateway();
        uint256 lease = _lease(uint80(bound(rate, 1, MAX_RATE)), FIZZ);
        uint256 state = vm.snapshotState();
        uint256 secs = HOLDBACK;
        skip(HOLDBACK);
        for (uint256 i; i < steps.length; ++i) {
            uint256 step = bound(steps[i], 1, i % 2 == 0 ? 3 : DURATION / 24);
            secs += step;
            skip(step);
            leases.settle(lease);
        }
        uint256[4] memory often = _ledgers(lease);
        vm.revertToState(state);
        skip(secs);
        leases.settle(lease);
        assertEq(abi.encode(often), abi.encode(_ledgers(lease)));
    }

    function _settleEachSecond(uint256 lease, uint256 times) private {
        skip(HOLDBACK);
        for (uint256 i; i < times; ++i) {
            skip(1);
            vm.prank(stranger);
            leases.settle(lease);
        }
    }

    function _ledgers(uint256 lease) private view returns (uint256[4] memory) {
        return [_net(1), _fee(1), _net(uint160(node)), leases.lockedOf(lease)];
    }

    function _gateway() private {
        _allowAnyFizz();
        vm.mockCall(fizzShares, abi.encodeCall(IFizzShares.shareOf, (1, FIZZ)), abi.encode(node, 3000));
        ProviderRecord memory gateway = _record(_hotKey(1));
        gateway.offersFizz = true;
        _providerWith(1, gateway, 1000e18);
    }

    function _lease(uint80 rate, uint256 fizz) private returns (uint256 lease) {
        Terms memory t = _terms();
        t.flags = OrderFlags.PROVIDER | OrderFlags.FIZZ;
        lease = _create(t, _spec());
        address hot = _hotKey(1);
        vm.prank(hot);
        orders.placeBid(lease, rate, uint32(fizz));
        _resolve(lease);
        _confirm(lease);
    }
}
