//! What the gateway knows of one light node: what it said last, what is open for it, and how it did so far.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use iono_host::outside::Name;
use iono_host::subnet::{Offer, Way};
use iono_identity::Pin;
use iono_primitives::LeaseId;
use iono_tunnel::Exposure;

/// Changes on chain that a light node may ask for within [`SPAN`]: each costs this provider gas.
const MOST_ACTS: usize = 120;
/// See [`MOST_ACTS`].
const SPAN: Duration = Duration::from_secs(3_600);

/// One light node.
pub(super) struct Member {
    /// The key that it came with last.
    pub(super) pin: Pin,
    /// Name and version of its software.
    pub(super) software: String,
    /// What it has for new leases.
    pub(super) offer: Offer,
    /// Unix time since when it is out of reach, if it is.
    pub(super) lost: Option<u64>,
    /// Its HTTP router, at a port of this machine.
    pub(super) http: Exposure,
    /// What it said of each lease.
    pub(super) leases: HashMap<LeaseId, Ways>,
    /// How it did.
    pub(super) record: Record,
    acts: VecDeque<Instant>,
}

/// The ways into one lease.
#[derive(Default)]
pub(super) struct Ways {
    /// Of which revision.
    pub(super) revision: u64,
    /// Those that were said so far; complete when none is `None`.
    pub(super) ways: Vec<Option<Way>>,
    /// The ports that are open.
    pub(super) ports: HashMap<Name, (u16, Exposure)>,
}

/// What a light node did since this gateway knows it, for choosing among them (SP-34).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Record {
    /// Leases that it began.
    pub(super) begun: u32,
    /// Times that it dropped off while it served.
    pub(super) dropped: u32,
}

impl Member {
    pub(super) fn new(pin: Pin, software: String, http: Exposure) -> Self {
        Self {
            pin,
            software,
            offer: Offer::default(),
            lost: None,
            http,
            leases: HashMap::new(),
            record: Record::default(),
            acts: VecDeque::new(),
        }
    }

    /// Whether it may have one more change sent; counts it, if so.
    pub(super) fn may_act(&mut self) -> bool {
        while self.acts.front().is_some_and(|at| at.elapsed() >= SPAN) {
            self.acts.pop_front();
        }
        let may = self.acts.len() < MOST_ACTS;
        if may {
            self.acts.push_back(Instant::now());
        }
        may
    }
}
