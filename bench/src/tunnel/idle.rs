//! What idle light nodes cost. All pairs idle beside each other, so that a minute is one minute; heartbeats of both come
//! at most that far apart.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::peers::{Kind, Place, Process};
use super::rows::{Better, Row};
use super::{KINDS, RUNS};
use crate::figure::Figure;

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Light nodes of each process.
const CLIENTS: u16 = 100;
/// Until all are connected and what connecting took is freed.
const SETTLE: Duration = Duration::from_secs(8);
/// Two of rathole's heartbeats.
const IDLE: Duration = Duration::from_secs(60);
/// The most that a small gateway should bear.
const CROWD: u16 = 2_000;
const FEW: u16 = 10;

struct Idle {
    gateway: Process,
    client: Process,
    /// Both with one light node, the fewest that rathole starts with.
    alone: (Process, Process),
}

/// Memory and processor time for each light node, at both ends.
pub(crate) async fn measure(dir: &Path) -> Result<Vec<Row>> {
    let mut pairs = Vec::new();
    for run in 0..u16::try_from(RUNS)? {
        let mut pair = Vec::new();
        for (number, kind) in (0u16..).zip(KINDS) {
            let at = run * 2 + number;
            let alone = start(kind, &dir.join(format!("one-{at}")), 100 + at, 1).await?;
            let (gateway, client) = start(kind, &dir.join(format!("idle-{at}")), at, CLIENTS).await?;
            pair.push(Idle { gateway, client, alone });
        }
        pairs.push(pair);
    }
    tokio::time::sleep(SETTLE).await;
    let cpu = |idle: &Idle| Ok::<_, anyhow::Error>([idle.gateway.cpu()?, idle.client.cpu()?]);
    let before = pairs.iter().map(|pair| [cpu(&pair[0]), cpu(&pair[1])]).collect::<Vec<_>>();
    tokio::time::sleep(IDLE).await;
    let row = |name: &str, what: &str, unit| Row::new(name, what, unit, Better::Less);
    let mut rows = [
        row("idle_memory_gateway", "memory of an idle light node at the gateway", "KiB"),
        row("idle_memory_client", "memory of an idle light node at its own end", "KiB"),
        row("idle_cpu", "processor time of an idle light node, both ends, in a minute", "ms"),
    ];
    for (pair, before) in pairs.iter().zip(before) {
        for ((side, idle), before) in pair.iter().enumerate().zip(before) {
            let (before, after) = (before?, cpu(idle)?);
            let more = f64::from(CLIENTS - 1);
            let memory = |many: &Process, one: &Process| {
                Ok::<_, anyhow::Error>((many.memory_kib()? - one.memory_kib()?) / more)
            };
            rows[0].push(side, memory(&idle.gateway, &idle.alone.0)?);
            rows[1].push(side, memory(&idle.client, &idle.alone.1)?);
            let spent = (after[0] - before[0]) + (after[1] - before[1]);
            rows[2].push(side, spent.as_secs_f64() * 1e3 / f64::from(CLIENTS));
        }
    }
    Ok(rows.map(Row::done).into())
}

/// Both processes on this machine's loopback; `number` keeps their ports apart.
async fn start(kind: Kind, dir: &Path, number: u16, clients: u16) -> Result<(Process, Process)> {
    let place = Place {
        dir: dir.to_path_buf(),
        gateway: LOCAL,
        port: 12_000 + number,
        visitors: 13_000 + number * CLIENTS,
        service: SocketAddr::new(LOCAL, 9),
        clients,
    };
    kind.prepare(&place)?;
    let gateway = kind.gateway(&place, None)?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let client = kind.client(&place, None)?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    Ok((gateway, client))
}

/// Two thousand light nodes on one gateway of ours, and how long one more takes beside few and beside all of them.
pub(crate) async fn crowd(dir: &Path) -> Result<Vec<Figure>> {
    let few = joined(&dir.join("few"), FEW, 50).await?;
    let many = joined(&dir.join("many"), CROWD, 60).await?;
    let growth = many.one_more / few.one_more;
    Ok(vec![
        Figure::new(
            "tunnel_crowd_memory",
            "memory of a gateway with 2,000 idle light nodes",
            many.memory_mib,
            "MiB",
        )
        .at_most(200_000_000.0 / f64::from(1 << 20)),
        Figure::new("tunnel_crowd_cpu", "  its processor time in a minute", many.cpu_per_minute, "s"),
        Figure::new("tunnel_crowd_join_growth", "time for one more to join, of 10", growth, "times")
            .at_most(3.0),
        Figure::new("tunnel_crowd_join_few", "  beside 10", few.one_more * 1e3, "ms"),
        Figure::new("tunnel_crowd_join_many", "  beside 2,000", many.one_more * 1e3, "ms"),
    ])
}

struct Crowd {
    memory_mib: f64,
    cpu_per_minute: f64,
    /// Seconds until the last one serves.
    one_more: f64,
}

/// `count` light nodes, then one more, whose process the gateway knows already.
async fn joined(dir: &Path, count: u16, number: u16) -> Result<Crowd> {
    let service = TcpListener::bind((LOCAL, 0)).await?;
    let place = Place {
        dir: dir.to_path_buf(),
        gateway: LOCAL,
        port: 12_000 + number,
        visitors: 20_000,
        service: service.local_addr()?,
        clients: count + 1,
    };
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = service.accept().await {
            tokio::spawn(async move {
                // A visitor that left early is no fault.
                let _ = stream.write_all(b"hello").await;
            });
        }
    });
    Kind::Ours.prepare(&place)?;
    let gateway = Kind::Ours.gateway(&place, None)?;
    let _clients = Kind::Ours.client(&Place { clients: count, ..place.clone() }, None)?;
    // The last of them serves: so do all, or will soon.
    for visitor in [0, count / 2, count - 1] {
        hello(place.visitors + visitor).await?;
    }
    tokio::time::sleep(SETTLE).await;
    let memory_mib = gateway.memory_kib()? / 1_024.0;
    let (start, before) = (Instant::now(), gateway.cpu()?);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let spent = (gateway.cpu()? - before).as_secs_f64();
    let cpu_per_minute = spent * 60.0 / start.elapsed().as_secs_f64();
    let mut times = Vec::new();
    for _ in 0..5 {
        let began = Instant::now();
        let _one = Kind::Ours.last(&place)?;
        hello(place.visitors + count).await?;
        times.push(began.elapsed().as_secs_f64());
    }
    Ok(Crowd { memory_mib, cpu_per_minute, one_more: crate::stats::median(&times) })
}

/// Waits until a visitor is greeted.
async fn hello(port: u16) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(120) {
        if let Ok(mut stream) = TcpStream::connect((LOCAL, port)).await {
            let mut greeting = [0; 5];
            if let Ok(Ok(_)) =
                tokio::time::timeout(Duration::from_secs(2), stream.read_exact(&mut greeting)).await
            {
                return Ok(());
            }
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Err(anyhow::anyhow!("port {port} never answered")).context("a light node did not join")
}
