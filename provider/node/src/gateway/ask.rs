//! Asks light nodes for an order: the best of them at once, each within a part of the order's window. Only one that
//! reserved for it, and that the registry calls active, is bid for.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use alloy::primitives::Address;
use futures::StreamExt as _;
use iono_host::market::order::Order;
use iono_host::subnet::{Answer, FromGateway};
use iono_host::verdict::eligible;
use iono_host::verdict::reason::Reason;
use iono_matching::eligibility::Machine;
use iono_primitives::{FizzId, OrderId, Rate};
use tokio::sync::Notify;

use super::Gateway;
use super::choose::{Candidate, rank};

/// How long a delegation that was read is good for choosing.
const FRESH: Duration = Duration::from_secs(60);
/// Owners whose delegation is read at a time.
const READERS: usize = 8;
/// Wei of a SPON.
const SPON: f64 = 1e18;

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Answers are waited for.
    Asking,
    /// A light node reserved for it.
    Bid {
        /// Which.
        fizz: FizzId,
        /// Its rate.
        rate: Rate,
    },
    /// None takes it.
    No(Reason),
}

/// Orders that light nodes are asked for.
#[derive(Default)]
pub(super) struct Asks {
    orders: Mutex<HashMap<OrderId, Asked>>,
    delegations: Mutex<HashMap<Address, (Instant, f64)>>,
    /// A light node has said what it has.
    pub(super) offers: Notify,
}

struct Asked {
    said: Said,
    waiting: HashSet<FizzId>,
    answers: HashMap<FizzId, Answer>,
    changed: Arc<Notify>,
}

impl Asks {
    fn orders(&self) -> MutexGuard<'_, HashMap<OrderId, Asked>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an answer that was waited for.
    pub(super) fn answered(&self, order: OrderId, fizz: FizzId, answer: Answer) {
        if let Some(asked) = self.orders().get_mut(&order)
            && asked.waiting.remove(&fizz)
        {
            asked.answers.insert(fizz, answer);
            asked.changed.notify_one();
        }
    }
}

impl Gateway {
    /// What light nodes say to an order; the first time they are asked, for no longer than `limit`.
    pub fn said(self: &Arc<Self>, order: &Order, limit: Duration) -> Said {
        let mut orders = self.asks.orders();
        if let Some(asked) = orders.get(&order.id) {
            return asked.said.clone();
        }
        let asked = Asked {
            said: Said::Asking,
            waiting: HashSet::new(),
            answers: HashMap::new(),
            changed: Arc::default(),
        };
        orders.insert(order.id, asked);
        let (gateway, order) = (Arc::clone(self), order.clone());
        self.tasks.spawn(async move {
            let said = tokio::select! {
                said = gateway.find_one(&order, limit) => said,
                () = gateway.token.cancelled() => return,
            };
            if let Some(asked) = gateway.asks.orders().get_mut(&order.id) {
                asked.said = said;
            }
            gateway.node.orders_changed.notify_one();
        });
        Said::Asking
    }

    /// Forgets the orders that are not wanted any more.
    pub fn forget_asked(&self, wanted: impl Fn(&OrderId) -> bool) {
        self.asks.orders().retain(|order, asked| wanted(order) || asked.said == Said::Asking);
    }

    async fn find_one(&self, order: &Order, limit: Duration) -> Said {
        let profile = self.node.view().profile;
        if let Some(why) = eligible::why_not(&order.words, &order.spec.providers, &profile, Machine::Light) {
            return Said::No(why);
        }
        let deadline = Instant::now() + limit;
        let Ok(asked) = tokio::time::timeout(limit, self.with_room(order)).await else {
            let why = "no light node of this subnet has room for it at present";
            return Said::No(Reason::new("light_node", why));
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let answers = self.answers(order.id, &asked, left).await;
        self.choose(order, &asked, &answers).await
    }

    /// The best of those with room for the order, as soon as there is one: a light node may be on its way back.
    async fn with_room(&self, order: &Order) -> Vec<FizzId> {
        let trust = order.words.requirements >> 14 != 0;
        loop {
            let mut offers = pin!(self.asks.offers.notified());
            offers.as_mut().enable();
            let mut ranked = rank(self.candidates().await, &order.spec, trust);
            ranked.truncate(self.settings.ask.into());
            if !ranked.is_empty() {
                return ranked.iter().map(|candidate| candidate.fizz).collect();
            }
            offers.await;
        }
    }

    /// All light nodes that are here, with what their owners delegated.
    async fn candidates(&self) -> Vec<Candidate> {
        let here: Vec<_> = {
            let members = self.members();
            let here = members.iter().filter(|(_, member)| member.lost.is_none());
            here.filter_map(|(fizz, member)| {
                let owner = self.roll.find(*fizz, member.pin)?.owner;
                Some((owner, *fizz, member.offer.clone(), member.record))
            })
            .collect()
        };
        let owners: HashSet<Address> = here.iter().map(|(owner, ..)| *owner).collect();
        let read = futures::stream::iter(owners).map(async |owner| (owner, self.delegated(owner).await));
        let delegated: HashMap<Address, f64> = read.buffer_unordered(READERS).collect().await;
        here.into_iter()
            .map(|(owner, fizz, offer, record)| {
                let delegated = delegated.get(&owner).copied().unwrap_or_default();
                Candidate { fizz, offer, record, delegated }
            })
            .collect()
    }

    /// Whole SPON that an owner delegated, as read within the last minute; nothing while the chain cannot be read.
    async fn delegated(&self, owner: Address) -> f64 {
        let delegations = || self.asks.delegations.lock().unwrap_or_else(PoisonError::into_inner);
        let known = delegations().get(&owner).filter(|(at, _)| at.elapsed() < FRESH).map(|(_, held)| *held);
        if let Some(held) = known {
            return held;
        }
        let Ok(held) = self.roll.delegated(&self.node.reader, owner).await else { return 0.0 };
        let held = f64::from(held) / SPON;
        let mut kept = delegations();
        kept.retain(|_, (at, _)| at.elapsed() < FRESH);
        kept.insert(owner, (Instant::now(), held));
        held
    }

    /// Asks, and waits until all have answered or the time is over.
    async fn answers(&self, order: OrderId, asked: &[FizzId], limit: Duration) -> HashMap<FizzId, Answer> {
        let Some(changed) = self.asks.orders().get_mut(&order).map(|open| {
            open.waiting = asked.iter().copied().collect();
            Arc::clone(&open.changed)
        }) else {
            return HashMap::new();
        };
        for fizz in asked {
            let pin = self.members().get(fizz).map(|member| member.pin);
            if !pin.is_some_and(|pin| self.say(pin, &FromGateway::Ask { order })) {
                self.asks.answered(order, *fizz, Answer::No(Reason::new("light_node", "it is gone")));
            }
        }
        let all = async {
            while self.asks.orders().get(&order).is_some_and(|open| !open.waiting.is_empty()) {
                changed.notified().await;
            }
        };
        // Who has not answered by then does not get the order.
        let _ = tokio::time::timeout(limit, all).await;
        let mut orders = self.asks.orders();
        let open = orders.get_mut(&order);
        open.map(|open| {
            open.waiting.clear();
            open.answers.clone()
        })
        .unwrap_or_default()
    }

    /// The best one that reserved at a rate which the order pays, and that may be named in a bid; all others let go.
    async fn choose(&self, order: &Order, asked: &[FizzId], answers: &HashMap<FizzId, Answer>) -> Said {
        let mut chosen = None;
        let mut why = Reason::new("light_node", "no light node answered in time");
        for fizz in asked {
            let rate = match answers.get(fizz) {
                Some(Answer::Rate(rate)) => *rate,
                Some(Answer::No(reason)) => {
                    why = reason.clone();
                    continue;
                }
                None => continue,
            };
            if chosen.is_some() {
                continue;
            }
            if rate.0 > order.words.max_rate {
                let most = Rate(order.words.max_rate);
                why = Reason::new(
                    "price",
                    format!("{rate} tokens asked by light node {fizz}, the order pays at most {most}"),
                );
                continue;
            }
            match self.roll.why_not(&self.node.reader, *fizz).await {
                Ok(None) => chosen = Some(Said::Bid { fizz: *fizz, rate }),
                Ok(Some(words)) => why = Reason::new("light_node", format!("light node {fizz}: {words}")),
                Err(error) => why = Reason::new("light_node", error.to_string()),
            }
        }
        let kept = match &chosen {
            Some(Said::Bid { fizz, .. }) => Some(*fizz),
            _ => None,
        };
        for fizz in asked.iter().filter(|fizz| Some(**fizz) != kept) {
            if let Some(pin) = self.members().get(fizz).map(|member| member.pin) {
                self.say(pin, &FromGateway::Release { order: order.id });
            }
        }
        chosen.unwrap_or(Said::No(why))
    }
}
