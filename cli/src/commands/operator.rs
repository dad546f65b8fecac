//! `iono operator`: what the owner of an operator does (SP-14, SP-15).

use std::path::{Path, PathBuf};

use alloy::primitives::{Bytes, U256, hex, keccak256};
use iono_bindings::{IMatchTaskManager, IOperatorRegistry};
use iono_bls::SecretKey;
use iono_identity::{Passphrase, PassphraseSource, bls_keystore};
use serde_json::{Value, json};
use url::Url;

use super::operator_view;
use super::stake::{self, Pools};
use crate::args::operator::Operator as Args;
use crate::chain::{Call, Chain};
use crate::context::Context;
use crate::error::{Context as _, Failure, Kind, Result};
use crate::files;
use crate::operators;
use crate::output::Report;
use crate::token::Tokens;
use crate::tx::{Sender, Step};

/// Bytes of an endpoint that the registry takes.
const LONGEST_ENDPOINT: usize = 256;

pub(crate) async fn run(context: &Context, args: Args) -> Result<Report> {
    match args {
        Args::Key { out } => key(context, &out).await,
        Args::Register { bls_key, bls_passphrase_file, endpoint } => {
            register(context, &bls_key, bls_passphrase_file, endpoint).await
        }
        Args::Announce { operator, url } => announce(context, operator, url).await,
        Args::Stake { operator, amount } => {
            let (chain, tokens) = market(context).await?;
            let (sender, pools) = (context.sender(&chain).await?, Pools::of_operators(&chain));
            stake::add(&chain, &sender, &pools, tokens.by_id(0)?, operator, &amount).await
        }
        Args::Unstake { operator, amount } => {
            let (chain, tokens) = market(context).await?;
            let (sender, pools) = (context.sender(&chain).await?, Pools::of_operators(&chain));
            stake::undelegate(&chain, &sender, &pools, tokens.by_id(0)?, operator, &amount).await
        }
        Args::Withdraw { request } => {
            let (chain, tokens) = market(context).await?;
            stake::withdraw(context, &chain, &Pools::of_operators(&chain), tokens.by_id(0)?, request).await
        }
        Args::Enter { operator, evict } => enter(context, operator, evict).await,
        Args::Exit { operator } => {
            let call = IOperatorRegistry::exitCall { operator: U256::from(operator) };
            let done = format!("operator {operator} is in the set until this era ends");
            change(context, "exit", operator, &call, json!({}), done).await
        }
        Args::Sync { operator } => {
            let call = IOperatorRegistry::syncCall { operator: U256::from(operator) };
            change(
                context,
                "sync",
                operator,
                &call,
                json!({}),
                format!("operator {operator} is weighed anew"),
            )
            .await
        }
        Args::List => operator_view::list(context).await,
        Args::Status { operator } => operator_view::status(context, operator).await,
        Args::Claim { operator, era, token } => claim(context, operator, era, token.as_deref()).await,
    }
}

async fn market(context: &Context) -> Result<(Chain, Tokens)> {
    let chain = context.chain().await?;
    let tokens = Tokens::load(&chain).await?;
    Ok((chain, tokens))
}

/// Where the passphrase of a BLS key lies unless somebody says otherwise.
fn beside(keystore: &Path) -> PathBuf {
    keystore.with_extension("passphrase")
}

async fn key(context: &Context, out: &Path) -> Result<Report> {
    let file = beside(out);
    if !file.exists() {
        let random: [u8; 32] = rand::random();
        files::write_private(&file, format!("{}\n", hex::encode(random)).as_bytes())?;
        context.output.note(&format!("made a random passphrase in {}", file.display()));
    }
    let secret = bls_keystore::create(out, &read_passphrase(&file)?).await;
    let secret = secret.or_fail(Kind::Setup, format_args!("cannot keep the key in {}", out.display()))?;
    context.output.note(&format!("wrote {}: keep a copy of both files", out.display()));
    let public = hex::encode_prefixed(secret.public_key().to_bytes());
    let json = json!({ "file": out, "passphrase_file": file, "public_key": public });
    Ok(Report::new(&json, public))
}

fn read_passphrase(file: &Path) -> Result<Passphrase> {
    PassphraseSource::File(file.to_owned()).read().or_hint(
        Kind::Setup,
        "cannot read the BLS key's passphrase",
        "name its file with --bls-passphrase-file",
    )
}

async fn open(file: &Path, passphrase: Option<PathBuf>) -> Result<SecretKey> {
    let passphrase = read_passphrase(&passphrase.unwrap_or_else(|| beside(file)))?;
    bls_keystore::open(file, &passphrase).await.or_hint(
        Kind::Setup,
        format_args!("cannot open {}", file.display()),
        "`iono operator key` makes a BLS key",
    )
}

async fn register(
    context: &Context,
    file: &Path,
    passphrase: Option<PathBuf>,
    endpoint: Option<String>,
) -> Result<Report> {
    // Everything that can be wrong is found before anything is sent.
    let endpoint = endpoint.map(checked).transpose()?;
    let secret = open(file, passphrase).await?;
    let chain = context.chain().await?;
    let registry = operators::registry(&chain);
    let key = Bytes::from(secret.public_key().to_bytes().to_vec());
    let taken = registry.operatorOf(keccak256(&key)).call().await.or_call("cannot look the key up")?;
    if !taken.is_zero() {
        return Err(Failure::new(
            Kind::Refused,
            format!("this key is registered already, as operator {taken}"),
        )
        .hint("each operator needs a key of its own: `iono operator key`"));
    }
    let sender = context.sender(&chain).await?;
    let digest = registry.possessionDigest(sender.address(), key.clone()).call().await;
    let digest = digest.or_call("cannot read what the key is to sign")?;
    let proof = Bytes::from(secret.prove_possession(&digest).to_bytes().to_vec());
    let call = IOperatorRegistry::registerCall { key, proof };
    let step = Step::new("register", "register the operator", *registry.address(), &call);
    let Some(sent) = sender.send(step).await? else { return Ok(sender.plan()) };
    let registered = sent.event::<IOperatorRegistry::OperatorRegistered>();
    let operator: u32 = registered
        .ok_or_else(|| Failure::new(Kind::Rpc, "the receipt shows no operator"))?
        .operator
        .saturating_to();
    let mut transactions = vec![sent];
    if let Some(url) = &endpoint {
        let step = announcing(&chain, operator, url.clone());
        transactions.extend(sender.send(step).await?);
    }
    let json = json!({
        "operator": operator, "owner": sender.address(), "endpoint": endpoint, "transactions": transactions,
    });
    Ok(Report::new(&json, format!("operator {operator}; next: iono operator stake {operator} AMOUNT")))
}

/// An endpoint that others can post to.
fn checked(text: String) -> Result<String> {
    let bad = |why: &str| {
        Err(Failure::new(Kind::Usage, format!("`{text}` is no endpoint: {why}"))
            .hint("give http://HOST:PORT or https://HOST"))
    };
    if text.is_empty() {
        return Ok(text);
    }
    if text.len() > LONGEST_ENDPOINT {
        return bad("it is longer than 256 bytes");
    }
    match Url::parse(&text) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => bad("neither http nor https"),
        Ok(url) if url.query().is_some() || url.fragment().is_some() => bad("it has a query or a fragment"),
        Ok(_) => Ok(text),
        Err(error) => bad(&error.to_string()),
    }
}

fn announcing(chain: &Chain, operator: u32, url: String) -> Step {
    let call = IOperatorRegistry::announceCall { operator: U256::from(operator), url };
    Step::new("announce", "announce the endpoint", chain.book.operator_registry, &call)
}

async fn announce(context: &Context, operator: u32, url: String) -> Result<Report> {
    let url = checked(url)?;
    let chain = context.chain().await?;
    let sender = context.sender(&chain).await?;
    let Some(sent) = sender.send(announcing(&chain, operator, url.clone())).await? else {
        return Ok(sender.plan());
    };
    let text = match url.as_str() {
        "" => format!("operator {operator} answers nowhere"),
        url => format!("operator {operator} answers at {url}"),
    };
    Ok(Report::new(&json!({ "operator": operator, "endpoint": url, "transactions": [sent] }), text))
}

async fn enter(context: &Context, operator: u32, evict: Option<u32>) -> Result<Report> {
    let evicted = U256::from(evict.unwrap_or_default());
    let call = IOperatorRegistry::enterCall { operator: U256::from(operator), evicted };
    let chain = context.chain().await?;
    let era = operators::current_era(&chain).await? + 1;
    let done = format!("operator {operator} is in the set from era {era} on");
    change(context, "enter", operator, &call, json!({ "from_era": era }), done).await
}

/// One transaction to the registry about an operator.
async fn change(
    context: &Context,
    name: &'static str,
    operator: u32,
    call: &impl alloy::sol_types::SolCall,
    mut facts: Value,
    done: String,
) -> Result<Report> {
    let chain = context.chain().await?;
    let sender = context.sender(&chain).await?;
    let doing = format!("{name} operator {operator}");
    let step = Step::new(name, doing, chain.book.operator_registry, call);
    let Some(sent) = sender.send(step).await? else { return Ok(sender.plan()) };
    facts["operator"] = json!(operator);
    facts["transactions"] = json!([sent]);
    Ok(Report::new(&facts, done))
}

async fn claim(context: &Context, operator: u32, era: Option<u32>, token: Option<&str>) -> Result<Report> {
    let (chain, tokens) = market(context).await?;
    let token = token.map(|token| tokens.find(token)).transpose()?;
    let owner = operators::owner(&chain, operator).await?;
    let all = operators::performance(&chain, &tokens, operator).await?;
    let due: Vec<_> = all
        .into_iter()
        .filter(|part| !part.unclaimed.is_zero())
        .filter(|part| era.is_none_or(|era| part.era == era))
        .filter(|part| token.is_none_or(|token| part.token.id == token.id))
        .collect();
    if due.is_empty() {
        return Err(Failure::new(Kind::NotFound, format!("nothing waits for operator {operator}"))
            .hint(format_args!("`iono operator status {operator}` shows what it matched and missed")));
    }
    let sender: Sender = context.sender(&chain).await?;
    let (mut transactions, mut paid, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    for part in due {
        let call = IMatchTaskManager::claimCall {
            operator: U256::from(operator),
            era: U256::from(part.era),
            token: U256::from(part.token.id),
        };
        let doing = format!("claim the fees of era {}", part.era);
        let sent = sender.send(Step::new("claim", doing, chain.book.match_task_manager, &call)).await?;
        let Some(sent) = sent else { continue };
        let amount =
            sent.event::<IMatchTaskManager::RewardClaimed>().map_or(U256::ZERO, |event| event.amount);
        let plain = part.token.plain(amount);
        paid.push(json!({ "era": part.era, "token": part.token.symbol, "amount": plain }));
        lines.push(format!("era {}: {} to {owner}", part.era, part.token.show(amount)));
        transactions.push(sent);
    }
    if context.global.dry_run {
        return Ok(sender.plan());
    }
    let json = json!({ "operator": operator, "owner": owner, "paid": paid, "transactions": transactions });
    Ok(Report::new(&json, lines.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_addresses_that_others_can_post_to() {
        for good in ["", "http://operator.example:7300", "https://operator.example/quorum"] {
            assert_eq!(checked(good.to_owned()).unwrap(), good);
        }
        let long = format!("http://{}.example", "x".repeat(256));
        for bad in ["operator.example", "ftp://operator.example", "http://a.example/?b=c", &long] {
            assert_eq!(checked(bad.to_owned()).unwrap_err().kind, Kind::Usage, "{bad}");
        }
    }

    #[test]
    fn the_passphrase_lies_beside_the_key() {
        assert_eq!(beside(Path::new("/a/operator-bls.json")), Path::new("/a/operator-bls.passphrase"));
    }
}
