//! `iono fizz`: light nodes on chain (SP-35). The light node itself is the program `fizz`.

use alloy::eips::BlockId;
use alloy::primitives::{Address, U256};
use alloy::providers::DynProvider;
use alloy::sol_types::SolCall;
use futures::stream::{self, StreamExt, TryStreamExt};
use iono_bindings::{Fizz, FizzOffer, IFizzRegistry, light_nodes};
use iono_identity::Pin;
use iono_primitives::Resources;
use serde_json::{Value, json};

use super::cash_out;
use crate::agreed;
use crate::args::fizz::{Fizz as Args, Offer, Register};
use crate::chain::{Call, Chain};
use crate::context::Context;
use crate::error::{Failure, Kind, Result};
use crate::output::{Report, facts, table};
use crate::token::Tokens;
use crate::tx::Step;

/// Light nodes whose standing is read at a time.
const PARALLEL: usize = 16;
/// Names of the registry's states.
const STATES: [&str; 4] = ["none", "proposed", "member", "left"];

pub(crate) async fn run(context: &Context, args: Args) -> Result<Report> {
    match args {
        Args::Register(args) => register(context, args).await,
        Args::List { provider } => list(context, provider).await,
        Args::Status { fizz } => status(context, fizz).await,
        Args::Withdraw { fizz, token } => {
            let chain = context.chain().await?;
            let payee = load(&chain, fizz).await?.payout;
            cash_out::light_node(context, fizz, payee, token.as_deref()).await
        }
        Args::Accept { fizz } => {
            let call = IFizzRegistry::acceptCall { fizz: U256::from(fizz) };
            change(context, "accept", fizz, &call, json!({}), "is a member of the subnet now").await
        }
        Args::Price { fizz, offer } => {
            let call = IFizzRegistry::announceCall { fizz: U256::from(fizz), offer: read(&offer) };
            change(context, "announce", fizz, &call, json!({}), "announces this from now on").await
        }
        Args::RotatePin { fizz, pin } => {
            let call = IFizzRegistry::rotatePinCall { fizz: U256::from(fizz), next: pin.0 };
            let done = "has this key beside its present one";
            change(context, "rotate_pin", fizz, &call, json!({ "next_pin": pin.to_string() }), done).await
        }
        Args::Payout { fizz, to } => {
            let call = IFizzRegistry::setPayoutCall { fizz: U256::from(fizz), payout: to };
            let done = format!("is paid to {to} by leases that open from now on");
            change(context, "set_payout", fizz, &call, json!({ "payout": to }), &done).await
        }
        Args::Leave { fizz } => {
            let call = IFizzRegistry::exitCall { fizz: U256::from(fizz) };
            let done = "has left; what runs on it goes on and is paid";
            change(context, "exit", fizz, &call, json!({}), done).await
        }
    }
}

/// The registry, where the deployment has one.
pub(super) fn registry(chain: &Chain) -> Result<IFizzRegistry::IFizzRegistryInstance<DynProvider>> {
    let at = chain.book.fizz_registry.ok_or_else(|| {
        Failure::new(Kind::Setup, "the address book names no registry of light nodes")
            .hint("contracts that were deployed without it cannot be extended; another deployment has it")
    })?;
    Ok(IFizzRegistry::new(at, chain.rpc.clone()))
}

/// A light node that exists.
pub(crate) async fn load(chain: &Chain, fizz: u32) -> Result<Fizz> {
    let read = registry(chain)?.node(U256::from(fizz)).call().await;
    let node = read.or_call(&format!("cannot read light node {fizz}"))?;
    if node.state == 0 {
        return Err(agreed::unknown("light node", fizz.into()));
    }
    Ok(node)
}

async fn change<C: SolCall>(
    context: &Context,
    name: &'static str,
    fizz: u32,
    call: &C,
    mut json: Value,
    done: &str,
) -> Result<Report> {
    let chain = context.chain().await?;
    let to = *registry(&chain)?.address();
    let sender = context.sender(&chain).await?;
    let doing = format!("change light node {fizz}");
    let Some(sent) = sender.send(Step::new(name, doing, to, call)).await? else { return Ok(sender.plan()) };
    json["fizz"] = json!(fizz);
    json["transactions"] = json!([sent]);
    Ok(Report::new(&json, format!("light node {fizz} {done}")))
}

fn read(offer: &Offer) -> FizzOffer {
    let capacity = Resources {
        cpu: offer.cpu,
        memory: offer.memory,
        storage: offer.storage,
        gpus: offer.gpus,
        ..Resources::default()
    };
    FizzOffer {
        capacity: capacity.word(),
        core: offer.core,
        gibMemory: offer.memory_gib,
        gibStorage: offer.storage_gib,
        gpu: offer.gpu,
    }
}

async fn register(context: &Context, args: Register) -> Result<Report> {
    let chain = context.chain().await?;
    let to = *registry(&chain)?.address();
    let sender = context.sender(&chain).await?;
    let call = IFizzRegistry::registerCall {
        provider: U256::from(args.provider),
        payout: args.payout.unwrap_or(sender.address()),
        minShare: U256::from(args.min_share),
        pin: args.pin.0,
        offer: read(&args.offer),
    };
    let doing = format!("register a light node with provider {}", args.provider);
    let Some(sent) = sender.send(Step::new("register", doing, to, &call)).await? else {
        return Ok(sender.plan());
    };
    let registered = sent.event::<IFizzRegistry::FizzRegistered>();
    let number = registered.ok_or_else(|| Failure::new(Kind::Rpc, "the receipt shows no light node"))?.fizz;
    let fizz: u32 = number.saturating_to();
    let joined = sent.event::<IFizzRegistry::FizzJoined>().is_some();
    let next = if joined { "it is a member" } else { "the provider has to accept it" };
    let json = json!({
        "fizz": fizz, "provider": args.provider, "pin": args.pin.to_string(), "member": joined,
        "transactions": [sent],
    });
    let text = format!(
        "light node {fizz} of provider {}: {next}; write both numbers into its settings, then `fizz run`",
        args.provider
    );
    Ok(Report::new(&json, text))
}

/// Why a bid may not name it; nothing when one may.
async fn why_not(chain: &Chain, fizz: u32, node: &Fizz) -> Result<String> {
    let call = registry(chain)?.whyNot(U256::from(node.provider), U256::from(fizz)).call().await;
    call.or_call(&format!("cannot read the standing of light node {fizz}"))
}

async fn list(context: &Context, provider: Option<u32>) -> Result<Report> {
    let chain = context.chain().await?;
    let owner: Option<Address> = match provider {
        Some(_) => None,
        None => Some(context.address().await?),
    };
    // One whose proposal was taken back is nobody's.
    let wanted = |node: &Fizz| {
        node.state != 0
            && owner.is_none_or(|owner| node.owner == owner)
            && provider.is_none_or(|id| node.provider == id)
    };
    let registry = registry(&chain)?;
    let chosen = light_nodes(&registry, BlockId::latest(), |id, node| wanted(&node).then_some((id, node)));
    let chosen = chosen.await.or_call("cannot read the light nodes")?;
    let with_why = stream::iter(chosen).map(async |(fizz, node)| {
        let why = why_not(&chain, fizz, &node).await?;
        Ok::<_, Failure>((fizz, node, why))
    });
    let found: Vec<(u32, Fizz, String)> = with_why.buffered(PARALLEL).try_collect().await?;
    if found.is_empty() {
        context.output.note("no light node is registered here");
        return Ok(Report::new(&json!([]), ""));
    }
    let rows = found.iter().map(|(fizz, node, why)| {
        let state = STATES.get(usize::from(node.state)).copied().unwrap_or("?");
        let bids = if why.is_empty() { "may be named" } else { why };
        vec![
            fizz.to_string(),
            node.provider.to_string(),
            state.to_owned(),
            bids.to_owned(),
            node.owner.to_string(),
        ]
    });
    let text = table(&["ID", "PROVIDER", "STATE", "BIDS", "OWNER"], rows);
    let json: Vec<Value> = found.iter().map(|(fizz, node, why)| shown(*fizz, node, why)).collect();
    Ok(Report::new(&json, text))
}

fn shown(fizz: u32, node: &Fizz, why: &str) -> Value {
    json!({
        "fizz": fizz,
        "provider": node.provider,
        "owner": node.owner,
        "payout": node.payout,
        "state": STATES.get(usize::from(node.state)),
        "active": why.is_empty(),
        "why_not": (!why.is_empty()).then_some(why),
        "min_share_bp": node.minShare,
        "pin": Pin(node.pin).to_string(),
        "next_pin": (!node.nextPin.is_zero()).then(|| Pin(node.nextPin).to_string()),
    })
}

async fn status(context: &Context, fizz: u32) -> Result<Report> {
    let chain = context.chain().await?;
    let node = load(&chain, fizz).await?;
    let why = why_not(&chain, fizz, &node).await?;
    let provider = U256::from(node.provider);
    let contract = registry(&chain)?;
    let terms = contract.termsOf(provider).call().await.or_call("cannot read the subnet's terms")?;
    let delegation = contract.delegationOf(provider, node.owner).call().await;
    let delegation = delegation.or_call("cannot read the delegation")?;
    let tokens = Tokens::load(&chain).await?;
    let spon = tokens.by_id(0)?;
    let mut json = shown(fizz, &node, &why);
    let mut earned = Vec::new();
    for token in &tokens.0 {
        let waits = cash_out::waiting(&chain, node.payout, token).await?;
        if !waits.is_zero() {
            earned.push(token.show(waits));
            json["to_withdraw"][&token.symbol] = json!(token.plain(waits));
        }
    }
    json["share_bp"] = json!(terms.share);
    json["delegation"] =
        json!({ "needed": spon.plain(delegation.needed), "held": spon.plain(delegation.held) });
    let pairs = vec![
        ("light node", fizz.to_string()),
        ("provider", node.provider.to_string()),
        ("state", STATES.get(usize::from(node.state)).copied().unwrap_or("?").to_owned()),
        ("bids", if why.is_empty() { "may name it".to_owned() } else { format!("may not name it: {why}") }),
        ("share", format!("{}.{:02} % of a lease's net", terms.share / 100, terms.share % 100)),
        (
            "delegation",
            format!(
                "{} of {} for all of your nodes",
                spon.show(delegation.held),
                spon.show(delegation.needed)
            ),
        ),
        ("pin", Pin(node.pin).to_string()),
        ("owner", node.owner.to_string()),
        ("paid to", node.payout.to_string()),
        ("to withdraw", if earned.is_empty() { "nothing".to_owned() } else { earned.join(", ") }),
    ];
    Ok(Report::new(&json, facts(&pairs)))
}
