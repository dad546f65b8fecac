//! What is priced, in one document: a script reads it as JSON on its standard input, an expression as its variables.

use alloy::primitives::{Address, U256};
use iono_bindings::{OrderWords, TokenWord};
use iono_primitives::{OrderId, Rate, Region, TokenId};
use serde::Serialize;

use super::{Allocation, PriceTable, to_dollars};
use crate::config::values::Dollars;
use crate::market::order::Order;

/// The lowest accepted trust tier stands above the attributes in an order's requirements.
const TIER_SHIFT: u32 = 14;

/// The lowest trust tier that an order accepts; 0 for any.
#[must_use]
pub fn tier(words: &OrderWords) -> u32 {
    words.requirements >> TIER_SHIFT
}

/// One order, or new terms of a lease, and what it would get.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Request {
    /// What the price is for.
    pub purpose: Purpose,
    /// The order; a lease has the number of its order.
    pub order: OrderId,
    /// Wallet that pays.
    pub wallet: u64,
    /// Region that the order asks for; `any` for no preference.
    pub region: Region,
    /// Lowest trust tier that the order accepts; 0 for any.
    pub tier: u32,
    /// Seconds that are paid for.
    pub duration: u64,
    /// What it is paid in.
    pub token: Token,
    /// Dollars an hour that the tenant pays at most; null where it named no limit.
    pub max_rate: Option<Dollars>,
    /// What is handed out.
    #[serde(flatten)]
    pub allocation: Allocation,
    /// Per cent of the offered cores that are free without this order.
    pub free_percent: u64,
    /// Dollars an hour by the price table; null where it lacks a line.
    pub table: Option<Dollars>,
}

/// What a price is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// A bid on an order.
    Bid,
    /// New terms of a lease that runs.
    Update,
}

/// A payment token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Token {
    /// Its number.
    pub id: TokenId,
    /// Its ERC-20 contract.
    pub address: Address,
    /// Dollars for a whole token, as governance has set them.
    pub price: Dollars,
}

impl Token {
    /// A token by its word and its contract.
    #[must_use]
    pub fn new(id: TokenId, address: Address, word: &TokenWord) -> Self {
        // From 1e-8 to 1e-18 dollars.
        let price = Dollars(U256::from(word.price) * U256::from(10_u64.pow(10)));
        Self { id, address, price }
    }
}

impl Request {
    /// A bid on `order` that would get `allocation`, paid in a token with this word and contract.
    #[must_use]
    pub fn bid(
        order: &Order,
        (word, address): (&TokenWord, Address),
        allocation: &Allocation,
        free_percent: u64,
        table: &PriceTable,
    ) -> Self {
        let words = &order.words;
        Self {
            purpose: Purpose::Bid,
            order: order.id,
            wallet: words.wallet,
            region: Region(words.region),
            tier: tier(words),
            duration: words.duration.into(),
            token: Token::new(TokenId(words.token), address, word),
            max_rate: Some(to_dollars(Rate(words.max_rate), word.price)),
            allocation: allocation.clone(),
            free_percent,
            table: table.hourly(allocation).ok(),
        }
    }

    /// Whether a price for `other` is one for this as well: the same thing is handed out to the same wallet.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let terms = |request: &Self| (request.order, request.wallet, request.duration);
        terms(self) == terms(other) && self.allocation == other.allocation
    }

    /// An hour of two cores, 4 GiB, 10 GiB of SSD, two H100 and a port, for tests.
    #[cfg(test)]
    pub(crate) fn example() -> Self {
        use iono_primitives::StorageClass;
        let allocation = Allocation {
            cpu: 2_000,
            memory: 4_096,
            storage: [(StorageClass::Ssd, 10_240)].into(),
            gpus: [("h100-sxm-80gi".parse().unwrap(), 2)].into(),
            endpoints: 1,
        };
        Self {
            purpose: Purpose::Bid,
            order: OrderId(42),
            wallet: 7,
            region: "eu-west/3".parse().unwrap(),
            tier: 2,
            duration: 3_600,
            token: Token {
                id: TokenId(1),
                address: Address::repeat_byte(1),
                price: Dollars::parse("1").unwrap(),
            },
            max_rate: Some(Dollars::parse("5").unwrap()),
            allocation,
            free_percent: 75,
            table: Some(Dollars::parse("4.02").unwrap()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::market::order::LeaseSpec;

    #[test]
    fn a_script_reads_plain_json() {
        let document = json!({
            "purpose": "bid",
            "order": 42,
            "wallet": 7,
            "region": "eu-west/3",
            "tier": 2,
            "duration": 3_600,
            "token": { "id": 1, "address": "0x0101010101010101010101010101010101010101", "price": "1" },
            "max_rate": "5",
            "cpu": 2_000,
            "memory": 4_096,
            "storage": { "ssd": 10_240 },
            "gpus": { "h100-sxm-80gi": 2 },
            "endpoints": 1,
            "free_percent": 75,
            "table": "4.02",
        });
        assert_eq!(serde_json::to_value(Request::example()).unwrap(), document);
    }

    #[test]
    fn an_orders_words_are_told() {
        let words = OrderWords {
            wallet: 9,
            token: 1,
            duration: 60,
            requirements: 3 << 14 | 5,
            max_rate: Rate::from_hourly("0.5").unwrap().0,
            ..OrderWords::default()
        };
        let spec = LeaseSpec {
            resources: Default::default(),
            groups: Vec::new(),
            manifest_hash: Default::default(),
            providers: Vec::new(),
        };
        let order = Order { id: OrderId(1), words, spec };
        let token = TokenWord { price: 200_000_000, ..TokenWord::default() };
        let table: PriceTable = toml::from_str("cpu = 0\nmemory = 0\nminimum = 0.5").unwrap();
        let bid = |wanted: &Allocation| Request::bid(&order, (&token, Address::ZERO), wanted, 50, &table);
        let request = bid(&Allocation::default());
        assert_eq!((request.tier, request.wallet, request.duration), (3, 9, 60));
        assert_eq!(request.token.price.to_string(), "2");
        // Half a token an hour, each worth two dollars; the rate was rounded up to a second's.
        assert!(request.max_rate.unwrap().to_string().starts_with("1.000000000000"), "{request:?}");
        assert_eq!(request.table.unwrap().to_string(), "0.5");
        let card = Allocation { gpus: [("h100".parse().unwrap(), 1)].into(), ..Allocation::default() };
        assert_eq!(bid(&card).table, None);
        assert!(request.is_like(&bid(&Allocation::default())) && !request.is_like(&bid(&card)));
    }
}
