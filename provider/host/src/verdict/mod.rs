//! Whether an order can be served here, at what rate, and why not (SP-27).

pub mod decide;
pub mod eligible;
pub mod reason;

use crate::config::values::Dollars;
use crate::market::book::Book;
use crate::market::tracked::Tracked;
use crate::node::{Node, claims};
use crate::pricing::{NoPrice, Request};
use decide::{Verdict, View, decide};

/// Decides on an order of `book` by this machine's free room; what an order holds itself does not stand in its own way.
/// `script` is asked for a price that the owner's table or expression does not say; `None` when it has not answered yet.
pub fn here(
    node: &Node,
    book: &Book,
    tracked: &Tracked,
    obstacle: Option<&str>,
    script: impl FnOnce(Request) -> Option<Result<Dollars, NoPrice>>,
) -> Option<Verdict> {
    let (config, view, offer) = (node.config(), node.view(), node.offer());
    let (order, withheld) = (&tracked.order, offer.withheld_words());
    let token = usize::from(order.words.token);
    let seen = View {
        profile: &view.profile,
        machine: node.me.fizz.into(),
        token: view.tokens.get(token).copied(),
        rules: &config.bidding,
        held: claims(book, node.me).filter(|claim| claim.lease.0 != order.id.0).count(),
        head: view.head.number,
        obstacle,
        withheld: withheld.as_deref(),
    };
    let free = node.free(book, Some(order.id.0));
    decide(
        order,
        &seen,
        |order| free.place(&order.spec, node.machine.storage_class),
        |allocation, word| {
            let asset = view.assets.get(token).copied().unwrap_or_default();
            let free_percent = (free.cpu * 100).checked_div(offer.cpu).unwrap_or_default();
            let request = Request::bid(order, (word, asset), allocation, free_percent, &config.prices);
            config.pricing.at_once(&config.prices, &request).or_else(|| script(request))
        },
    )
}
