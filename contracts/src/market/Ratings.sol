// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IEscrow} from "../interfaces/IEscrow.sol";
import {ILeaseBook} from "../interfaces/ILeaseBook.sol";
import {IPaymentTokens} from "../interfaces/IPaymentTokens.sol";
import {IProviderRegistry} from "../interfaces/IProviderRegistry.sol";
import {IRatings} from "../interfaces/IRatings.sol";
import {Bill} from "../lib/Bill.sol";
import {LeaseWord} from "../lib/LeaseWord.sol";
import {TokenWord} from "../lib/TokenWord.sol";
import {LibBitmap} from "solady/utils/LibBitmap.sol";

/// @title  Ratings: stars from tenants who paid (SP-9)
/// @notice A lease may be rated once, while it runs or after it, as soon as it has paid for the minimum of time and money
///         at its present rate; seconds given back and those at rates before an update do not count. A provider's last
///         ten ratings lie in two slots: each is 51 bits, newest lowest: stars + 1 in 3 bits, so that 0 is an empty
///         place, and the low 48 bits of the tenant's address, so that nobody stands twice among the ten.
contract Ratings is IRatings {
    using LeaseWord for uint256;
    using LibBitmap for LibBitmap.Bitmap;

    struct Recent {
        uint256 newer;
        uint256 older;
    }

    uint256 private constant MAX_STARS = 5;
    uint256 private constant PER_SLOT = 5;
    uint256 private constant WIDTH = 51;
    uint256 private constant SLOT_MASK = (1 << (PER_SLOT * WIDTH)) - 1;
    uint256 private constant TENANT_MASK = (1 << 48) - 1;

    IEscrow private immutable ESCROW;
    ILeaseBook private immutable LEASE_BOOK;
    IPaymentTokens private immutable PAYMENT_TOKENS;
    IProviderRegistry private immutable REGISTRY;
    /// @notice Seconds that a lease must have paid for.
    uint256 public immutable MIN_SECONDS;
    /// @notice Cents of dollars that it must have paid.
    uint256 public immutable MIN_CENTS;

    mapping(uint256 provider => Recent) private _recent;
    LibBitmap.Bitmap private _rated; // by lease

    constructor(
        IEscrow escrow,
        ILeaseBook leaseBook,
        IPaymentTokens paymentTokens,
        IProviderRegistry registry,
        uint256 minSeconds,
        uint256 minCents
    ) {
        (ESCROW, LEASE_BOOK, PAYMENT_TOKENS, REGISTRY) = (escrow, leaseBook, paymentTokens, registry);
        (MIN_SECONDS, MIN_CENTS) = (minSeconds, minCents);
    }

    /// @inheritdoc IRatings
    function rate(uint256 lease, uint256 stars) external {
        if (stars > MAX_STARS) revert Ratings_BadStars(stars);
        (uint256 w0, uint256 w1) = LEASE_BOOK.leaseWords(lease);
        if (w0 == 0 || ESCROW.ownerOf(w0.wallet()) != msg.sender) revert Ratings_NotTenant(lease, msg.sender);
        if (_rated.get(lease)) revert Ratings_AlreadyRated(lease);
        _requirePaid(lease, w0, w1);

        _rated.set(lease);
        uint256 provider = w0.provider();
        uint256 average = _push(provider, msg.sender, stars);
        emit Rated(lease, provider, msg.sender, stars, average);
        REGISTRY.setRating(provider, average + 1);
    }

    /// @inheritdoc IRatings
    function averageOf(uint256 provider) external view returns (uint256 average, uint256 count) {
        Recent memory r = _recent[provider];
        return _average(r.newer, r.older);
    }

    function _requirePaid(uint256 lease, uint256 w0, uint256 w1) private view {
        uint256 secs = LEASE_BOOK.paidSeconds(lease);
        if (secs < MIN_SECONDS) revert Ratings_TooShort(lease, secs, MIN_SECONDS);
        uint256 word = PAYMENT_TOKENS.tokenWord(w0.token());
        uint256 cents = TokenWord.toCents(word, Bill.grossOf(w1.rate(), secs, w0.decimals()));
        if (cents < MIN_CENTS) revert Ratings_TooSmall(lease, cents, MIN_CENTS);
    }

    function _push(uint256 provider, address tenant, uint256 stars) private returns (uint256 average) {
        uint256 mark = uint160(tenant) & TENANT_MASK;
        Recent memory r = _recent[provider];
        if (_holds(r.newer, mark) || _holds(r.older, mark)) revert Ratings_RecentRating(provider, tenant);
        uint256 carried = r.newer >> ((PER_SLOT - 1) * WIDTH);
        r.older = ((r.older << WIDTH) & SLOT_MASK) | carried;
        r.newer = ((r.newer << WIDTH) & SLOT_MASK) | (mark << 3) | (stars + 1);
        _recent[provider] = r;
        (average,) = _average(r.newer, r.older);
    }

    function _holds(uint256 slot, uint256 mark) private pure returns (bool) {
        for (; slot != 0; slot >>= WIDTH) {
            if (slot & 7 != 0 && (slot >> 3) & TENANT_MASK == mark) return true;
        }
        return false;
    }

    function _average(uint256 newer, uint256 older) private pure returns (uint256 average, uint256 count) {
        (uint256 sumA, uint256 countA) = _sum(newer);
        (uint256 sumB, uint256 countB) = _sum(older);
        count = countA + countB;
        if (count != 0) average = (sumA + sumB) * 100 / count;
    }

    function _sum(uint256 slot) private pure returns (uint256 sum, uint256 count) {
        for (; slot != 0; slot >>= WIDTH) {
            sum += (slot & 7) - 1;
            ++count;
        }
    }
}
