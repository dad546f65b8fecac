//! `iono update`: another manifest for a lease. Within the same resources one transaction names its hash, also while the
//! lease is paused because both sides lost the manifest; otherwise the provider quotes (EIP-712), the quote is checked word
//! for word, and one transaction takes it (SP-23).

use std::time::{Duration, Instant};

use alloy::primitives::aliases::{U40, U80};
use alloy::primitives::{B256, Signature, U256, keccak256};
use alloy::sol_types::{Eip712Domain, SolStruct, SolValue, eip712_domain};
use iono_bindings::{ILeaseBook, LeaseWords, Quote, Spec, TermsWord};
use iono_identity::unix_now;
use iono_lease_api::{QuoteRequest, SaltedManifest, SignedQuote};
use iono_primitives::{LeaseState, Rate, Resources};
use serde_json::json;

use super::deploy::send;
use super::escrow;
use crate::agreed::{self, Agreed};
use crate::args::lease::Update;
use crate::args::market::Price;
use crate::chain::{Call, Chain};
use crate::context::Context;
use crate::error::{Failure, Kind, Result};
use crate::holdings::lock_of;
use crate::lease_file::LeaseFile;
use crate::manifest_file;
use crate::order::{Draft, Listed, bracket_steps, per_hour};
use crate::output::Report;
use crate::remote::{Need, Remote, Remotely};
use crate::rollout::Rollout;
use crate::token::{Token, Tokens};
use crate::tx::{Sender, Sent, Step};

/// A quote must be good for this many seconds more, or the transaction may come too late.
const MARGIN: u64 = 10;
/// Seconds that may pass until the update is in a block.
const SETTLED_WITHIN: u64 = 60;
/// How long the new replicas are waited for; the update itself is done by then.
const PATIENCE: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(250);

pub(crate) async fn run(context: &Context, args: &Update) -> Result<Report> {
    let chain = context.chain().await?;
    let tokens = Tokens::load(&chain).await?;
    let deployment = manifest_file::read(&args.file, context.output)?;
    manifest_file::available(&args.file, &deployment)?;
    let sender = context.sender(&chain).await?;
    let remote = Remote::open(context, &chain, args.lease, Need::Write).await?;
    let words = remote.words;
    let paused = words.lease_state() == Some(LeaseState::Paused);
    if !paused && words.lease_state() != Some(LeaseState::Active) {
        let state = words.lease_state().map_or("unknown", LeaseState::words);
        return Err(Failure::new(Kind::Refused, format!("lease {} is {state}", args.lease))
            .hint("only an active or paused lease can be updated"));
    }
    let agreed = agreed::agreed(&chain, args.lease).await?;
    let token = tokens.by_id(words.token)?.clone();
    let manifest = manifest_file::salted(&args.file, &deployment)?;
    if unchanged(context, &agreed, &manifest)? {
        let lost = "; `iono send-manifest LEASE` sends it again if the provider lost it";
        let more = if paused { lost } else { "" };
        context.output.note(&format!("the manifest is the one agreed on: nothing to update{more}"));
        let json = json!({ "lease": args.lease, "changed": false, "manifest_hash": agreed.manifest_hash, "transactions": [] });
        return Ok(Report::new(&json, format!("lease {} is as the manifest says", args.lease)));
    }
    let plan = deployment.order();
    let spec = crate::order::spec(&plan, manifest.hash());
    let same = spec.resources == agreed.spec.resources && spec.groups == agreed.spec.groups;
    if paused && !same {
        let why =
            format!("lease {} is paused, and this manifest asks for other resources than it has", args.lease);
        return Err(Failure::new(Kind::Refused, why).hint(
            "a paused lease takes a manifest within the same resources; other ones once it serves again",
        ));
    }

    // Kept before anything is sent, so that the manifest of a finished transaction can always be sent again.
    let mut file = LeaseFile::new(&chain, sender.address(), &manifest)?;
    file.order = Some(args.lease);
    let mut sent = Vec::new();
    let (last, rate) = if same {
        if !context.global.dry_run {
            file.save(&context.home)?;
        }
        let call =
            ILeaseBook::setManifestHashCall { lease: U256::from(args.lease), manifestHash: manifest.hash() };
        let doing = format!("change the manifest of lease {}", args.lease);
        let step = Step::new("set_manifest_hash", doing, chain.book.lease_book, &call);
        (sender.send(step).await, words.rate())
    } else {
        let price =
            Price { token: Some(token.id.to_string()), max_rate: args.max_rate.clone(), duration: None };
        let draft = Draft::new(&deployment, &tokens, None, &price, None, Listed::Anyone)?;
        let quote = quoted(&chain, &remote, &spec, draft.rate).await?;
        let rate = Rate(quote.quote.rate.to::<u128>());
        tell(context, &words, rate, &token);
        if !context.global.dry_run {
            file.save(&context.home)?;
        }
        let missing = missing(&chain, &words, rate, &plan.resources, &token).await?;
        if !missing.is_zero() {
            escrow::top_up(&chain, &sender, &token, words.wallet, missing, context.output, &mut sent).await?;
        }
        (take(&chain, &sender, quote, spec).await, rate)
    };
    match last {
        Ok(Some(last)) => sent.push(last),
        Ok(None) => return Ok(sender.plan()),
        Err(failure) => {
            // Refused for sure: there is no new manifest to send later.
            if matches!(failure.kind, Kind::Refused | Kind::Funds) {
                file.remove(&context.home)?;
            }
            return Err(failure);
        }
    }
    let progress = context.output.progress();
    progress.wait("sending the manifest");
    let rollout = rollout(context, &remote, &agreed, &manifest).await?;
    send(&remote, &manifest).await?;
    file.done = true;
    file.save(&context.home)?;
    let ready = wait(context, &remote, &rollout).await?;
    drop(progress);
    let json = json!({
        "lease": args.lease,
        "changed": true,
        "resources_changed": !same,
        "manifest_hash": manifest.hash(),
        "token": token.symbol,
        "old_rate_per_hour": words.rate().hourly(),
        "rate_per_hour": rate.hourly(),
        "ready": ready,
        "transactions": sent,
    });
    let price =
        if same { "the price stays".to_owned() } else { format!("it costs {} now", per_hour(rate, &token)) };
    Ok(Report::new(&json, format!("lease {} is updated; {price}", args.lease)))
}

/// Whether the new manifest is the kept one, salt aside.
fn unchanged(context: &Context, agreed: &Agreed, manifest: &SaltedManifest) -> Result<bool> {
    let kept = LeaseFile::load(&context.home, agreed.manifest_hash)?.filter(|kept| kept.done);
    Ok(kept.map(|kept| kept.salted()).transpose()?.is_some_and(|kept| kept.manifest() == manifest.manifest()))
}

/// The provider's quote, checked: for this lease as it is, for exactly these resources, signed by its hot key.
async fn quoted(chain: &Chain, remote: &Remote, spec: &Spec, max_rate: Rate) -> Result<Offer> {
    let encoded = spec.abi_encode();
    let request = QuoteRequest { spec: encoded.clone().into(), max_rate: Some(max_rate.0.to_string()) };
    let signed = remote
        .client
        .quote(remote.lease, &request)
        .await
        .or_remote("the provider does not quote for this change")?;
    let domain = quote_domain(chain.book.chain_id, chain.book.lease_book);
    check(&signed, remote, keccak256(&encoded), max_rate, &domain, unix_now())
}

/// A quote as the contract takes it, with its signature.
struct Offer {
    quote: Quote,
    signature: alloy::primitives::Bytes,
}

fn quote_domain(chain_id: u64, lease_book: alloy::primitives::Address) -> Eip712Domain {
    eip712_domain! {
        name: "Ionosphere LeaseBook",
        version: "1",
        chain_id: chain_id,
        verifying_contract: lease_book,
    }
}

fn check(
    signed: &SignedQuote,
    remote: &Remote,
    spec_hash: B256,
    max_rate: Rate,
    domain: &Eip712Domain,
    now: u64,
) -> Result<Offer> {
    let words = &remote.words;
    let wrong = |what: &str| {
        Failure::new(Kind::Provider, format!("the provider's quote is not what was asked for: {what}"))
            .hint("nothing was sent; tell the provider, or close this lease and order again")
    };
    let number = |text: &str, what: &str| text.parse::<u128>().map_err(|_| wrong(what));
    let (old_rate, rate) = (number(&signed.old_rate, "the old rate")?, number(&signed.rate, "the rate")?);
    if signed.lease != remote.lease {
        return Err(wrong("it is for another lease"));
    }
    if signed.version != words.manifest_version || old_rate != words.rate {
        return Err(wrong("it is for another state of the lease"));
    }
    if signed.spec_hash != spec_hash {
        return Err(wrong("it is for other resources"));
    }
    if rate == 0 || rate > Rate::MAX.0 {
        return Err(wrong("the rate is no rate"));
    }
    if rate > max_rate.0 {
        let (asked, most) = (Rate(rate).hourly(), max_rate.hourly());
        return Err(Failure::new(
            Kind::Refused,
            format!("the provider asks for {asked} an hour, more than the {most} you pay at most"),
        )
        .hint("--max-rate sets what you pay at most"));
    }
    if signed.expiry < now + MARGIN {
        return Err(wrong("it has expired, or the clocks differ"));
    }
    let quote = Quote {
        lease: U256::from(signed.lease.0),
        version: signed.version,
        oldRate: U80::from(old_rate),
        specHash: spec_hash,
        rate: U80::from(rate),
        expiry: U40::saturating_from(signed.expiry),
    };
    let signer = Signature::try_from(signed.signature.as_ref()).ok().and_then(|signature| {
        signature.recover_address_from_prehash(&quote.eip712_signing_hash(domain)).ok()
    });
    if signer != Some(remote.provider.record.hotKey) {
        return Err(wrong("it is not signed by the provider's hot key"));
    }
    Ok(Offer { quote, signature: signed.signature.clone() })
}

async fn take(chain: &Chain, sender: &Sender, signed: Offer, spec: Spec) -> Result<Option<Sent>> {
    let lease = signed.quote.lease;
    let call = ILeaseBook::updateCall { quote: signed.quote, spec, signature: signed.signature };
    sender.send(Step::new("update", format!("update lease {lease}"), chain.book.lease_book, &call)).await
}

/// What the wallet lacks for the new terms: for their price over the time left, and for the resource bracket (SP-25).
async fn missing(
    chain: &Chain,
    words: &LeaseWords,
    rate: Rate,
    resources: &Resources,
    token: &Token,
) -> Result<U256> {
    let (_, now) = chain.head().await?;
    let terms = chain.tokens().termsWord().call().await.or_call("cannot read the market's terms")?;
    let cents = bracket_steps(resources) * u64::from(TermsWord::read([terms]).bracket);
    let bracket = chain
        .tokens()
        .unitsFor(U256::from(token.id), U256::from(cents))
        .call()
        .await
        .or_call("cannot read the resource bracket")?;
    let free = escrow::free_of(chain, words.wallet, token).await?;
    let left = |from: u64| {
        words.end.saturating_sub(from.max(words.settled_to)).saturating_sub(u64::from(words.unbilled))
    };
    let lock = |rate, seconds| lock_of(rate, seconds, words.decimals, words.payer_fee);
    // The old terms are settled by the transaction, which may come a little later than now.
    let held = lock(words.rate(), left(now + SETTLED_WITHIN));
    let needed = lock(rate, left(now));
    Ok(bracket.max(needed).saturating_sub(free + held))
}

fn tell(context: &Context, words: &LeaseWords, rate: Rate, token: &Token) {
    let (old, new) = (per_hour(words.rate(), token), per_hour(rate, token));
    let left = words.payable_seconds();
    let (before, after) = (words.rate().gross(left, words.decimals), rate.gross(left, words.decimals));
    let change = if after >= before {
        format!("{} more are locked", token.show(after - before))
    } else {
        format!("{} become free", token.show(before - after))
    };
    context.output.note(&format!("price: {old} → {new}; for the time left {change}, before fees"));
}

/// What must become of the workload: from the manifest and status before to the new manifest.
async fn rollout(
    context: &Context,
    remote: &Remote,
    agreed: &Agreed,
    new: &SaltedManifest,
) -> Result<Rollout> {
    let kept = LeaseFile::load(&context.home, agreed.manifest_hash)?.map(|kept| kept.salted()).transpose()?;
    let old = match kept {
        Some(kept) => Some(kept),
        None => remote.client.get_manifest(remote.lease).await.ok(),
    };
    let before = remote.client.status(remote.lease).await.ok();
    Ok(Rollout::new(old.as_ref().map(SaltedManifest::manifest), before.as_ref(), new))
}

/// Waits until the provider serves the new manifest; `false` when it takes longer than people wait.
async fn wait(context: &Context, remote: &Remote, rollout: &Rollout) -> Result<bool> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Ok(status) = remote.client.status(remote.lease).await {
            if rollout.is_done(&status) {
                return Ok(true);
            }
            if status.state == LeaseState::Closed {
                return Err(Failure::new(
                    Kind::NoMatch,
                    format!("lease {} was closed meanwhile", remote.lease),
                ));
            }
        }
        tokio::time::sleep(POLL).await;
    }
    context.output.warn("the new replicas are not all ready yet; `iono status` shows them");
    Ok(false)
}
