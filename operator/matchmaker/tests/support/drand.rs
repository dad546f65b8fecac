//! A market whose seeds are drand's, and a relay that has five published rounds of quicknet. The network of the market
//! has quicknet's key and a clock of its own, by which four of these rounds come out while a test runs.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)] // each test file uses a part

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloy::hex;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use iono_bls::Signature;
use iono_testkit::{Anvil, Devnet, repo_root};
use serde_json::{Value, json};

const FIXTURE: &str = "contracts/test/verify/fixtures/quicknet.json";
const FIRST: u64 = 1000;
/// Seconds between rounds.
const PERIOD: u64 = 20;
/// Seconds between a block and its round at least.
const DELAY: u64 = 1;
/// Seconds that setting a market up may take.
const SETUP: u64 = 30;
const DAY: u64 = 86_400;

/// What the relay says when it is asked for a round.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Honest,
    /// It has nothing.
    Silent,
    /// It gives another round's signature.
    Lying,
}

#[derive(Clone)]
pub struct Relay {
    pub url: String,
    rounds: Arc<BTreeMap<u64, String>>,
    mood: Arc<Mutex<Mood>>,
    asked: Arc<Mutex<Vec<u64>>>,
}

/// A chain that lags behind until [`Clock::start`].
pub struct Clock {
    genesis: u64,
}

impl Relay {
    pub async fn start(mood: Mood) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = Self {
            url: format!("http://{}/quicknet", listener.local_addr().unwrap()),
            rounds: Arc::new(rounds()),
            mood: Arc::new(Mutex::new(mood)),
            asked: Arc::default(),
        };
        let routes = Router::new().route("/quicknet/public/{round}", get(answer)).with_state(relay.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        relay
    }

    pub fn set_mood(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// Rounds that it was asked for.
    pub fn asked(&self) -> Vec<u64> {
        self.asked.lock().unwrap().clone()
    }
}

async fn answer(State(relay): State<Relay>, Path(what): Path<String>) -> Result<String, StatusCode> {
    let round = if what == "latest" { FIRST } else { what.parse().map_err(|_| StatusCode::BAD_REQUEST)? };
    relay.asked.lock().unwrap().push(round);
    let mood = *relay.mood.lock().unwrap();
    let signed = match mood {
        Mood::Honest => round,
        Mood::Silent => return Err(StatusCode::NOT_FOUND),
        Mood::Lying => round + 1,
    };
    let signature = relay.rounds.get(&signed).ok_or(StatusCode::NOT_FOUND)?;
    Ok(json!({"round": round, "randomness": "", "signature": signature}).to_string())
}

/// Their signatures in drand's own encoding, of which the fixture has the long form.
fn rounds() -> BTreeMap<u64, String> {
    let compress = |long: &[u8]| {
        let point = Signature::from_bytes(long).unwrap();
        // The first bits tell that it is short, and which of two points it is.
        let short = [0x80_u8, 0xa0].map(|flags| {
            let mut short: [u8; 48] = long[16..64].try_into().unwrap();
            short[0] |= flags;
            short
        });
        let is_same = |short: &[u8; 48]| Signature::from_compressed(short).is_ok_and(|found| found == point);
        hex::encode(short.into_iter().find(is_same).unwrap())
    };
    let rounds = fixture()["rounds"].as_array().unwrap().clone();
    let entry = |round: Value| {
        let long = hex::decode(round["signature"].as_str().unwrap()).unwrap();
        (round["round"].as_u64().unwrap(), compress(&long))
    };
    rounds.into_iter().map(entry).collect()
}

fn fixture() -> Value {
    serde_json::from_slice(&std::fs::read(repo_root().unwrap().join(FIXTURE)).unwrap()).unwrap()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

impl Clock {
    /// A market on a chain that is more than a day late, so that it can be set up in its past.
    pub async fn market() -> (Self, Devnet) {
        // Round 999 is out when everything is set up, and the first one of ours comes next.
        let genesis = now() + SETUP - (FIRST - 2) * PERIOD;
        let anvil = Anvil::started_at(now() - DAY - 20 * SETUP).await.unwrap();
        let parameters = [
            ("DRAND", "true".to_owned()),
            ("DRAND_KEY", fixture()["key"].as_str().unwrap().to_owned()),
            ("DRAND_GENESIS", genesis.to_string()),
            ("DRAND_PERIOD", PERIOD.to_string()),
            ("DRAND_DELAY", DELAY.to_string()),
        ];
        (Self { genesis }, Devnet::deployed_on(anvil, &parameters).await.unwrap())
    }

    /// Brings the chain to the present, once blocks belong to rounds that the relay has.
    pub async fn start(&self, anvil: &Anvil) {
        let begin = self.genesis + (FIRST - 2) * PERIOD;
        assert!(now() < begin + PERIOD, "the set-up took too long: no round is left");
        tokio::time::sleep(Duration::from_secs(begin.saturating_sub(now()))).await;
        anvil.set_time(now()).await.unwrap();
    }
}
