//! Orders whose price a script is asked for: a few at a time and each for a part of its window, beside all else that the
//! engine does. Nothing of it is stored: after a restart an order without a verdict is priced again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use iono_primitives::OrderId;
use tokio::sync::Semaphore;

use iono_host::config::values::Dollars;
use iono_host::node::Node;
use iono_host::pricing::{LONGEST, NoPrice, Request};

/// Most scripts that run for bids at the same time.
const AT_ONCE: usize = 4;
/// The part of what is left of an order's window that its script gets.
const PART: u32 = 4;
/// How fast blocks come as long as none was seen to come.
const PACE: Duration = Duration::from_secs(1);
/// Blocks from which their pace is told.
const SEEN: usize = 32;

/// What is asked at present, and what was answered and not used yet.
pub(super) struct Desk {
    places: Semaphore,
    orders: Mutex<HashMap<OrderId, Asked>>,
    /// Newest blocks, by this machine's clock: the chain's has full seconds alone, and jumps on test chains.
    seen: Mutex<VecDeque<(u64, Instant)>>,
}

enum Asked {
    /// It waits for a place, or its script runs.
    Open,
    /// The price of this request, or why there is none.
    Answered(Box<Request>, Result<Dollars, NoPrice>),
}

impl Default for Desk {
    fn default() -> Self {
        Self { places: Semaphore::new(AT_ONCE), orders: Mutex::default(), seen: Mutex::default() }
    }
}

impl Desk {
    fn orders(&self) -> MutexGuard<'_, HashMap<OrderId, Asked>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the newest block, for the pace.
    pub(super) fn saw(&self, head: u64) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.back() {
            Some((last, _)) if *last == head => return,
            // Taken back by a re-org.
            Some((last, _)) if *last > head => seen.clear(),
            _ => {}
        }
        seen.push_back((head, Instant::now()));
        let over = seen.len().saturating_sub(SEEN);
        seen.drain(..over);
    }

    /// What a script may take for an order with so many blocks left.
    pub(super) fn limit(&self, blocks: u64) -> Duration {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let pace = match (seen.front(), seen.back()) {
            (Some((first, since)), Some((last, until))) if last > first => {
                let blocks = u32::try_from(last - first).unwrap_or(u32::MAX);
                until.duration_since(*since) / blocks
            }
            _ => PACE,
        };
        let left = pace.saturating_mul(u32::try_from(blocks).unwrap_or(u32::MAX));
        (left / PART).min(LONGEST)
    }

    /// Notes that an order's price is asked for.
    pub(super) fn open(&self, order: OrderId) {
        self.orders().insert(order, Asked::Open);
    }

    /// Whether an order's price is asked for and not answered yet.
    pub(super) fn is_open(&self, order: OrderId) -> bool {
        matches!(self.orders().get(&order), Some(Asked::Open))
    }

    /// Forgets the orders that are not wanted any more.
    pub(super) fn keep(&self, wanted: impl Fn(&OrderId) -> bool) {
        self.orders().retain(|order, _| wanted(order));
    }

    /// What a script said to a request like this one.
    pub(super) fn answer(&self, request: &Request) -> Option<Result<Dollars, NoPrice>> {
        match self.orders().get(&request.order) {
            Some(Asked::Answered(asked, price)) if asked.is_like(request) => Some(price.clone()),
            _ => None,
        }
    }

    /// Has a request priced whose order closes with `close_block`, as soon as a place is free.
    pub(super) async fn ask(&self, node: &Node, request: Request, close_block: u64) {
        let order = request.order;
        let Ok(_place) = self.places.acquire().await else { return };
        // Its window may have passed in the queue.
        if !self.is_open(order) {
            return;
        }
        let config = node.config();
        let limit = self.limit(close_block.saturating_sub(node.view().head.number));
        let price = config.pricing.hourly(&config.prices, &request, limit).await;
        if let Err(error @ NoPrice::Script(..)) = &price {
            tracing::warn!(%order, %error, "the pricing script does not work; try it with `provider price`");
        }
        if let Some(asked) = self.orders().get_mut(&order) {
            *asked = Asked::Answered(Box::new(request), price);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;
    use iono_bindings::TokenWord;
    use iono_host::pricing::{Allocation, Purpose, Token};
    use iono_primitives::{Region, TokenId};

    use super::*;

    /// For two H100.
    fn request() -> Request {
        let gpus = [("h100-sxm-80gi".parse().unwrap(), 2)].into();
        Request {
            purpose: Purpose::Bid,
            order: OrderId(42),
            wallet: 7,
            region: Region::ANY,
            tier: 2,
            duration: 3_600,
            token: Token::new(TokenId(1), Address::ZERO, &TokenWord::default()),
            max_rate: None,
            allocation: Allocation { cpu: 2_000, memory: 4_096, gpus, ..Allocation::default() },
            free_percent: 75,
            table: None,
        }
    }

    #[test]
    fn a_script_gets_a_part_of_what_is_left() {
        let desk = Desk::default();
        assert_eq!(desk.limit(2), Duration::from_millis(500));
        let start = Instant::now();
        *desk.seen.lock().unwrap() =
            [(10, start), (11, start + Duration::from_secs(1)), (14, start + Duration::from_secs(8))].into();
        assert_eq!((desk.limit(2), desk.limit(0)), (Duration::from_secs(1), Duration::ZERO));
        assert_eq!(desk.limit(u64::MAX), LONGEST);
    }

    #[test]
    fn blocks_count_once_and_a_reorg_starts_anew() {
        let desk = Desk::default();
        for head in [5, 5, 6] {
            desk.saw(head);
        }
        assert_eq!(desk.seen.lock().unwrap().len(), 2);
        desk.saw(4);
        assert_eq!(desk.seen.lock().unwrap().len(), 1);
        for head in 5..100 {
            desk.saw(head);
        }
        assert_eq!(desk.seen.lock().unwrap().len(), SEEN);
    }

    #[test]
    fn an_answer_counts_for_what_was_asked_alone() {
        let (desk, request) = (Desk::default(), request());
        desk.open(request.order);
        assert!(desk.is_open(request.order) && desk.answer(&request).is_none());
        let price = Dollars::parse("0.5").unwrap();
        desk.orders().insert(request.order, Asked::Answered(Box::new(request.clone()), Ok(price)));
        assert!(!desk.is_open(request.order));
        assert_eq!(desk.answer(&request), Some(Ok(price)));
        let mut other = request.clone();
        other.allocation.gpus.clear();
        assert_eq!(desk.answer(&other), None);
        desk.keep(|order| *order != request.order);
        assert_eq!(desk.answer(&request), None);
    }
}
