//! `iono operator key`, `register` and `announce`: an operator's BLS key, its number, and where it answers (SP-14).

use std::path::{Path, PathBuf};

use alloy::primitives::{Bytes, U256, hex, keccak256};
use iono_bindings::IOperatorRegistry;
use iono_bls::SecretKey;
use iono_identity::{Passphrase, PassphraseSource, bls_keystore};
use serde_json::json;
use url::Url;

use crate::chain::{Call, Chain};
use crate::context::Context;
use crate::error::{Context as _, Failure, Kind, Result};
use crate::files;
use crate::operators;
use crate::output::Report;
use crate::tx::Step;

/// Bytes of an endpoint that the registry takes.
const LONGEST_ENDPOINT: usize = 256;

/// Where the passphrase of a BLS key lies unless somebody says otherwise.
fn beside(keystore: &Path) -> PathBuf {
    keystore.with_extension("passphrase")
}

pub(super) async fn key(context: &Context, out: &Path) -> Result<Report> {
    let file = beside(out);
    // Found before a passphrase is made that would lie beside the key of another one.
    if out.exists() || file == out {
        let what = if out.exists() { "is there already" } else { "is where its passphrase would go" };
        return Err(Failure::new(
            Kind::Setup,
            format!("cannot keep the key in {}: it {what}", out.display()),
        )
        .hint("keys are never overwritten: choose another name, such as operator-bls.json"));
    }
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
    let doing = format!("cannot open {}", file.display());
    // Told without a passphrase: a wallet's key is none of an operator.
    bls_keystore::public_key(file).or_hint(Kind::Setup, &doing, "`iono operator key` makes a BLS key")?;
    let passphrase = read_passphrase(&passphrase.unwrap_or_else(|| beside(file)))?;
    bls_keystore::open(file, &passphrase).await.or_hint(
        Kind::Setup,
        doing,
        "is it the right passphrase file? --bls-passphrase-file names another",
    )
}

pub(super) async fn register(
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
    // Said at once: should the next step fail, the number is known.
    context.output.note(&format!("registered as operator {operator}"));
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
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            bad("it carries a name or a password, and everybody would read it")
        }
        Ok(url) if url.query().is_some() || url.fragment().is_some() => bad("it has a query or a fragment"),
        Ok(_) => Ok(text),
        Err(error) => bad(&error.to_string()),
    }
}

fn announcing(chain: &Chain, operator: u32, url: String) -> Step {
    let call = IOperatorRegistry::announceCall { operator: U256::from(operator), url };
    Step::new("announce", "announce the endpoint", chain.book.operator_registry, &call)
}

pub(super) async fn announce(context: &Context, operator: u32, url: String) -> Result<Report> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_addresses_that_others_can_post_to() {
        for good in ["", "http://operator.example:7300", "https://operator.example/quorum"] {
            assert_eq!(checked(good.to_owned()).unwrap(), good);
        }
        let long = format!("http://{}.example", "x".repeat(256));
        for bad in [
            "operator.example",
            "ftp://operator.example",
            "http://a.example/?b=c",
            "http://a:b@c.example",
            &long,
        ] {
            assert_eq!(checked(bad.to_owned()).unwrap_err().kind, Kind::Usage, "{bad}");
        }
    }

    #[test]
    fn the_passphrase_lies_beside_the_key() {
        assert_eq!(beside(Path::new("/a/operator-bls.json")), Path::new("/a/operator-bls.passphrase"));
    }
}
