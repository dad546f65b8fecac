// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {Test} from "forge-std/Test.sol";

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {IFizzRegistry} from "../../src/interfaces/IFizzRegistry.sol";
import {ILeaseBook} from "../../src/interfaces/ILeaseBook.sol";
import {IMatchTaskManager} from "../../src/interfaces/IMatchTaskManager.sol";
import {IRandomness} from "../../src/interfaces/IMatching.sol";
import {IOperatorRegistry} from "../../src/interfaces/IOperatorRegistry.sol";
import {IOrderBook} from "../../src/interfaces/IOrderBook.sol";
import {ProviderRecord} from "../../src/interfaces/IProviderRegistry.sol";
import {LeaseWord} from "../../src/lib/LeaseWord.sol";
import {ResourcesWord} from "../../src/lib/ResourcesWord.sol";
import {TermsWord} from "../../src/lib/TermsWord.sol";
import {CloseReason, LeaseState, OrderFlags, Spec, Terms} from "../../src/lib/Types.sol";
import {LeaseBook} from "../../src/market/LeaseBook.sol";
import {OrderBook} from "../../src/market/OrderBook.sol";
import {MatchPolicy} from "../../src/matching/MatchPolicy.sol";
import {MatchTaskManager} from "../../src/matching/MatchTaskManager.sol";
import {OperatorRegistry} from "../../src/operator/OperatorRegistry.sol";
import {Escrow} from "../../src/payment/Escrow.sol";
import {PaymentTokens} from "../../src/payment/PaymentTokens.sol";
import {ProviderRegistry} from "../../src/provider/ProviderRegistry.sol";
import {EraClock} from "../../src/staking/EraClock.sol";
import {StakingManager} from "../../src/staking/StakingManager.sol";
import {DevDollar} from "../../src/token/DevDollar.sol";
import {SPON} from "../../src/token/SPON.sol";
import {Built} from "../Built.sol";

/// @title  MarketBase: the whole market wired as in a deployment, a tenant with a funded wallet, staked providers
/// @notice Token 0 is SPON, token 1 a dollar of six decimals; both are worth a dollar.
abstract contract MarketBase is Test {
    using LeaseWord for uint256;

    uint256 internal constant DOLLAR = 1;
    uint40 internal constant HOLDBACK = 1 hours;
    uint40 internal constant CONFIRM_WINDOW = 60;
    uint40 internal constant MAX_PAUSE = 7 days;
    /// A cent a second: an hour is 36 dollars, a truncated unit would show.
    uint80 internal constant MAX_RATE = 0.01e18;
    uint80 internal constant RATE = 0.007e18 + 1;
    uint32 internal constant DURATION = 1 days;
    uint256 internal constant WEIGHTS = 3500 | (1500 << 16) | (1000 << 32) | (500 << 48) | (1000 << 64) | (1000 << 80)
        | (1000 << 96) | (500 << 112) | (100_000 << 128);
    /// 2 CPU, 4 GiB, 10 GiB.
    uint256 internal constant CPU = 2000;
    uint256 internal constant MEMORY = 4096;
    uint256 internal constant STORAGE = 10_240;

    address internal governor = makeAddr("governor");
    address internal foundation = makeAddr("foundation");
    address internal arbiter = makeAddr("arbiter");
    address internal fizzShares = makeAddr("fizz shares");
    address internal keeper = makeAddr("keeper");
    address internal tenant = makeAddr("tenant");
    address internal stranger = makeAddr("stranger");

    AccessManager internal manager;
    SPON internal spon;
    DevDollar internal dollar;
    MatchPolicy internal policies;
    PaymentTokens internal tokens;
    EraClock internal clock;
    ProviderRegistry internal registry;
    StakingManager internal staking;
    Escrow internal escrow;
    IRandomness internal randomness;
    LeaseBook internal leases;
    OrderBook internal orders;
    OperatorRegistry internal operators;
    StakingManager internal operatorStaking;
    MatchTaskManager internal tasks;

    uint256 internal wallet;

    function setUp() public virtual {
        vm.warp(1_800_000_000);
        vm.roll(1000);
        _deploy();
        dollar.mint(tenant, 1_000_000e6);
        wallet = escrow.createWallet(tenant);
        vm.startPrank(tenant);
        dollar.approve(address(escrow), type(uint256).max);
        escrow.deposit(wallet, DOLLAR, 10_000e6);
        vm.stopPrank();
    }

    /// @dev The second stage's contracts, with no operator yet.
    function _deployQuorum(uint256 nonce) private {
        address operatorStakingAt = vm.computeCreateAddress(address(this), nonce + 6);
        operators = OperatorRegistry(
            Built.make(
                "OperatorRegistry",
                abi.encode(
                    IOperatorRegistry.Wiring({
                        clock: address(clock),
                        staking: operatorStakingAt,
                        restaking: address(0),
                        responseEras: 2,
                        capacity: 64,
                        minWeight: 100e18
                    })
                )
            )
        );
        address tasksAt = vm.computeCreateAddress(address(this), nonce + 7);
        address[4] memory slashers = [tasksAt, address(0), address(0), address(0)];
        operatorStaking = StakingManager(
            Built.make("StakingManager", abi.encode(address(manager), spon, operators, clock, 7 days, slashers))
        );
        tasks = MatchTaskManager(
            Built.make(
                "MatchTaskManager",
                abi.encode(
                    IMatchTaskManager.Wiring({
                        orders: address(orders),
                        leases: address(leases),
                        operators: address(operators),
                        staking: address(operatorStaking),
                        escrow: address(escrow),
                        paymentTokens: address(tokens),
                        randomness: address(randomness),
                        challengeWindow: 1 hours
                    })
                )
            )
        );
        assertEq(address(tasks), tasksAt);
    }

    function _deploy() internal {
        manager = new AccessManager(governor);
        spon = SPON(Built.make("SPON", abi.encode(address(manager))));
        dollar = DevDollar(Built.make("DevDollar", ""));
        policies = MatchPolicy(Built.make("MatchPolicy", abi.encode(address(manager), WEIGHTS)));
        tokens = PaymentTokens(
            Built.make("PaymentTokens", abi.encode(address(manager), policies, address(spon), 1e8, _market()))
        );
        clock = EraClock(Built.make("EraClock", abi.encode(block.timestamp, 1 days)));
        randomness = _makeRandomness();

        uint256 nonce = vm.getNonce(address(this));
        address stakingAt = vm.computeCreateAddress(address(this), nonce + 1);
        address escrowAt = vm.computeCreateAddress(address(this), nonce + 2);
        address leasesAt = vm.computeCreateAddress(address(this), nonce + 3);
        address ordersAt = vm.computeCreateAddress(address(this), nonce + 4);
        registry = ProviderRegistry(
            Built.make("ProviderRegistry", abi.encode(address(manager), leasesAt, stakingAt, address(this)))
        );
        address[4] memory slashers = [leasesAt, address(0), address(0), address(0)];
        staking = StakingManager(
            Built.make("StakingManager", abi.encode(address(manager), spon, registry, clock, 7 days, slashers))
        );
        escrow = Escrow(
            Built.make(
                "Escrow",
                abi.encode(
                    IEscrow.Wiring(ordersAt, leasesAt, address(tokens), address(registry), foundation, _homeToken())
                )
            )
        );
        leases = LeaseBook(
            Built.make(
                "LeaseBook",
                abi.encode(
                    ILeaseBook.Wiring({
                        orderBook: ordersAt,
                        escrow: escrowAt,
                        paymentTokens: address(tokens),
                        registry: address(registry),
                        staking: address(staking),
                        arbiter: arbiter,
                        fizzShares: fizzShares,
                        holdback: HOLDBACK,
                        confirmWindow: CONFIRM_WINDOW,
                        maxPause: MAX_PAUSE
                    })
                )
            )
        );
        orders = OrderBook(
            Built.make(
                "OrderBook",
                abi.encode(
                    IOrderBook.Wiring(
                        address(escrow),
                        address(leases),
                        address(tokens),
                        address(registry),
                        address(policies),
                        address(randomness),
                        vm.computeCreateAddress(address(this), nonce + 7),
                        address(clock),
                        fizzShares
                    )
                )
            )
        );
        assertEq(address(orders), ordersAt);
        _deployQuorum(nonce);
        vm.startPrank(governor);
        tokens.enableToken(address(dollar), 1e8);
        spon.mint(governor, 10_000_000e18);
        vm.stopPrank();
    }

    /// @dev 20% commission, 2% payer's and receiver's fee, 25% rebate; 15 dollars a step, 5 cents a match.
    function _market() internal pure virtual returns (uint256) {
        return TermsWord.pack(TermsWord.Fields(2000, 200, 200, 2500, 1, 2, 1500, 5, 500, 500));
    }

    function _makeRandomness() internal virtual returns (IRandomness) {
        return IRandomness(Built.make("BlockHashRandomness", ""));
    }

    function _homeToken() internal pure virtual returns (uint256) {
        return DOLLAR;
    }

    // ---------------------------------------------------------------- providers

    function _hotKey(uint256 n) internal returns (address) {
        return makeAddr(string.concat("hot ", vm.toString(n)));
    }

    function _owner(uint256 n) internal returns (address) {
        return makeAddr(string.concat("owner ", vm.toString(n)));
    }

    /// @dev 16 CPU, 64 GiB, 1 TiB, 4 GPUs; takes both tokens; general purpose, NVMe, GPU tier 6, medium, SOC2.
    function _record(address hotKey) internal pure virtual returns (ProviderRecord memory) {
        return ProviderRecord({
            hotKey: hotKey,
            region: 0x0203, // area 2, zone 3
            attributes: 2 | (3 << 2) | (6 << 4) | (2 << 8) | (1 << 11),
            tokens: 3,
            offersOwn: true,
            offersFizz: false,
            capacity: ResourcesWord.pack(16_000, 65_536, 1_048_576, 4, 6, 3, 0, "a100"),
            pin: bytes32(uint256(1)),
            endpoint: "provider.test:8443"
        });
    }

    /// @dev Registered and staked: may bid.
    function _provider(uint256 n) internal returns (uint256 provider) {
        return _providerWith(n, _record(_hotKey(n)), 1000e18);
    }

    function _providerWith(uint256 n, ProviderRecord memory record, uint256 stake) internal returns (uint256 provider) {
        address owner = _owner(n);
        vm.prank(owner);
        (, provider) = registry.propose(record);
        if (stake == 0) return provider;
        vm.prank(governor);
        spon.transfer(owner, stake);
        vm.startPrank(owner);
        spon.approve(address(staking), stake);
        staking.stake(provider, stake);
        vm.stopPrank();
    }

    /// @dev Stands in for the registry of light nodes: each may be named by a bid.
    function _allowAnyFizz() internal {
        vm.etch(fizzShares, hex"00");
        vm.mockCall(fizzShares, abi.encodeWithSelector(IFizzRegistry.whyNot.selector), abi.encode(""));
    }

    // ---------------------------------------------------------------- orders

    function _terms() internal view returns (Terms memory) {
        return Terms({
            wallet: uint48(wallet),
            token: uint16(DOLLAR),
            duration: DURATION,
            maxRate: MAX_RATE,
            region: 0,
            requirements: 0,
            flags: OrderFlags.PROVIDER
        });
    }

    function _spec() internal pure returns (Spec memory) {
        return _specOf(CPU, MEMORY, STORAGE, 0, 0);
    }

    function _specOf(uint256 cpu, uint256 memoryMib, uint256 storageMib, uint256 gpus, uint256 gpuTier)
        internal
        pure
        returns (Spec memory)
    {
        return Spec({
            resources: ResourcesWord.pack(cpu, memoryMib, storageMib, gpus, gpuTier, 0, 1, bytes16(0)),
            manifestHash: keccak256("manifest"),
            providers: 0,
            groups: _group(1, cpu, memoryMib, storageMib, gpus)
        });
    }

    function _group(uint256 count, uint256 cpu, uint256 memoryMib, uint256 storageMib, uint256 gpus)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodePacked(
            uint16(count), uint24(cpu), uint24(memoryMib), uint24(storageMib), uint24(0), uint8(gpus), uint8(0)
        );
    }

    function _create() internal returns (uint256 order) {
        return _create(_terms(), _spec());
    }

    function _create(Terms memory terms, Spec memory spec) internal returns (uint256 order) {
        vm.prank(tenant);
        return orders.createOrder(terms, spec);
    }

    function _bid(uint256 n, uint256 order, uint256 rate) internal {
        address hot = _hotKey(n);
        vm.prank(hot);
        orders.placeBid(order, uint80(rate), 0);
    }

    /// @dev Mines `blocks` of a second each.
    function _mine(uint256 blocks) internal {
        // Not block.number: the optimiser takes it for a constant.
        vm.roll(vm.getBlockNumber() + blocks);
        skip(blocks);
    }

    function _resolve(uint256 order) internal returns (uint256 provider) {
        _mine(4);
        vm.prank(keeper);
        return orders.resolve(order);
    }

    // ---------------------------------------------------------------- leases

    /// @dev A pending lease of provider 1 at RATE.
    function _pending() internal returns (uint256 lease) {
        if (registry.providerCount() == 0) _provider(1);
        lease = _create();
        _bid(1, lease, RATE);
        assertEq(_resolve(lease), 1);
    }

    /// @dev An active lease that starts now.
    function _active() internal returns (uint256 lease) {
        lease = _pending();
        _confirm(lease);
    }

    function _confirm(uint256 lease) internal {
        address hot = _hotKey(1);
        vm.prank(hot);
        leases.confirm(lease);
    }

    function _w0(uint256 lease) internal view returns (uint256 w0) {
        (w0,) = leases.leaseWords(lease);
    }

    function _w1(uint256 lease) internal view returns (uint256 w1) {
        (, w1) = leases.leaseWords(lease);
    }

    function _state(uint256 lease) internal view returns (LeaseState) {
        return _w1(lease).state();
    }

    function _reason(uint256 lease) internal view returns (CloseReason) {
        return _w1(lease).reason();
    }

    /// @dev Gross in dollars' units for `secs` seconds at `rate`.
    function _gross(uint256 rate, uint256 secs) internal pure returns (uint256) {
        return rate * secs / 1e12;
    }

    /// @dev Gross with the payer's 2%.
    function _lock(uint256 rate, uint256 secs) internal pure returns (uint256) {
        return _gross(rate, secs) + _gross(rate, secs) * 200 / 10_000;
    }

    function _free() internal view returns (uint256) {
        return escrow.balanceOf(wallet, DOLLAR);
    }

    function _net(uint256 payee) internal view returns (uint256 net) {
        (net,) = escrow.ledgerOf(payee, DOLLAR);
    }

    function _fee(uint256 payee) internal view returns (uint256 fee) {
        (, fee) = escrow.ledgerOf(payee, DOLLAR);
    }
}
