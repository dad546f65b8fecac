//! `iono subnet`: what a provider's light nodes get and must delegate, and the votes that change it (SP-38).

use alloy::primitives::aliases::U88;
use alloy::primitives::{Address, U256};
use alloy::providers::DynProvider;
use alloy::sol_types::SolCall;
use futures::stream::{self, StreamExt, TryStreamExt};
use iono_bindings::{IFizzRegistry, ISubnetGovernor, SubnetProposal, SubnetTerms};
use serde_json::{Value, json};

use super::fizz::registry;
use crate::args::fizz::{Side, Subnet as Args, SubnetTerms as TermsArgs};
use crate::chain::{Call, Chain};
use crate::context::Context;
use crate::error::{Failure, Kind, Result};
use crate::output::{Report, facts, table};
use crate::time;
use crate::token::{Token, Tokens};
use crate::tx::Step;

/// Proposals that are read at a time.
const PARALLEL: usize = 16;

type Governor = ISubnetGovernor::ISubnetGovernorInstance<DynProvider>;

pub(crate) async fn run(context: &Context, args: Args) -> Result<Report> {
    let chain = context.chain().await?;
    let tokens = Tokens::load(&chain).await?;
    let spon = tokens.by_id(0)?;
    match args {
        Args::Show { provider } => show(&chain, spon, provider).await,
        Args::Proposals { provider } => proposals(context, &chain, spon, provider).await,
        Args::Found { provider, terms } => {
            let call =
                IFizzRegistry::foundCall { provider: U256::from(provider), terms: read(spon, &terms)? };
            let done = format!("provider {provider} has a subnet; its terms change by vote from now on");
            send(
                context,
                &chain,
                registry(&chain)?.address(),
                "found",
                &call,
                json!({ "provider": provider }),
                &done,
            )
            .await
        }
        Args::Open { provider, off } => {
            let call = IFizzRegistry::setOpenCall { provider: U256::from(provider), open: !off };
            let how =
                if off { "each light node has to be accepted" } else { "whoever registers is accepted" };
            let json = json!({ "provider": provider, "open": !off });
            send(context, &chain, registry(&chain)?.address(), "set_open", &call, json, how).await
        }
        Args::ProposeTerms { provider, terms } => {
            let terms = read(spon, &terms)?;
            let call = ISubnetGovernor::proposeTermsCall { provider: U256::from(provider), terms };
            propose(context, &chain, provider, &call).await
        }
        Args::ProposeExpulsion { provider, member } => {
            let call = ISubnetGovernor::proposeExpulsionCall { provider: U256::from(provider), member };
            propose(context, &chain, provider, &call).await
        }
        Args::ProposeReadmission { provider, member } => {
            let call = ISubnetGovernor::proposeReadmissionCall { provider: U256::from(provider), member };
            propose(context, &chain, provider, &call).await
        }
        Args::Vote { proposal, side } => {
            let support = side == Side::Yes;
            let call = ISubnetGovernor::voteCall { proposal: U256::from(proposal), support };
            let json = json!({ "proposal": proposal, "support": support });
            let done = format!("voted {} on proposal {proposal}", if support { "yes" } else { "no" });
            send(context, &chain, governor(&chain)?.address(), "vote", &call, json, &done).await
        }
        Args::Execute { proposal } => {
            let call = ISubnetGovernor::executeCall { proposal: U256::from(proposal) };
            let done = format!("proposal {proposal} is carried out");
            send(
                context,
                &chain,
                governor(&chain)?.address(),
                "execute",
                &call,
                json!({ "proposal": proposal }),
                &done,
            )
            .await
        }
    }
}

fn governor(chain: &Chain) -> Result<Governor> {
    let at = chain.book.subnet_governor.ok_or_else(|| {
        Failure::new(Kind::Setup, "the address book names no governor of subnets")
            .hint("contracts that were deployed without it cannot be extended; another deployment has it")
    })?;
    Ok(ISubnetGovernor::new(at, chain.rpc.clone()))
}

fn read(spon: &Token, terms: &TermsArgs) -> Result<SubnetTerms> {
    let delegation = spon.parse(&terms.min_delegation)?;
    let too_large = || Failure::new(Kind::Usage, "--min-delegation is more than can be asked for");
    let delegation =
        (delegation.bit_len() <= U88::BITS).then(|| U88::saturating_from(delegation.to::<u128>()));
    Ok(SubnetTerms { share: terms.share, minDelegation: delegation.ok_or_else(too_large)? })
}

async fn send<C: SolCall>(
    context: &Context,
    chain: &Chain,
    to: &Address,
    name: &'static str,
    call: &C,
    mut json: Value,
    done: &str,
) -> Result<Report> {
    let sender = context.sender(chain).await?;
    let doing = format!("carry out {name}");
    let Some(sent) = sender.send(Step::new(name, doing, *to, call)).await? else { return Ok(sender.plan()) };
    json["transactions"] = json!([sent]);
    Ok(Report::new(&json, done))
}

async fn propose<C: SolCall>(context: &Context, chain: &Chain, provider: u32, call: &C) -> Result<Report> {
    let sender = context.sender(chain).await?;
    let to = *governor(chain)?.address();
    let doing = format!("propose a change of provider {provider}'s subnet");
    let Some(sent) = sender.send(Step::new("propose", doing, to, call)).await? else {
        return Ok(sender.plan());
    };
    let made = sent.event::<ISubnetGovernor::ProposalMade>();
    let made = made.ok_or_else(|| Failure::new(Kind::Rpc, "the receipt shows no proposal"))?;
    let (proposal, closes): (u64, u64) = (made.proposal.saturating_to(), made.closes.saturating_to());
    let (_, now) = chain.head().await?;
    let json =
        json!({ "proposal": proposal, "provider": provider, "closes": closes, "transactions": [sent] });
    let left = time::span(closes.saturating_sub(now));
    Ok(Report::new(
        &json,
        format!("proposal {proposal} is voted on for {left}: `iono subnet vote {proposal} yes`"),
    ))
}

fn percent(points: u16) -> String {
    format!("{}.{:02} %", points / 100, points % 100)
}

async fn show(chain: &Chain, spon: &Token, provider: u32) -> Result<Report> {
    let (contract, number) = (registry(chain)?, U256::from(provider));
    let terms = contract.termsOf(number).call().await;
    let terms = terms.or_call(&format!("cannot read the subnet of provider {provider}"))?;
    let next = contract.nextTermsOf(number).call().await.or_call("cannot read the subnet's next terms")?;
    let open = contract.isOpen(number).call().await.or_call("cannot read the subnet")?;
    let shown = |terms: &SubnetTerms| json!({ "share_bp": terms.share, "min_delegation": spon.plain(U256::from(terms.minDelegation)) });
    let json = json!({
        "provider": provider, "open": open, "terms": shown(&terms), "next": shown(&next.terms),
        "next_from_era": next.from.to_string(),
    });
    let mut pairs = vec![
        ("subnet of", format!("provider {provider}")),
        ("joins", if open { "whoever registers" } else { "whom the provider accepts" }.to_owned()),
        ("share", format!("{} of a lease's net", percent(terms.share))),
        ("delegation", format!("{} for each light node", spon.show(U256::from(terms.minDelegation)))),
    ];
    if shown(&terms) != shown(&next.terms) {
        let delegation = spon.show(U256::from(next.terms.minDelegation));
        pairs.push((
            "then",
            format!("{} and {delegation} from era {} on", percent(next.terms.share), next.from),
        ));
    }
    Ok(Report::new(&json, facts(&pairs)))
}

async fn proposals(context: &Context, chain: &Chain, spon: &Token, provider: u32) -> Result<Report> {
    let contract = governor(chain)?;
    let count: u64 =
        contract.proposalCount().call().await.or_call("cannot count the proposals")?.saturating_to();
    let all = stream::iter(1..=count).map(async |id| {
        let proposal = contract.proposalOf(U256::from(id)).call().await;
        let proposal = proposal.or_call(&format!("cannot read proposal {id}"))?;
        let quorum = contract.quorumOf(U256::from(id)).call().await.or_call("cannot read the quorum")?;
        Ok::<_, Failure>((id, proposal, quorum))
    });
    let all: Vec<(u64, SubnetProposal, U256)> = all.buffered(PARALLEL).try_collect().await?;
    let of_subnet: Vec<_> =
        all.into_iter().filter(|(_, proposal, _)| proposal.provider == provider).collect();
    if of_subnet.is_empty() {
        context.output.note("nothing was proposed in this subnet");
        return Ok(Report::new(&json!([]), ""));
    }
    let (_, now) = chain.head().await?;
    let state = |proposal: &SubnetProposal, quorum: U256| {
        let closes: u64 = proposal.closes.to();
        if proposal.executed {
            "carried out".to_owned()
        } else if now <= closes {
            format!("open for {}", time::span(closes - now))
        } else if proposal.yes > proposal.no && U256::from(proposal.yes) >= quorum {
            "passed".to_owned()
        } else {
            "not passed".to_owned()
        }
    };
    let what = |proposal: &SubnetProposal| match proposal.action {
        0 => {
            let delegation = spon.show(U256::from(proposal.terms.minDelegation));
            format!("share {}, delegation {delegation}", percent(proposal.terms.share))
        }
        1 => format!("expel {}", proposal.member),
        _ => format!("readmit {}", proposal.member),
    };
    let rows = of_subnet.iter().map(|(id, proposal, quorum)| {
        let shares = |shares| spon.plain(U256::from(shares));
        vec![
            id.to_string(),
            what(proposal),
            state(proposal, *quorum),
            shares(proposal.yes),
            shares(proposal.no),
            spon.plain(*quorum),
        ]
    });
    let text = table(&["ID", "CHANGE", "STATE", "YES", "NO", "QUORUM"], rows);
    let json: Vec<Value> = of_subnet
        .iter()
        .map(|(id, proposal, quorum)| {
            json!({
                "proposal": id, "provider": provider, "change": what(proposal), "state": state(proposal, *quorum),
                "yes": proposal.yes.to_string(), "no": proposal.no.to_string(), "quorum": quorum.to_string(),
                "total": proposal.total.to_string(),
            })
        })
        .collect();
    Ok(Report::new(&json, text))
}
