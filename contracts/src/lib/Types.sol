// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title  Types: the packed words that orders, bids, leases and profiles are made of
/// @notice Field order below is from the least significant bit up. `contracts/src/lib/<Name>Word.sol` packs and reads
///         each word; `crates/bindings/src/words.rs` is the twin, and a differential test holds the two together.
///
///         Resources  cpu 32 (millicores) | memory 32 (MiB) | storage 32 (MiB) | gpus 8 | gpuTier 8 (0 none, 1–10) |
///                    storageClass 8 (0 any, 1 HDD, 2 SSD, 3 NVMe) | endpoints 8 | gpuModel 128 (ASCII, left-aligned)
///         Profile    id 32 | trustTier 4 | rating 10 (0 unrated, else 1–501: rating × 100 + 1) | slashes 8 | stake 24 (whole SPON) | availability 8 |
///                    region 16 | attributes 24 | freeUnits 24 | totalUnits 24 | freeGpus 12 | tokens 48 (mask by token id) |
///                    flags 16
///         Bid        the profile's low 126 bits | fizz 32 | rate 80
///         Order 0    wallet 48 | token 16 | closeBlock 40 | duration 32 (seconds) | state 8 | policy 16 | setEra 24 |
///                    decimals 8 (the token's) | region 16 | requirements 18 | flags 6 | units 16 | gpus 8
///         Order 1    maxRate 80 | fee 16 (bp) | payerFee 16 (bp) | matchFee 80 (token units) | occupancy 64 (bid slots)
///         Order 2    spec hash; once a quorum matched the order its match digest: keccak(order id, bid word, seed, response)
///         Lease 0    wallet 48 | token 16 | provider 32 | fizz 32 | fee 16 (bp) | payerFee 16 (bp) | fizzShare 16 (bp) |
///                    duration 32 (seconds; end − duration is the start) | units 16 | gpus 8 | decimals 8 (the token's) |
///                    manifestVersion 16
///         Lease 1    rate 80 | end 40 (confirm-by while pending) | settledTo 40 (0 while pending) | stoppedAt 40 (0
///                    unless paused or closed: then since when) | unbilled 24 (seconds) | state 8 | reason 8 |
///                    pausedBy 8 (1 the provider, 2 the arbiter)
///         Region     zone 8 (0 any) | area 8 (0 any)
///         Attributes compute 2 (1 basic, 2 general, 3 HPC) | storage 2 | gpu 4 | connectivity 3 (1–4) | compliance 3
///                    (bits: SOC2, HIPAA, GDPR) | spare 10; an order's requirements are the same 14 bits | trustTier 4
///                    (0 any, else the lowest tier accepted)
///         Rates are in 1e-18 whole tokens per second; amounts in the token's smallest unit.

/// What a lease may use in all, over its services and replicas.
type Resources is uint256;
type Profile is uint256;
type Bid is uint256;

/// @notice What a tenant orders beside price and time (SP-10). Hash and event carry all of it, so a signed order cannot
///         be swapped for another.
struct Spec {
    /// Totals of all services and replicas.
    Resources resources;
    /// keccak256(salt ‖ canonical manifest); see docs/manifest.md.
    bytes32 manifestHash;
    /// Up to eight provider ids of 32 bits, lowest first, zero-terminated: allowed or denied by the order's flags.
    uint256 providers;
    /// 16 bytes per service, at most 12 services, so that a provider can pack them onto nodes before it bids:
    /// count 16 | cpu 24 (millicores) | memory 24 (MiB) | ephemeral 24 (MiB) | persistent 24 (MiB) | gpus 8 | storageClass 8.
    /// Big-endian in this order, per replica.
    bytes groups;
}

/// @notice Price, time and eligibility of an order (SP-10).
struct Terms {
    uint48 wallet;
    uint16 token;
    /// Lease length in seconds.
    uint32 duration;
    uint80 maxRate;
    uint16 region;
    uint24 requirements;
    /// OrderFlags below.
    uint8 flags;
}

/// Bits of an order's flags.
library OrderFlags {
    uint8 internal constant PROVIDER = 1; // providers may bid for themselves
    uint8 internal constant FIZZ = 2; // gateways may bid for a light node
    uint8 internal constant STRICT_REGION = 4; // the region is a condition, not a preference
    uint8 internal constant ALLOW_LIST = 8; // only Spec.providers may bid
    uint8 internal constant DENY_LIST = 16; // Spec.providers may not bid
}

/// Bits of a profile's flags.
library ProfileFlags {
    uint16 internal constant ACTIVE = 1; // approved and not withdrawn
    uint16 internal constant STAKED = 2; // stake meets its tier (SP-3)
    uint16 internal constant BARRED = 4; // missed a confirmation; until it tops its stake up
    uint16 internal constant DRAINING = 8; // wants no new leases
    uint16 internal constant PROVIDER = 16; // offers machines of its own
    uint16 internal constant FIZZ = 32; // gateway of light nodes
    uint16 internal constant OVERBOOKED = 64; // won more than its capacity
}

enum OrderState {
    None,
    Open,
    Matched,
    Cancelled,
    Void // no bid, or unresolved until the seed was gone: refunded
}

enum LeaseState {
    None,
    Pending, // matched, waits for the provider's confirmation; costs nothing
    Active,
    Paused, // not billed from pausedAt on
    Closed
}

/// Why a lease closed: stored, emitted, and shown with words by every tool (SP-20).
enum CloseReason {
    None,
    Expired, // its time ran out (SP-21)
    TenantClosed,
    ProviderClosed, // without the tenant's fault: a failed completion, penalised
    NotConfirmed, // the provider missed the confirmation: refunded, penalised
    ImageUnavailable, // tenant's fault: the image cannot be pulled
    CrashLoop, // tenant's fault: the workload keeps failing
    ManifestMissing, // tenant's fault: no manifest in time
    ProviderLost, // proven down, the tenant left
    PolicyViolation, // tenant's fault: refused by the manifest rules
    WrongMatch // the match was proven wrong and the tenant cannot pay for the right one
}
