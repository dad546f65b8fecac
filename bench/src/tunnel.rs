//! The tunnel against rathole 0.5.0, both with TLS, through the same network laboratory: throughput, requests, what an idle
//! light node costs, and how long it takes until it is reached again. They take turns; ratios are oriented so that more is
//! better for us, with the 95% interval of their medians. See `docs/tunnel.md`.

mod idle;
mod load;
mod outage;
mod peers;
mod rows;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use iono_testkit::lab::{GATEWAY, Lab, Line};

use crate::figure::Figure;
use load::{Service, Visitors, Way};
use peers::{Kind, Place, Process};
use rows::{Better, Row};

pub(crate) use peers::is_apart;

/// Pairs of runs.
const RUNS: usize = 7;
/// Both, in the order of a table's columns.
const KINDS: [Kind; 2] = [Kind::Ours, Kind::Rathole];
/// Of one throughput run, after its ramp; longer by [`TRANSFER_TRIPS`] ways there and back, in which a window changes.
const TRANSFER: Duration = Duration::from_millis(400);
const TRANSFER_TRIPS: u32 = 6;
/// Before the first run on a line, each way: until a connection's congestion control knows it.
const ACQUAINTANCE: Duration = Duration::from_secs(4);
/// Of one run of requests.
const REQUESTS: Duration = Duration::from_millis(700);
/// Streams beside each other, where there are many.
const MANY: usize = 100;
/// Visitors that ask at the same time.
const VISITORS: usize = 16;
/// The lines that are measured: milliseconds there and back, loss.
const LINES: [(u64, f64); 6] = [(0, 0.0), (0, 0.01), (60, 0.0), (60, 0.01), (150, 0.0), (150, 0.01)];

/// Throughput and requests on every line.
pub(crate) async fn lines() -> Result<Vec<Figure>> {
    let dir = tempfile::tempdir()?;
    let mut rows = Vec::new();
    let mut relay = Duration::ZERO;
    for (millis, loss) in LINES {
        let lab = Lab::new(Line { round_trip: Duration::from_millis(millis), loss, seed: millis + 1 })?;
        let dir = dir.path().join(format!("{millis}-{loss}"));
        rows.extend(line(&lab, &dir, millis, loss).await?);
        relay += lab.relay_time()?;
    }
    let best = rows.iter().map(|row| row.interval().0).fold(0.0, f64::max);
    let mut figures = figures(&rows);
    let what = "the tunnel's best row against rathole, lower end";
    figures.push(Figure::new("tunnel_best_ratio_low", what, best, "times").at_least(2.0));
    let what = "time that the laboratory's relay took";
    figures.push(Figure::new("tunnel_lab_relay_seconds", what, relay.as_secs_f64(), "s"));
    Ok(figures)
}

/// How long visitors find nobody.
pub(crate) async fn outages() -> Result<Vec<Figure>> {
    let dir = tempfile::tempdir()?;
    Ok(figures(&outage::measure(dir.path()).await?))
}

/// What idle light nodes cost.
pub(crate) async fn idle() -> Result<Vec<Figure>> {
    let dir = tempfile::tempdir()?;
    let mut figures = figures(&idle::measure(dir.path()).await?);
    figures.extend(idle::crowd(dir.path()).await?);
    Ok(figures)
}

fn figures(rows: &[Row]) -> Vec<Figure> {
    rows.iter().flat_map(Row::figures).collect()
}

/// One of the two with all that belongs to it.
pub(crate) struct Side {
    pub(crate) gateway: Option<Process>,
    _client: Process,
    pub(crate) kind: Kind,
    pub(crate) place: Place,
    pub(crate) service: Service,
    pub(crate) visitors: Visitors,
}

impl Side {
    /// Starts it and waits until it serves.
    pub(crate) async fn start(kind: Kind, lab: &Lab, dir: &Path) -> Result<Self> {
        let number = if kind == Kind::Ours { 0 } else { 1 };
        let local = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port + number));
        let place = Place {
            dir: dir.join(format!("{kind:?}")),
            gateway: GATEWAY,
            port: 4_000 + number,
            visitors: 5_000 + number,
            service: local(9_000),
            clients: 1,
        };
        kind.prepare(&place)?;
        let service = Service::start(lab.client(), place.service)?;
        let gateway = kind.gateway(&place, Some(lab.gateway()))?;
        let client = kind.client(&place, Some(lab.client()))?;
        let visitors = Visitors::new(lab.gateway(), local(5_000))?;
        visitors.served().await?;
        Ok(Self { gateway: Some(gateway), _client: client, kind, place, service, visitors })
    }

    /// One run of transfers: seconds until all visitors are at the service, and megabits a second from then on.
    async fn transfer(
        &self,
        way: Way,
        streams: usize,
        round_trip: Duration,
        length: Duration,
    ) -> Result<[f64; 2]> {
        let run = self.visitors.throughput(&self.service, way, streams, round_trip, length).await;
        let [arrival, bytes] = run.with_context(|| format!("{:?}, {way:?}, {streams} streams", self.kind))?;
        self.service.quiet().await?;
        Ok([arrival, bytes * 8.0 / 1e6])
    }
}

/// All that is measured on one line.
async fn line(lab: &Lab, dir: &Path, millis: u64, loss: f64) -> Result<Vec<Row>> {
    let sides = [Side::start(KINDS[0], lab, dir).await?, Side::start(KINDS[1], lab, dir).await?];
    let (percent, round_trip) = (loss * 100.0, Duration::from_millis(millis));
    for side in &sides {
        for way in [Way::Down, Way::Up] {
            side.transfer(way, 1, round_trip, ACQUAINTANCE).await?;
        }
    }
    let length = TRANSFER + round_trip * TRANSFER_TRIPS;
    let mut rows = Vec::new();
    let what = format!("until {MANY} visitors are served, {millis} ms, {percent}% loss");
    let mut arrivals = Row::new(format!("arrivals_{millis}ms_{percent}pct"), what, "s", Better::Less);
    for streams in [1, MANY] {
        for way in [Way::Down, Way::Up] {
            let word = if way == Way::Down { "down" } else { "up" };
            let name = format!("{word}_{streams}_streams_{millis}ms_{percent}pct");
            let what = format!("{word}, {streams} streams, {millis} ms, {percent}% loss");
            let mut row = Row::new(name, what, "Mbit/s", Better::More);
            for run in 0..RUNS {
                for turn in 0..2 {
                    let side = (run + turn) % 2;
                    let [arrival, megabits] = sides[side].transfer(way, streams, round_trip, length).await?;
                    row.push(side, megabits);
                    if streams == MANY {
                        arrivals.push(side, arrival);
                    }
                }
            }
            rows.push(row.done());
        }
    }
    rows.push(arrivals.done());
    rows.extend(requests(&sides, millis, percent).await?);
    Ok(rows)
}

/// Requests over new connections.
async fn requests(sides: &[Side; 2], millis: u64, percent: f64) -> Result<[Row; 3]> {
    let row = |word: &str, what: &str, unit, better| {
        let what = format!("{what}, {VISITORS} visitors, {millis} ms, {percent}% loss");
        Row::new(format!("{word}_{millis}ms_{percent}pct"), what, unit, better)
    };
    let mut rate = row("http_requests", "HTTP requests", "requests/s", Better::More);
    let mut median = row("http_p50", "HTTP latency, p50", "ms", Better::Less);
    let mut tail = row("http_p99", "HTTP latency, p99", "ms", Better::Less);
    for run in 0..RUNS {
        for turn in 0..2 {
            let side = (run + turn) % 2;
            let start = std::time::Instant::now();
            let mut latencies = sides[side].visitors.requests(VISITORS, REQUESTS).await?;
            let seconds = start.elapsed().as_secs_f64();
            latencies.sort_by(f64::total_cmp);
            let at = |share: usize| latencies[(latencies.len() - 1) * share / 100] * 1e3;
            #[allow(clippy::cast_precision_loss)]
            rate.push(side, latencies.len() as f64 / seconds);
            median.push(side, at(50));
            tail.push(side, at(99));
        }
    }
    Ok([rate.done(), median.done(), tail.done()])
}
