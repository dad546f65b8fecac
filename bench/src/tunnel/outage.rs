//! How long visitors find nobody after something broke. Pairs run beside each other in laboratories of their own: both
//! sides of a pair live through the same fault.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use futures::future::try_join_all;
use iono_testkit::lab::{Lab, Line};

use super::rows::{Better, Row};
use super::{KINDS, RUNS, Side};

/// How long the gateway is away, and the cable out.
const AWAY: Duration = Duration::from_millis(1_500);
const PULLED: Duration = Duration::from_secs(12);
/// Between the beginnings of two pairs, so that the moments that are measured do not meet.
const APART: Duration = Duration::from_secs(2);

/// A gateway that restarts, a router that forgets its mappings, a cable that is pulled.
pub(crate) async fn measure(dir: &Path) -> Result<Vec<Row>> {
    let row = |name: &str, what: &str| Row::new(name, what, "s", Better::Less);
    let mut rows = [
        row("reconnect_restart", "until served after the gateway's restart"),
        row("reconnect_rebind", "until served after the NAT gave another address (at most 20 s are waited)"),
        row("reconnect_cable", "until served after 12 s without the cable"),
    ];
    let pairs = try_join_all((0..RUNS).map(|run| {
        let dir = dir.join(format!("outage-{run}"));
        let start = APART * u32::try_from(run).unwrap_or_default();
        async move {
            tokio::time::sleep(start).await;
            pair(&dir).await
        }
    }));
    for pair in pairs.await? {
        for (row, values) in rows.iter_mut().zip(pair) {
            row.push(0, values[0]);
            row.push(1, values[1]);
        }
    }
    Ok(rows.map(Row::done).into())
}

/// Seconds of both sides for each fault.
async fn pair(dir: &Path) -> Result<[[f64; 2]; 3]> {
    let lab = Lab::new(Line { round_trip: Duration::from_millis(60), loss: 0.0, seed: 1 })?;
    let mut sides = [Side::start(KINDS[0], &lab, dir).await?, Side::start(KINDS[1], &lab, dir).await?];
    for side in &mut sides {
        side.gateway = None;
    }
    tokio::time::sleep(AWAY).await;
    for side in &mut sides {
        side.gateway = Some(side.kind.gateway(&side.place, Some(lab.gateway()))?);
    }
    let restart = served(&sides).await?;
    lab.rebind()?;
    let rebind = served(&sides).await?;
    // So that the one that is still away does not get the next fault for nothing.
    served(&sides).await?;
    lab.pull();
    tokio::time::sleep(PULLED).await;
    lab.plug();
    Ok([restart, rebind, served(&sides).await?])
}

async fn served(sides: &[Side; 2]) -> Result<[f64; 2]> {
    let (ours, theirs) = tokio::join!(sides[0].visitors.served(), sides[1].visitors.served());
    Ok([ours?, theirs?])
}
