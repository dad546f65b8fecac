//! Operators of the quorum as real processes, and shares made by hand.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)] // each test file uses a part

use std::ops::RangeInclusive;
use std::time::Duration;

use alloy::primitives::{B256, U256};
use alloy::providers::Provider;
use alloy::rpc::types::{Filter, TransactionReceipt};
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolEvent;
use iono_bindings::{IMatchTaskManager, IOperatorRegistry, IOrderBook, IStakingManager, OrderWords};
use iono_bls::SecretKey;
use iono_identity::{Passphrase, bls_keystore};
use iono_primitives::{OrderId, OrderState, Rate};
use iono_quorum::{Results, Roster, SignedShare, aggregators};
use iono_testkit::{Ballot, Daemon, Devnet, ProviderSetup, ballot, eventually, free_port};
use serde_json::Value;

use super::{Keeper, LIMIT, World};

pub const STAKE: u64 = 10_000;
/// Where it is about the quorum: the blocks here are ten times as fast as a chain's, the machine is not.
pub const PATIENT: &str = "[keeper]\nquorum_blocks = 40\n";
const DAY: u64 = 86_400;

/// A registered operator and its daemon's folder.
pub struct Operator {
    pub number: u32,
    pub owner: PrivateKeySigner,
    pub secret: SecretKey,
    pub keeper: Keeper,
    pub endpoint: String,
    client: reqwest::Client,
}

/// A market with two providers, whose orders operators match.
pub struct Quorum {
    pub world: World,
    /// Of a second provider, which bids less.
    pub cheaper: PrivateKeySigner,
    pub operators: Vec<Operator>,
}

impl Quorum {
    /// Operators of equal weight, in the set from now on; `extra` ends each one's configuration.
    pub async fn new(count: u8, extra: &str) -> Self {
        Self::on(World::new().await, count, extra).await
    }

    pub async fn on(world: World, count: u8, extra: &str) -> Self {
        let setup = ProviderSetup::new(PrivateKeySigner::random(), PrivateKeySigner::random());
        world.net.provider(&setup).await.unwrap();
        let mut operators = Vec::new();
        for index in 1..=count {
            operators.push(operator(&world, index, extra).await);
        }
        world.net.anvil.advance(DAY).await.unwrap();
        Self { world, cheaper: setup.hot, operators }
    }

    pub async fn run(&self) -> Vec<Daemon> {
        let mut daemons: Vec<Daemon> =
            self.operators.iter().map(|operator| operator.keeper.start(None)).collect();
        for (daemon, operator) in daemons.iter_mut().zip(&self.operators) {
            daemon.ready(&operator.keeper.ready, LIMIT).await.unwrap();
        }
        daemons
    }

    /// An order with a bid of each provider.
    pub async fn order(&self) -> OrderId {
        let (net, world) = (&self.world.net, &self.world);
        let rate = Rate::from_hourly("0.1").unwrap();
        let order = net.order(&world.tenant, world.wallet, rate).await.unwrap();
        net.bid(&world.hot, order, rate).await.unwrap();
        net.bid(&self.cheaper, order, Rate(rate.0 / 2)).await.unwrap();
        order
    }

    pub fn net(&self) -> &Devnet {
        &self.world.net
    }

    /// What honest operators say of an order whose bidding is over.
    pub async fn honest(&self, order: OrderId) -> Ballot {
        Ballot::honest(self.net().anvil.provider(), &self.net().book, &[order]).await.unwrap()
    }

    /// The results of one order, as an honest operator finds them.
    pub async fn results(&self, order: OrderId) -> Results {
        self.honest(order).await.truth().unwrap()
    }

    /// That a losing bid has won it.
    pub async fn lying(&self, order: OrderId) -> Ballot {
        Ballot::lying(self.net().anvil.provider(), &self.net().book, &[order]).await.unwrap()
    }

    /// A batch that these operators sign (by index).
    pub async fn batch(&self, ballot: &Ballot, signers: &[usize]) -> IMatchTaskManager::respondBatchCall {
        let secret_of = |number: u32| {
            let signer = signers.iter().map(|index| &self.operators[*index]).find(|o| o.number == number);
            signer.map(|signer| signer.secret.clone())
        };
        ballot.batch(ballot.quorum(&self.roster().await, secret_of).unwrap())
    }

    /// Batches that the contract took.
    pub async fn batches(&self) -> Vec<IMatchTaskManager::BatchResponded> {
        let tasks = self.net().book.match_task_manager;
        let filter = Filter::new().address(tasks).from_block(0);
        let filter = filter.event_signature(IMatchTaskManager::BatchResponded::SIGNATURE_HASH);
        let logs = self.net().anvil.provider().get_logs(&filter).await.unwrap();
        logs.iter().map(|log| log.log_decode().unwrap().inner.data).collect()
    }

    /// Whole SPON.
    pub async fn stake_of(&self, operator: u32) -> u64 {
        let staking = IStakingManager::new(self.net().book.operator_staking, self.net().anvil.provider());
        let tokens = staking.poolOf(U256::from(operator)).call().await.unwrap().tokens;
        (tokens / U256::from(10).pow(U256::from(18))).to()
    }

    pub async fn is_ejected(&self, operator: u32) -> bool {
        let registry = IOperatorRegistry::new(self.net().book.operator_registry, self.net().anvil.provider());
        registry.ejectedIn(U256::from(operator)).call().await.unwrap() != U256::ZERO
    }

    pub async fn roster(&self) -> Roster {
        ballot::roster(self.net().anvil.provider(), &self.net().book).await.unwrap()
    }

    pub async fn mine(&self, blocks: u64) {
        self.net().anvil.mine(blocks).await.unwrap();
    }

    pub async fn head(&self) -> u64 {
        self.net().anvil.provider().get_block_number().await.unwrap()
    }

    pub async fn words(&self, order: OrderId) -> OrderWords {
        let orders = IOrderBook::new(self.net().book.order_book, self.net().anvil.provider());
        let words = orders.orderWords(order.into()).call().await.unwrap();
        OrderWords::read([words.word0, words.word1])
    }

    /// Mines until the block that gives the order's seed is the head, so slowly that daemons see each; gives the closing
    /// block.
    pub async fn until_seed(&self, order: OrderId) -> u64 {
        let close_block = self.words(order).await.close_block;
        while self.head().await < close_block + 1 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            self.mine(1).await;
        }
        close_block
    }

    /// Operators in the order of their turns for an order whose closing block is there.
    pub async fn turns(&self, order: OrderId) -> Vec<u32> {
        let OrderWords { close_block, set_era, .. } = self.words(order).await;
        let block = self.net().anvil.provider().get_block_by_number(close_block.into()).await.unwrap();
        aggregators(&self.roster().await.set_at(set_era).unwrap(), block.unwrap().header.hash)
    }

    /// Waits for the match without mining: the transaction makes its own block.
    pub async fn matched(&self, order: OrderId, daemons: &[Daemon]) {
        let state = || async { (self.world.order_state(order).await == OrderState::Matched).then_some(()) };
        eventually("matched", LIMIT, state).await.unwrap_or_else(|error| {
            let logs: Vec<String> = daemons.iter().map(Daemon::logs).collect();
            panic!("{error}\n{}", logs.join("\n----\n"))
        });
    }

    /// Mines a block now and then until the order is matched.
    pub async fn until_matched(&self, order: OrderId) {
        eventually("the order is matched", LIMIT, || async {
            if self.world.order_state(order).await == OrderState::Matched {
                return Some(());
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            self.mine(1).await;
            None
        })
        .await
        .unwrap();
    }

    pub async fn until_ejected(&self, operator: u32) {
        eventually("it is slashed", LIMIT, || async {
            self.mine(1).await;
            self.is_ejected(operator).await.then_some(())
        })
        .await
        .unwrap();
    }

    pub async fn nobody_is_punished(&self, operators: RangeInclusive<u32>) {
        for operator in operators {
            let found = (self.stake_of(operator).await, self.is_ejected(operator).await);
            assert_eq!(found, (STAKE, false), "operator {operator}");
        }
    }

    pub async fn exit(&self, operator: &Operator) {
        let call = IOperatorRegistry::exitCall { operator: U256::from(operator.number) };
        self.net().send(&operator.owner, self.net().book.operator_registry, call).await.unwrap();
    }

    /// Sends a batch as anybody may.
    pub async fn submit(
        &self,
        call: IMatchTaskManager::respondBatchCall,
    ) -> anyhow::Result<TransactionReceipt> {
        self.net().send(&self.net().anvil.key(6), self.net().book.match_task_manager, call).await
    }
}

impl Operator {
    /// Posts a share to its daemon; the status and what it said.
    pub async fn post(&self, share: &SignedShare) -> (u16, Value) {
        self.post_text(&serde_json::to_string(share).unwrap()).await
    }

    pub async fn post_text(&self, body: &str) -> (u16, Value) {
        let request = self.client.post(format!("{}/v1/shares", self.endpoint));
        let response =
            request.header("content-type", "application/json").body(body.to_owned()).send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or(Value::Null))
    }

    /// Posts as soon as the daemon has opened the task.
    pub async fn post_when_known(&self, share: &SignedShare) -> (u16, Value) {
        eventually("it knows the task", LIMIT, || async {
            let answer = self.post(share).await;
            (answer.0 != 404).then_some(answer)
        })
        .await
        .unwrap()
    }

    /// Waits until it has signed the results of an order.
    pub async fn signed(&self, quorum: &Quorum, order: OrderId) {
        let root = quorum.results(order).await.root().to_string();
        eventually("it has signed", LIMIT, || async {
            let tasks = self.tasks().await;
            let task = tasks.into_iter().find(|task| task["root"] == root)?;
            task["signers"].as_array()?.contains(&self.number.into()).then_some(())
        })
        .await
        .unwrap();
    }

    pub async fn tasks(&self) -> Vec<Value> {
        let response = reqwest::get(format!("{}/v1/tasks", self.endpoint)).await.unwrap();
        serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
    }
}

async fn operator(world: &World, index: u8, extra: &str) -> Operator {
    let (owner, secret) = (PrivateKeySigner::random(), SecretKey::derive(&[index; 32]));
    let number = world.net.operator(&owner, &secret, STAKE).await.unwrap();
    let listen = format!("127.0.0.1:{}", free_port().unwrap());
    let endpoint = format!("http://{listen}");
    world.net.announce(&owner, number, &endpoint).await.unwrap();
    let dir = world.net.dir().join(format!("bls-{index}"));
    std::fs::create_dir_all(&dir).unwrap();
    let (file, pass) = (dir.join("bls.json"), dir.join("pass"));
    std::fs::write(&pass, "bls secret\n").unwrap();
    std::fs::set_permissions(&pass, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    bls_keystore::store(&file, secret.clone(), &Passphrase::new("bls secret")).await.unwrap();
    let config = format!(
        "[operator]\nkey = '{}'\npassphrase_file = '{}'\nlisten = '{listen}'\n{extra}",
        file.display(),
        pass.display()
    );
    // Anvil's first accounts are the admin, tenant and provider of the market.
    let keeper = world.keeper_with(PrivateKeySigner::random(), &format!("operator-{index}"), &config).await;
    world.net.anvil.fund(keeper.key.address(), 10_u128.pow(19)).await.unwrap();
    Operator { number, owner, secret, keeper, endpoint, client: reqwest::Client::new() }
}

/// A root that nobody computed.
pub fn other_root() -> B256 {
    B256::repeat_byte(0x5a)
}
