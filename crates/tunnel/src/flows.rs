//! The flows of one UDP port, bounded. At the gateway a flow is a visitor's address; whoever spoofs addresses can only
//! push out flows that were never answered, oldest first. No I/O here.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// See the file's first lines.
#[derive(Debug)]
pub(crate) struct Flows {
    by_address: HashMap<SocketAddr, u32>,
    by_id: HashMap<u32, Flow>,
    /// Flows that were not answered, oldest first; may name some that have been meanwhile.
    unanswered: VecDeque<u32>,
    unanswered_count: usize,
    next: u32,
    most: usize,
    most_unanswered: usize,
    idle: Duration,
    swept: Instant,
}

#[derive(Debug)]
struct Flow {
    address: SocketAddr,
    answered: bool,
    seen: Instant,
}

impl Flows {
    pub(crate) fn new(most: usize, most_unanswered: usize, idle: Duration, now: Instant) -> Self {
        Self {
            by_address: HashMap::new(),
            by_id: HashMap::new(),
            unanswered: VecDeque::new(),
            unanswered_count: 0,
            next: 0,
            most,
            most_unanswered,
            idle,
            swept: now,
        }
    }

    /// The flow of a datagram that came from `address`; `None` when there is no room for another.
    pub(crate) fn of(&mut self, address: SocketAddr, now: Instant) -> Option<u32> {
        if let Some(&id) = self.by_address.get(&address) {
            if let Some(flow) = self.by_id.get_mut(&id) {
                flow.seen = now;
            }
            return Some(id);
        }
        if now.duration_since(self.swept) >= self.idle / 4 {
            self.sweep(now);
        }
        if self.unanswered_count >= self.most_unanswered {
            self.forget_oldest_unanswered();
        }
        if self.by_id.len() >= self.most {
            return None;
        }
        while self.by_id.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        self.by_address.insert(address, id);
        self.by_id.insert(id, Flow { address, answered: false, seen: now });
        self.unanswered.push_back(id);
        self.unanswered_count += 1;
        Some(id)
    }

    /// Where an answer of the flow goes; `None` when it was forgotten.
    pub(crate) fn answer(&mut self, id: u32, now: Instant) -> Option<SocketAddr> {
        let flow = self.by_id.get_mut(&id)?;
        flow.seen = now;
        if !flow.answered {
            flow.answered = true;
            self.unanswered_count -= 1;
        }
        Some(flow.address)
    }

    fn forget_oldest_unanswered(&mut self) {
        while let Some(id) = self.unanswered.pop_front() {
            if self.by_id.get(&id).is_some_and(|flow| !flow.answered) {
                self.remove(id);
                return;
            }
        }
    }

    fn sweep(&mut self, now: Instant) {
        let idle = self.idle;
        let old: Vec<u32> = self
            .by_id
            .iter()
            .filter(|(_, flow)| now.duration_since(flow.seen) >= idle)
            .map(|(id, _)| *id)
            .collect();
        for id in old {
            self.remove(id);
        }
        let by_id = &self.by_id;
        self.unanswered.retain(|id| by_id.get(id).is_some_and(|flow| !flow.answered));
        self.swept = now;
    }

    fn remove(&mut self, id: u32) {
        if let Some(flow) = self.by_id.remove(&id) {
            self.by_address.remove(&flow.address);
            if !flow.answered {
                self.unanswered_count -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(n: u16) -> SocketAddr {
        (Ipv4Addr::new(198, 51, 100, 1), n).into()
    }

    /// A hundred thousand invented senders leave the answered visitor its flow, and memory bounded.
    #[test]
    fn spoofed_addresses_push_out_only_each_other() {
        let start = Instant::now();
        let mut flows = Flows::new(64, 16, Duration::from_secs(60), start);
        let visitor = flows.of(address(1), start).unwrap();
        assert_eq!(flows.answer(visitor, start), Some(address(1)));
        for n in 0..100_000u32 {
            let ip = Ipv4Addr::from_bits(0x0a00_0000 + n);
            assert!(flows.of((ip, 9).into(), start).is_some());
        }
        assert!(flows.by_id.len() <= 17 && flows.by_address.len() <= 17 && flows.unanswered.len() <= 17);
        assert_eq!(flows.of(address(1), start), Some(visitor));
        assert_eq!(flows.answer(visitor, start), Some(address(1)));
    }

    #[test]
    fn answered_flows_are_bounded_and_end_by_silence() {
        let start = Instant::now();
        let mut flows = Flows::new(4, 2, Duration::from_secs(60), start);
        for n in 0..4 {
            let id = flows.of(address(n), start).unwrap();
            flows.answer(id, start).unwrap();
        }
        assert_eq!(flows.of(address(9), start), None);
        let later = start + Duration::from_secs(61);
        assert!(flows.of(address(9), later).is_some());
        assert_eq!(flows.answer(0, later), None, "forgotten flows get no answer");
        assert_eq!(flows.by_id.len(), 1);
    }
}
