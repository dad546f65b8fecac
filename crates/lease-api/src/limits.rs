//! Bounds on what callers may take: sizes, times, connections, requests and open streams. Limits go by wallet once the
//! caller is known; before that only a generous one by address protects the signature check itself.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::DefaultClock;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use http::StatusCode;
use iono_primitives::WalletId;

use crate::ApiError;

/// The bounds of one server.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Requests a second of one wallet, on average.
    pub wallet_rate: NonZeroU32,
    /// Requests of one wallet at once.
    pub wallet_burst: NonZeroU32,
    /// Requests a second from one address, on average.
    pub address_rate: NonZeroU32,
    /// Requests from one address at once.
    pub address_burst: NonZeroU32,
    /// Shells, streams and copies of one wallet at a time.
    pub streams_per_wallet: usize,
    /// Bytes of a file upload.
    pub upload_bytes: u64,
    /// For the TLS handshake, and again for a request's head.
    pub header_timeout: Duration,
    /// For a request and its answer's head; streams then go on.
    pub request_timeout: Duration,
    /// A shell whose client is silent for this long, not answering pings either, is closed.
    pub silence: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let count = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        Self {
            connections: 4_096,
            wallet_rate: count(50),
            wallet_burst: count(200),
            address_rate: count(200),
            address_burst: count(800),
            streams_per_wallet: 32,
            upload_bytes: 8 << 30,
            header_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(60),
            silence: Duration::from_secs(60),
        }
    }
}

type Keyed<K> = RateLimiter<K, DefaultKeyedStateStore<K>, DefaultClock>;

/// What is counted while the server runs.
pub(crate) struct Meters {
    wallets: Keyed<WalletId>,
    addresses: Keyed<IpAddr>,
    streams: Arc<Mutex<HashMap<WalletId, usize>>>,
    streams_per_wallet: usize,
}

impl Meters {
    pub(crate) fn new(limits: &Limits) -> Self {
        let quota = |rate, burst| Quota::per_second(rate).allow_burst(burst);
        Self {
            wallets: RateLimiter::keyed(quota(limits.wallet_rate, limits.wallet_burst)),
            addresses: RateLimiter::keyed(quota(limits.address_rate, limits.address_burst)),
            streams: Arc::default(),
            streams_per_wallet: limits.streams_per_wallet,
        }
    }

    pub(crate) fn request_by_address(&self, address: IpAddr) -> Result<(), ApiError> {
        check(&self.addresses, &address, "this address")
    }

    pub(crate) fn request_by_wallet(&self, wallet: WalletId) -> Result<(), ApiError> {
        check(&self.wallets, &wallet, "this wallet")
    }

    /// Counts a shell or stream until the permit is dropped.
    pub(crate) fn stream(&self, wallet: WalletId) -> Result<StreamPermit, ApiError> {
        let mut open = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(wallet).or_default();
        if *count >= self.streams_per_wallet {
            let message =
                format!("this wallet has {count} shells, streams and copies open, the most is that");
            let hint = "close one of them";
            return Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_streams", message, hint));
        }
        *count += 1;
        Ok(StreamPermit { wallet, streams: Arc::clone(&self.streams) })
    }

    /// Forgets wallets and addresses that were quiet.
    pub(crate) fn forget_quiet(&self) {
        self.wallets.retain_recent();
        self.wallets.shrink_to_fit();
        self.addresses.retain_recent();
        self.addresses.shrink_to_fit();
    }
}

fn check<K: Hash + Eq + Clone>(limiter: &Keyed<K>, key: &K, who: &str) -> Result<(), ApiError> {
    limiter.check_key(key).map_err(|_| {
        let message = format!("too many requests of {who}");
        let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message, "slow down");
        ApiError { retry_after: Some(1), ..error }
    })
}

/// An open stream of a wallet.
#[derive(Debug)]
pub(crate) struct StreamPermit {
    wallet: WalletId,
    streams: Arc<Mutex<HashMap<WalletId, usize>>>,
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        let mut open = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.wallet) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.wallet);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_counted_by_wallet_and_given_back() {
        let meters = Meters::new(&Limits { streams_per_wallet: 2, ..Limits::default() });
        let first = meters.stream(WalletId(1)).unwrap();
        let _second = meters.stream(WalletId(1)).unwrap();
        assert_eq!(meters.stream(WalletId(1)).unwrap_err().status, StatusCode::TOO_MANY_REQUESTS);
        assert!(meters.stream(WalletId(2)).is_ok());
        drop(first);
        assert!(meters.stream(WalletId(1)).is_ok());
    }

    #[test]
    fn one_wallet_does_not_slow_another() {
        let burst = NonZeroU32::new(3).unwrap();
        let meters =
            Meters::new(&Limits { wallet_rate: NonZeroU32::MIN, wallet_burst: burst, ..Limits::default() });
        for _ in 0..3 {
            meters.request_by_wallet(WalletId(1)).unwrap();
        }
        let error = meters.request_by_wallet(WalletId(1)).unwrap_err();
        assert_eq!((error.status.as_u16(), error.retry_after), (429, Some(1)));
        meters.request_by_wallet(WalletId(2)).unwrap();
    }
}
