//! What the demo promises: each figure with its bound, written to `target/demo.json`.

use std::ops::RangeInclusive;
use std::path::Path;

use anyhow::Result;
use iono_e2e::timeline::Row;
use serde::Serialize;

/// Gas of whole transactions, from receipts of the second order of a funded wallet, its lease and its provider.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Gas {
    pub(crate) create_order: u64,
    pub(crate) place_bid: u64,
    pub(crate) resolve: u64,
    pub(crate) confirm: u64,
    pub(crate) settle: u64,
    pub(crate) cash_out: u64,
    pub(crate) close: u64,
    /// From a wallet that is there and empty.
    pub(crate) permit_and_create: u64,
}

/// The whole of `target/demo.json`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figures {
    pub(crate) runtime: String,
    pub(crate) http_status: u16,
    pub(crate) blocks_order_to_lease: u64,
    pub(crate) blocks_lease_to_confirm: u64,
    pub(crate) manifest_to_http_ratio: f64,
    pub(crate) manifest_to_http_seconds: Vec<f64>,
    pub(crate) by_hand_seconds: Vec<f64>,
    pub(crate) failed_requests_during_update: u64,
    pub(crate) requests_during_update: u64,
    /// Over all payment tokens; what is missing in one does not make up for what is too much in another.
    pub(crate) wei_unaccounted: u128,
    pub(crate) bids_at_second_order: u64,
    pub(crate) gas: Gas,
    pub(crate) operators: u64,
    /// Killed or lying.
    pub(crate) operators_faulty: u64,
    /// Orders that the quorum matched after that.
    pub(crate) matches_after_fault: u64,
    pub(crate) liars_slashed: u64,
    /// Of the first request to a light node, through its tunnel.
    pub(crate) fizz_http_status: u16,
    /// From the return of its cable to the next answer at the same URL.
    pub(crate) fizz_seconds_to_resume: f64,
    /// For the time that the cable was out.
    pub(crate) fizz_wei_billed_while_down: u128,
    pub(crate) timeline: Vec<Row>,
}

/// A figure that was not measured is 0 or not a number, and neither is good.
const MEASURED: f64 = f64::MIN_POSITIVE;

/// A figure and the values with which it holds.
struct Bounded {
    name: &'static str,
    value: f64,
    good: RangeInclusive<f64>,
}

impl Bounded {
    fn holds(&self) -> bool {
        self.good.contains(&self.value)
    }
}

impl Figures {
    fn bounded(&self) -> Vec<Bounded> {
        let gas = self.gas;
        #[allow(clippy::cast_precision_loss)] // all far below 2^52
        let exact = |value: u64| value as f64;
        let measured = |name, value, most| Bounded { name, value, good: MEASURED..=most };
        let none = |name, value| Bounded { name, value, good: 0.0..=0.0 };
        vec![
            measured("blocks from order to lease", exact(self.blocks_order_to_lease), 4.0),
            measured("blocks from lease to confirmation", exact(self.blocks_lease_to_confirm), 2.0),
            measured("manifest to HTTP against the engine by hand", self.manifest_to_http_ratio, 1.5),
            none("failed requests during the update", exact(self.failed_requests_during_update)),
            none("wei unaccounted for", exact(self.wei_unaccounted.try_into().unwrap_or(u64::MAX))),
            measured("seconds until a light node serves again", self.fizz_seconds_to_resume, 5.0),
            none(
                "wei billed while it was away",
                exact(self.fizz_wei_billed_while_down.try_into().unwrap_or(u64::MAX)),
            ),
            measured("gas: create order", exact(gas.create_order), 125_000.0),
            measured("gas: place bid", exact(gas.place_bid), 62_000.0),
            measured("gas: resolve three bids, lease included", exact(gas.resolve), 160_000.0),
            measured("gas: confirm", exact(gas.confirm), 42_000.0),
            measured("gas: settle", exact(gas.settle), 42_000.0),
            measured("gas: cash out", exact(gas.cash_out), 50_000.0),
            measured("gas: close", exact(gas.close), 55_000.0),
            measured("gas: permit and create from an empty wallet", exact(gas.permit_and_create), 185_000.0),
        ]
    }

    /// What does not hold.
    pub(crate) fn missed(&self) -> Vec<String> {
        let bounded = self.bounded();
        let over = bounded.iter().filter(|figure| !figure.holds());
        let mut missed: Vec<String> = over
            .map(|figure| format!("{} is {}, at most {}", figure.name, figure.value, figure.good.end()))
            .collect();
        if self.http_status != 200 {
            missed.push(format!("the URL answered {}", self.http_status));
        }
        if self.fizz_http_status != 200 {
            missed.push(format!("the light node's URL answered {}", self.fizz_http_status));
        }
        if self.requests_during_update == 0 {
            missed.push("no request was made during the update".to_owned());
        }
        let trial = (self.operators, self.operators_faulty, self.liars_slashed);
        if trial != (7, 2, 1) {
            missed
                .push(format!("operators, faulty ones and slashed liars are {trial:?} instead of (7, 2, 1)"));
        }
        if self.matches_after_fault < 10 {
            missed.push(format!("{} matches after the faults, at least 10", self.matches_after_fault));
        }
        if self.bids_at_second_order != 3 {
            missed.push(format!("{} bids at the second order instead of 3", self.bids_at_second_order));
        }
        missed
    }

    /// The figures beside their bounds, for people.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |figure: Bounded| {
            let mark = if figure.holds() { "✓" } else { "✗" };
            format!("  {mark} {:<46} {:>10.2}   at most {}", figure.name, figure.value, figure.good.end())
        };
        let trial = format!(
            "  {} operators, {} of them faulty: {} orders matched after that, liars slashed: {}",
            self.operators, self.operators_faulty, self.matches_after_fault, self.liars_slashed
        );
        self.bounded().into_iter().map(line).chain([trial]).collect()
    }

    /// Writes them as JSON.
    pub(crate) fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        if let Some(folder) = path.as_ref().parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(std::fs::write(path, serde_json::to_string_pretty(self)? + "\n")?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Figures {
        Figures {
            runtime: "docker".to_owned(),
            http_status: 200,
            blocks_order_to_lease: 4,
            blocks_lease_to_confirm: 1,
            manifest_to_http_ratio: 1.1,
            manifest_to_http_seconds: vec![0.5],
            by_hand_seconds: vec![0.5],
            failed_requests_during_update: 0,
            requests_during_update: 100,
            wei_unaccounted: 0,
            bids_at_second_order: 3,
            gas: Gas {
                create_order: 120_896,
                place_bid: 60_088,
                resolve: 148_180,
                confirm: 37_071,
                settle: 41_664,
                cash_out: 49_082,
                close: 54_535,
                permit_and_create: 179_787,
            },
            operators: 7,
            operators_faulty: 2,
            matches_after_fault: 10,
            liars_slashed: 1,
            fizz_http_status: 200,
            fizz_seconds_to_resume: 2.5,
            fizz_wei_billed_while_down: 0,
            timeline: Vec::new(),
        }
    }

    #[test]
    fn what_was_not_measured_is_missed() {
        assert!(good().missed().is_empty(), "{:?}", good().missed());
        for bad in [0.0, f64::NAN, f64::INFINITY, 1.51, -1.0] {
            let figures = Figures { manifest_to_http_ratio: bad, ..good() };
            assert_eq!(figures.missed().len(), 1, "{bad}");
            assert_eq!(figures.lines().iter().filter(|line| line.contains('✗')).count(), 1, "{bad}");
        }
        let unmeasured = Figures { gas: Gas::default(), blocks_order_to_lease: 0, ..good() };
        assert_eq!(unmeasured.missed().len(), 9, "{:?}", unmeasured.missed());
    }

    #[test]
    fn one_failed_request_or_one_lost_wei_is_missed() {
        assert_eq!(Figures { failed_requests_during_update: 1, ..good() }.missed().len(), 1);
        assert_eq!(Figures { wei_unaccounted: 1, ..good() }.missed().len(), 1);
        assert_eq!(Figures { fizz_wei_billed_while_down: 1, ..good() }.missed().len(), 1);
        assert_eq!(
            Figures { fizz_seconds_to_resume: 5.1, fizz_http_status: 503, ..good() }.missed().len(),
            2
        );
        assert_eq!(Figures { wei_unaccounted: u128::MAX, ..good() }.missed().len(), 1);
        assert_eq!(Figures { requests_during_update: 0, ..good() }.missed().len(), 1);
        assert_eq!(Figures { matches_after_fault: 9, liars_slashed: 0, ..good() }.missed().len(), 2);
        assert_eq!(Figures { bids_at_second_order: 2, http_status: 502, ..good() }.missed().len(), 2);
    }
}
