//! What the demo promises: each figure with its bound, written to `target/demo.json`.

use std::path::Path;

use anyhow::Result;
use iono_e2e::timeline::Row;
use serde::Serialize;

/// Gas of whole transactions, from receipts of the second order of a funded wallet.
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
    pub(crate) wei_unaccounted: i128,
    pub(crate) bids_at_second_order: u64,
    pub(crate) gas: Gas,
    pub(crate) timeline: Vec<Row>,
}

impl Figures {
    /// Name, value, bound: the value may not be above it.
    fn bounded(&self) -> Vec<(&'static str, f64, f64)> {
        let gas = self.gas;
        #[allow(clippy::cast_precision_loss)] // all far below 2^52
        let exact = |value: u64| value as f64;
        vec![
            ("blocks from order to lease", exact(self.blocks_order_to_lease), 4.0),
            ("blocks from lease to confirmation", exact(self.blocks_lease_to_confirm), 2.0),
            ("manifest to HTTP against the engine by hand", self.manifest_to_http_ratio, 1.5),
            ("failed requests during the update", exact(self.failed_requests_during_update), 0.0),
            (
                "wei unaccounted for",
                exact(self.wei_unaccounted.unsigned_abs().try_into().unwrap_or(u64::MAX)),
                0.0,
            ),
            ("gas: create order", exact(gas.create_order), 125_000.0),
            ("gas: place bid", exact(gas.place_bid), 62_000.0),
            ("gas: resolve three bids, lease included", exact(gas.resolve), 160_000.0),
            ("gas: confirm", exact(gas.confirm), 42_000.0),
            ("gas: settle", exact(gas.settle), 42_000.0),
            ("gas: cash out", exact(gas.cash_out), 50_000.0),
            ("gas: close", exact(gas.close), 55_000.0),
            ("gas: permit and create from an empty wallet", exact(gas.permit_and_create), 185_000.0),
        ]
    }

    /// What does not hold.
    pub(crate) fn missed(&self) -> Vec<String> {
        let over = self.bounded().into_iter().filter(|(_, value, bound)| value > bound);
        let mut missed: Vec<String> =
            over.map(|(name, value, bound)| format!("{name} {value} > {bound}")).collect();
        if self.http_status != 200 {
            missed.push(format!("the URL answered {}", self.http_status));
        }
        if self.requests_during_update == 0 {
            missed.push("no request was made during the update".to_owned());
        }
        if self.bids_at_second_order != 3 {
            missed.push(format!("{} bids at the second order instead of 3", self.bids_at_second_order));
        }
        missed
    }

    /// The figures beside their bounds, for people.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |(name, value, bound): (&str, f64, f64)| {
            let mark = if value <= bound { "✓" } else { "✗" };
            format!("  {mark} {name:<46} {value:>10.2}   at most {bound}")
        };
        self.bounded().into_iter().map(line).collect()
    }

    /// Writes them as JSON.
    pub(crate) fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        if let Some(folder) = path.as_ref().parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(std::fs::write(path, serde_json::to_string_pretty(self)? + "\n")?)
    }
}
