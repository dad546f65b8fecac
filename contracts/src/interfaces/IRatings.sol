// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title  Ratings: a provider's last ten ratings by tenants who held a lease (SP-9)
/// @notice Only leases billed for at least an hour and a minimum fee count, and one rating per tenant in a provider's
///         last ten.
interface IRatings {
    event Rated(
        uint256 indexed lease, uint256 indexed provider, address indexed tenant, uint256 stars, uint256 average
    );

    error Ratings_NotTenant(uint256 lease, address caller);
    error Ratings_BadStars(uint256 stars);
    error Ratings_TooShort(uint256 lease, uint256 billedSeconds, uint256 minimum);
    error Ratings_TooSmall(uint256 lease, uint256 paidCents, uint256 minimumCents);
    error Ratings_AlreadyRated(uint256 lease);
    error Ratings_RecentRating(uint256 provider, address tenant);

    /// @param stars 0 to 5
    function rate(uint256 lease, uint256 stars) external;
    /// @return average × 100, and how many ratings it stands on (at most ten)
    function averageOf(uint256 provider) external view returns (uint256 average, uint256 count);
}
