//! Restaked weight: EigenLayer's own core contracts and the market on one real chain, the market deployed to read them.

#![allow(clippy::unwrap_used)]

use alloy::network::TransactionBuilder as _;
use alloy::primitives::{Address, Bytes, U256, hex};
use alloy::providers::Provider as _;
use alloy::rpc::types::TransactionRequest;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::{SolCall as _, SolValue as _};
use iono_bindings::{IDevDollar, IERC20, IOperatorRegistry};
use iono_bls::SecretKey;
use iono_testkit::{Anvil, Devnet, ballot, repo_root};

alloy::sol! {
    struct Details { address unused; address approver; uint32 optOutBlocks; }
    struct Approval { bytes signature; uint256 expiry; }

    interface DelegationManager {
        function initialize(address owner, address pauser, uint256 paused, uint256 delay, address[] strategies, uint256[] delays) external;
        function registerAsOperator(Details details, string metadata) external;
        function delegateTo(address operator, Approval approval, bytes32 salt) external;
        function undelegate(address staker) external;
    }

    interface StrategyManager {
        function initialize(address owner, address whitelister, address pauser, uint256 paused) external;
        function addStrategiesToDepositWhitelist(address[] strategies, bool[] forbidden) external;
        function depositIntoStrategy(address strategy, address token, uint256 amount) external;
    }

    interface StrategyBase {
        function initialize(address token, address pauser) external;
    }
}

const EIGENLAYER: &str = "node_modules/eigenlayer-contracts/out/";
const PROXY: &str = "node_modules/@openzeppelin/contracts/build/contracts/ERC1967Proxy.json";
/// Whole SPON of the operator.
const STAKE: u64 = 10_000;
/// Seconds.
const DAY: u64 = 86_400;

/// EigenLayer, and where its one strategy is to be: it reads its token, which comes with the market.
struct EigenLayer {
    pauser: Address,
    delegation: Address,
    strategies: Address,
    strategy: Address,
}

struct Deployer<'a> {
    anvil: &'a Anvil,
    key: PrivateKeySigner,
}

impl<'a> Deployer<'a> {
    fn of(anvil: &'a Anvil) -> Self {
        Self { anvil, key: anvil.key(9) }
    }

    /// A contract of which a file has the code; `args` are its constructor's, encoded.
    async fn deploy(&self, file: &str, args: Vec<u8>) -> Address {
        let text = std::fs::read(repo_root().unwrap().join(file)).unwrap();
        let artifact: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let code = &artifact["bytecode"];
        let code = code.as_str().or(code["object"].as_str()).unwrap();
        let code = [hex::decode(code).unwrap(), args].concat();
        let request = TransactionRequest::default().with_deploy_code(code);
        let sent = self.anvil.signing(&self.key).send_transaction(request).await;
        let sent = sent.unwrap_or_else(|error| panic!("{file}: {error}"));
        let receipt = sent.get_receipt().await.unwrap();
        assert!(receipt.status(), "{file}");
        receipt.contract_address.unwrap()
    }

    async fn core(&self, name: &str, args: Vec<u8>) -> Address {
        self.deploy(&format!("{EIGENLAYER}{name}.sol/{name}.json"), args).await
    }

    async fn behind_proxy(&self, code: Address, initialize: Vec<u8>) -> Address {
        self.deploy(PROXY, (code, Bytes::from(initialize)).abi_encode_params()).await
    }
}

async fn send(anvil: &Anvil, key: &PrivateKeySigner, to: Address, call: impl alloy::sol_types::SolCall) {
    let request = TransactionRequest::default().to(to).input(Bytes::from(call.abi_encode()).into());
    let sent = anvil.signing(key).send_transaction(request).await.unwrap();
    assert!(sent.get_receipt().await.unwrap().status());
}

impl EigenLayer {
    /// Delegation and strategy managers know each other's addresses, so these are computed before.
    async fn on(anvil: &Anvil) -> Self {
        let deployer = Deployer::of(anvil);
        let me = deployer.key.address();
        let pauser = deployer.core("PauserRegistry", (vec![me], me).abi_encode_params()).await;
        let nonce = anvil.provider().get_transaction_count(me).await.unwrap();
        let (strategies, delegation) = (me.create(nonce + 4), me.create(nonce + 5));
        let slasher = deployer.core("Slasher", (strategies, delegation).abi_encode_params()).await;
        let pods = (Address::ZERO, Address::ZERO, strategies, slasher, delegation).abi_encode_params();
        let pods = deployer.core("EigenPodManager", pods).await;
        let args = (delegation, pods, slasher).abi_encode_params();
        let strategies_code = deployer.core("StrategyManager", args).await;
        let args = (strategies, slasher, pods).abi_encode_params();
        let delegation_code = deployer.core("DelegationManager", args).await;

        let paused = U256::ZERO;
        let initialize = StrategyManager::initializeCall { owner: me, whitelister: me, pauser, paused };
        assert_eq!(deployer.behind_proxy(strategies_code, initialize.abi_encode()).await, strategies);
        let initialize = DelegationManager::initializeCall {
            owner: me,
            pauser,
            paused,
            delay: U256::ZERO,
            strategies: vec![],
            delays: vec![],
        };
        assert_eq!(deployer.behind_proxy(delegation_code, initialize.abi_encode()).await, delegation);

        Self { pauser, delegation, strategies, strategy: me.create(nonce + 7) }
    }

    async fn add_strategy(&self, anvil: &Anvil, token: Address) {
        let deployer = Deployer::of(anvil);
        let code = deployer.core("StrategyBase", self.strategies.abi_encode()).await;
        let initialize = StrategyBase::initializeCall { token, pauser: self.pauser };
        assert_eq!(deployer.behind_proxy(code, initialize.abi_encode()).await, self.strategy);
        let list = StrategyManager::addStrategiesToDepositWhitelistCall {
            strategies: vec![self.strategy],
            forbidden: vec![false],
        };
        send(anvil, &deployer.key, self.strategies, list).await;
    }
}

/// Weight of the only operator in the next era, by the registry and by the logs alike.
async fn next_weight(net: &Devnet) -> u128 {
    let registry = IOperatorRegistry::new(net.book.operator_registry, net.anvil.provider());
    let era = registry.currentEra().call().await.unwrap() + U256::from(1);
    let weight = registry.weightAt(U256::from(1), era).call().await.unwrap().weight.to();
    let set = ballot::roster(net.anvil.provider(), &net.book).await.unwrap().set_at(era.to()).unwrap();
    assert_eq!(set.members[0].weight, weight);
    weight
}

#[tokio::test]
async fn what_stakers_delegate_in_eigenlayer_weighs_here_until_they_take_it_back() {
    let anvil = Anvil::start().await.unwrap();
    let eigen = EigenLayer::on(&anvil).await;
    let parameters = [
        ("EIGENLAYER", eigen.delegation.to_string()),
        ("EIGENLAYER_STRATEGIES", eigen.strategy.to_string()),
        ("EIGENLAYER_TOKENS", "1".to_owned()),
    ];
    let net = Devnet::deployed_on(anvil, &parameters).await.unwrap();
    let dollar = net.dollar().await.unwrap();
    eigen.add_strategy(&net.anvil, dollar).await;

    let owner = PrivateKeySigner::random();
    let operator = net.operator(&owner, &SecretKey::derive(&[1; 32]), STAKE).await.unwrap();
    let own = u128::from(STAKE) * 10_u128.pow(18);
    assert_eq!(next_weight(&net).await, own);
    let details = Details { unused: Address::ZERO, approver: Address::ZERO, optOutBlocks: 0 };
    let register = DelegationManager::registerAsOperatorCall { details, metadata: String::new() };
    send(&net.anvil, &owner, eigen.delegation, register).await;

    let staker = net.anvil.key(8);
    let amount = U256::from(2_500_000_000_u64);
    send(&net.anvil, &staker, dollar, IDevDollar::mintCall { to: staker.address(), amount }).await;
    send(&net.anvil, &staker, dollar, IERC20::approveCall { spender: eigen.strategies, amount }).await;
    let deposit =
        StrategyManager::depositIntoStrategyCall { strategy: eigen.strategy, token: dollar, amount };
    send(&net.anvil, &staker, eigen.strategies, deposit).await;
    let approval = Approval { signature: Bytes::new(), expiry: U256::ZERO };
    let delegate =
        DelegationManager::delegateToCall { operator: owner.address(), approval, salt: [0; 32].into() };
    send(&net.anvil, &staker, eigen.delegation, delegate).await;

    // 2,500 dollars at a dollar each, whoever says so, from the next era on.
    let sync = IOperatorRegistry::syncCall { operator: U256::from(operator) };
    send(&net.anvil, &staker, net.book.operator_registry, sync.clone()).await;
    let restaked = next_weight(&net).await - own;
    assert!(restaked.abs_diff(2_500 * 10_u128.pow(18)) < 10_u128.pow(16), "{restaked}");
    net.anvil.advance(DAY).await.unwrap();
    let undelegate = DelegationManager::undelegateCall { staker: staker.address() };
    send(&net.anvil, &staker, eigen.delegation, undelegate).await;
    assert!(next_weight(&net).await > own, "nobody has looked yet");
    send(&net.anvil, &staker, net.book.operator_registry, sync).await;
    assert_eq!(next_weight(&net).await, own);
}
