// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {IEscrow} from "../interfaces/IEscrow.sol";
import {IPaymentTokens} from "../interfaces/IPaymentTokens.sol";
import {IProviderRegistry} from "../interfaces/IProviderRegistry.sol";
import {TokenWord} from "../lib/TokenWord.sol";

/// @title  Escrow: the one place where tokens lie (SP-17 to SP-19)
/// @notice See IEscrow. What it needs of governed contracts (a token's address, a provider's account) is copied here at
///         the first deposit and the first cash-out, so that no way out ever reads them again.
contract Escrow is IEscrow, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    uint256 private constant FREE_SHIFT = 160;
    uint256 private constant FEE_SHIFT = 128;
    uint256 private constant NET_MASK = type(uint128).max;
    uint256 private constant PROVIDER_IDS = 1 << 32;

    address private immutable ORDER_BOOK;
    address private immutable LEASE_BOOK;
    IPaymentTokens private immutable PAYMENT_TOKENS;
    IProviderRegistry private immutable REGISTRY;
    address private immutable FOUNDATION;
    /// The token that most wallets hold: its free balance shares a slot with the owner.
    uint256 private immutable HOME_TOKEN;

    /// owner 160 | free balance of the home token 96
    mapping(uint256 wallet => uint256) private _heads;
    /// Free balances of all other tokens.
    mapping(uint256 wallet => mapping(uint256 token => uint256)) private _free;
    /// net 128 | fee 128
    mapping(uint256 payee => mapping(uint256 token => uint256)) private _ledgers;
    mapping(uint256 provider => address) private _payouts;
    mapping(uint256 token => address) private _assets;
    uint256 private _walletCount;

    modifier onlyBook() {
        if (msg.sender != ORDER_BOOK && msg.sender != LEASE_BOOK) revert Escrow_NotBook(msg.sender);
        _;
    }

    constructor(Wiring memory w) {
        if (
            w.orderBook == address(0) || w.leaseBook == address(0) || w.paymentTokens == address(0)
                || w.registry == address(0) || w.foundation == address(0)
        ) revert Escrow_ZeroAddress();
        ORDER_BOOK = w.orderBook;
        LEASE_BOOK = w.leaseBook;
        PAYMENT_TOKENS = IPaymentTokens(w.paymentTokens);
        REGISTRY = IProviderRegistry(w.registry);
        FOUNDATION = w.foundation;
        HOME_TOKEN = w.homeToken;
    }

    // ---------------------------------------------------------------- wallets

    /// @inheritdoc IEscrow
    function createWallet(address owner) external returns (uint256 wallet) {
        return _create(owner);
    }

    /// @inheritdoc IEscrow
    function deposit(uint256 wallet, uint256 token, uint256 amount) external nonReentrant {
        _deposit(wallet, token, amount, msg.sender);
    }

    /// @inheritdoc IEscrow
    // slither-disable-next-line reentrancy-no-eth
    function permitAndDeposit(
        uint256 wallet,
        uint256 token,
        uint256 amount,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external nonReentrant {
        // Whoever sees a permit may spend it first: then the allowance is there already.
        try IERC20Permit(assetOf(token)).permit(msg.sender, address(this), amount, deadline, v, r, s) {} catch {}
        _deposit(wallet, token, amount, msg.sender);
    }

    /// @inheritdoc IEscrow
    function withdraw(uint256 wallet, uint256 token, uint256 amount, address to) external nonReentrant {
        if (to == address(0)) revert Escrow_ZeroAddress();
        _take(wallet, token, amount, msg.sender);
        emit Withdrawn(wallet, token, to, amount);
        IERC20(_assets[token]).safeTransfer(to, amount);
    }

    /// @inheritdoc IEscrow
    function transferWallet(uint256 wallet, address to) external {
        if (to == address(0)) revert Escrow_ZeroAddress();
        uint256 head = _heads[wallet];
        if (_ownerIn(head) != msg.sender) revert Escrow_NotOwner(wallet, msg.sender);
        _heads[wallet] = (head >> FREE_SHIFT << FREE_SHIFT) | uint160(to);
        emit WalletTransferred(wallet, msg.sender, to);
    }

    // ---------------------------------------------------------------- the books

    /// @inheritdoc IEscrow
    function reserve(uint256 wallet, uint256 token, uint256 amount, address caller)
        external
        onlyBook
        returns (uint256 free)
    {
        return _take(wallet, token, amount, caller);
    }

    /// @inheritdoc IEscrow
    function release(uint256 wallet, uint256 token, uint256 amount) external onlyBook {
        _give(wallet, token, amount);
    }

    /// @inheritdoc IEscrow
    function releaseTo(uint256 wallet, uint256 token, uint256 amount, address caller) external onlyBook {
        if (_ownerIn(_heads[wallet]) != caller) revert Escrow_NotOwner(wallet, caller);
        _give(wallet, token, amount);
    }

    /// @inheritdoc IEscrow
    function credit(uint256 payee, uint256 token, uint256 net, uint256 fee) external onlyBook {
        uint256 slot = _ledgers[payee][token];
        _ledgers[payee][token] = _pack((slot & NET_MASK) + net, (slot >> FEE_SHIFT) + fee);
    }

    /// @inheritdoc IEscrow
    function depositFrom(uint256 wallet, uint256 token, uint256 amount, address from)
        external
        nonReentrant
        returns (uint256 id)
    {
        if (msg.sender != ORDER_BOOK) revert Escrow_NotBook(msg.sender);
        id = wallet == 0 ? _create(from) : wallet;
        _deposit(id, token, amount, from);
    }

    // ---------------------------------------------------------------- payees

    /// @inheritdoc IEscrow
    function cashOut(uint256 payee, uint256 token) external nonReentrant returns (uint256 amount) {
        uint256 slot = _ledgers[payee][token];
        amount = slot & NET_MASK;
        if (amount == 0) revert Escrow_NothingToCashOut(payee, token);
        _ledgers[payee][token] = slot & ~NET_MASK;

        // Only the books credit, and they know providers and addresses.
        // forge-lint: disable-next-line(unsafe-typecast)
        address to = address(uint160(payee));
        if (payee < PROVIDER_IDS) {
            to = _payouts[payee];
            if (to == address(0)) {
                // Accounts never change: read once, then paid without the registry.
                to = REGISTRY.accountOf(payee);
                if (to == address(0)) revert Escrow_ZeroAddress();
                _payouts[payee] = to;
            }
        }
        emit CashedOut(payee, token, to, amount);
        IERC20(_assets[token]).safeTransfer(to, amount);
    }

    /// @inheritdoc IEscrow
    function collectFees(uint256[] calldata payees, uint256 token) external returns (uint256 amount) {
        for (uint256 i; i < payees.length; ++i) {
            uint256 slot = _ledgers[payees[i]][token];
            uint256 fee = slot >> FEE_SHIFT;
            if (fee == 0) continue;
            _ledgers[payees[i]][token] = slot & NET_MASK;
            amount += fee;
            emit FeesCollected(payees[i], token, fee);
        }
        uint256 own = _ledgers[uint160(FOUNDATION)][token];
        _ledgers[uint160(FOUNDATION)][token] = _pack((own & NET_MASK) + amount, own >> FEE_SHIFT);
    }

    /// @inheritdoc IEscrow
    function setPayout(uint256 provider, address payout) external {
        if (payout == address(0)) revert Escrow_ZeroAddress();
        if (REGISTRY.ownerOf(provider) != msg.sender) revert Escrow_NotProviderOwner(provider, msg.sender);
        _payouts[provider] = payout;
        emit PayoutSet(provider, payout);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IEscrow
    function ownerOf(uint256 wallet) external view returns (address) {
        return _ownerIn(_heads[wallet]);
    }

    /// @inheritdoc IEscrow
    function walletCount() external view returns (uint256) {
        return _walletCount;
    }

    /// @inheritdoc IEscrow
    function balanceOf(uint256 wallet, uint256 token) external view returns (uint256 amount) {
        return token == HOME_TOKEN ? _heads[wallet] >> FREE_SHIFT : _free[wallet][token];
    }

    /// @inheritdoc IEscrow
    function ledgerOf(uint256 payee, uint256 token) external view returns (uint256 net, uint256 fee) {
        uint256 slot = _ledgers[payee][token];
        return (slot & NET_MASK, slot >> FEE_SHIFT);
    }

    /// @inheritdoc IEscrow
    function payoutOf(uint256 provider) external view returns (address payout) {
        payout = _payouts[provider];
        if (payout == address(0)) payout = REGISTRY.accountOf(provider);
    }

    /// @inheritdoc IEscrow
    function wiring() external view returns (Wiring memory) {
        return Wiring(ORDER_BOOK, LEASE_BOOK, address(PAYMENT_TOKENS), address(REGISTRY), FOUNDATION, HOME_TOKEN);
    }

    /// @inheritdoc IEscrow
    function foundation() external view returns (uint256 payee) {
        return uint160(FOUNDATION);
    }

    /// @inheritdoc IEscrow
    function assetOf(uint256 token) public view returns (address asset) {
        asset = _assets[token];
        if (asset == address(0)) asset = PAYMENT_TOKENS.assetOf(token);
    }

    // ---------------------------------------------------------------- internals

    function _create(address owner) private returns (uint256 wallet) {
        if (owner == address(0)) revert Escrow_ZeroAddress();
        wallet = ++_walletCount;
        _heads[wallet] = uint160(owner);
        emit WalletCreated(wallet, owner);
    }

    /// @dev Checks the balance before and after, so that what is booked is what arrived.
    function _deposit(uint256 wallet, uint256 token, uint256 amount, address from) private {
        if (_heads[wallet] == 0) revert Escrow_UnknownWallet(wallet);
        if (!TokenWord.isEnabled(PAYMENT_TOKENS.tokenWord(token))) revert Escrow_TokenDisabled(token);
        IERC20 asset = IERC20(_assets[token]);
        if (address(asset) == address(0)) {
            asset = IERC20(PAYMENT_TOKENS.assetOf(token));
            _assets[token] = address(asset);
        }
        uint256 before = asset.balanceOf(address(this));
        asset.safeTransferFrom(from, address(this), amount);
        uint256 held = asset.balanceOf(address(this));
        uint256 received = held > before ? held - before : 0;
        if (received != amount) revert Escrow_TransferMismatch(token, amount, received);
        // What lies here bounds every sum of it: no field of this contract can overflow.
        if (held > (token == HOME_TOKEN ? type(uint96).max : NET_MASK)) revert Escrow_TooMuch(token, held);
        _give(wallet, token, amount);
        emit Deposited(wallet, token, from, amount);
    }

    function _take(uint256 wallet, uint256 token, uint256 amount, address caller) private returns (uint256 free) {
        uint256 head = _heads[wallet];
        if (_ownerIn(head) != caller) revert Escrow_NotOwner(wallet, caller);
        bool home = token == HOME_TOKEN;
        free = home ? head >> FREE_SHIFT : _free[wallet][token];
        if (free < amount) revert Escrow_Insufficient(wallet, token, free, amount);
        unchecked {
            if (home) _heads[wallet] = head - (amount << FREE_SHIFT);
            else _free[wallet][token] = free - amount;
        }
    }

    function _give(uint256 wallet, uint256 token, uint256 amount) private {
        // `_deposit` keeps all of the home token below 2^96.
        if (token == HOME_TOKEN) _heads[wallet] += amount << FREE_SHIFT;
        else _free[wallet][token] += amount;
    }

    function _ownerIn(uint256 head) private pure returns (address) {
        // The low 160 bits are the owner.
        // forge-lint: disable-next-line(unsafe-typecast)
        return address(uint160(head));
    }

    function _pack(uint256 net, uint256 fee) private pure returns (uint256) {
        if (net > NET_MASK) revert Escrow_LedgerOverflow(net);
        if (fee > NET_MASK) revert Escrow_LedgerOverflow(fee);
        return net | (fee << FEE_SHIFT);
    }
}
