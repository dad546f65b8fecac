//! `iono wallet`: keys in the keystore. `iono account`: what the key owns outside escrow.

use alloy::primitives::{hex, utils::format_ether};
use alloy::signers::local::PrivateKeySigner;
use futures::future::try_join_all;
use iono_identity::{IdentityError, keystore};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::args::setup::{Import, Wallet};
use crate::context::Context;
use crate::error::{Context as _, Failure, Kind, Result};
use crate::keys::{self, KeyFile};
use crate::output::{Report, facts, table};
use crate::token::{Tokens, ether};

pub(crate) async fn run(context: &Context, args: Wallet) -> Result<Report> {
    match args {
        Wallet::New { name } => new(context, &name).await,
        Wallet::Import(import) => bring_in(context, &import).await,
        Wallet::List => list(context),
        Wallet::Show { name } => show(context, name.as_deref()),
    }
}

async fn new(context: &Context, name: &str) -> Result<Report> {
    let key = free(context, name)?;
    let passphrase = passphrase(context)?;
    let signer = keystore::create(&key.path, &passphrase).await;
    made(context, &key, signer)
}

async fn bring_in(context: &Context, import: &Import) -> Result<Report> {
    let key = free(context, &import.name)?;
    let source = &import.source;
    // Everything that can be wrong with the source is found before a passphrase is made.
    let signer = if let Some(path) = &source.private_key_file {
        let text = Zeroizing::new(context.read(path, Kind::Setup)?);
        keystore::import_key(&key.path, &text, &passphrase(context)?).await
    } else if let Some(path) = &source.mnemonic_file {
        let text = Zeroizing::new(context.read(path, Kind::Setup)?);
        keystore::import_mnemonic(&key.path, &text, import.index, &passphrase(context)?).await
    } else {
        let path = source.keystore_file.clone().unwrap_or_default();
        let old = match &import.keystore_passphrase_file {
            Some(file) => {
                Zeroizing::new(context.read(file, Kind::Setup)?.trim_end_matches(['\r', '\n']).to_owned())
            }
            None => {
                return Err(Failure::new(Kind::Usage, "the keystore file's passphrase is needed")
                    .hint("name its file with --keystore-passphrase-file"));
            }
        };
        let shown = path.display().to_string();
        let found =
            tokio::task::spawn_blocking(move || PrivateKeySigner::decrypt_keystore(&path, old.as_bytes()))
                .await
                .or_fail(Kind::Failed, "interrupted")?
                .or_fail(Kind::Setup, format_args!("cannot open {shown}"))?;
        let bytes = Zeroizing::new(hex::encode(found.to_bytes()));
        keystore::import_key(&key.path, &bytes, &passphrase(context)?).await
    };
    made(context, &key, signer)
}

fn free(context: &Context, name: &str) -> Result<KeyFile> {
    let key = keys::named(&context.home, name)?;
    if key.path.exists() {
        return Err(Failure::new(Kind::Usage, format!("there is a key `{name}` already"))
            .hint("keys are never overwritten: choose another name"));
    }
    Ok(key)
}

fn passphrase(context: &Context) -> Result<iono_identity::Passphrase> {
    let (passphrase, fresh) =
        keys::passphrase_for_new(&context.home, context.global.passphrase_file.as_deref())?;
    if fresh {
        let path = context.home.passphrase();
        context
            .output
            .note(&format!("made a random passphrase in {}: keep a copy of it with the key", path.display()));
    }
    Ok(passphrase)
}

fn made(context: &Context, key: &KeyFile, signer: Result<PrivateKeySigner, IdentityError>) -> Result<Report> {
    let signer = signer.or_fail(Kind::Setup, format_args!("cannot store the key `{}`", key.name))?;
    context.output.note(&format!("wrote {}", key.path.display()));
    let json = json!({ "name": key.name, "address": signer.address(), "file": key.path });
    Ok(Report::new(&json, signer.address().to_string()))
}

fn list(context: &Context) -> Result<Report> {
    let default = context.key().ok();
    let mut rows = Vec::new();
    let mut json = Vec::new();
    for key in keys::list(&context.home)? {
        let address = keys::address(&key)?;
        let is_default = default.as_ref().is_some_and(|default| default.path == key.path);
        rows.push(vec![
            if is_default { format!("{} *", key.name) } else { key.name.clone() },
            address.map_or_else(|| "unknown".to_owned(), |address| address.to_string()),
        ]);
        json.push(json!({ "name": key.name, "address": address, "default": is_default, "file": key.path }));
    }
    if rows.is_empty() {
        context.output.note("no key yet: `iono wallet new` makes one");
        return Ok(Report::new(&json, ""));
    }
    Ok(Report::new(&json, table(&["KEY", "ADDRESS"], rows)))
}

fn show(context: &Context, name: Option<&str>) -> Result<Report> {
    let key = keys::choose(
        &context.home,
        name.or(context.global.key.as_deref()),
        context.config.keystore.as_deref(),
    )?;
    let address = keys::address(&key)?;
    let shown = address.map_or_else(|| "unknown".to_owned(), |address| address.to_string());
    let text =
        facts(&[("key", key.name.clone()), ("address", shown), ("file", key.path.display().to_string())]);
    Ok(Report::new(&json!({ "name": key.name, "address": address, "file": key.path }), text))
}

pub(crate) async fn account(context: &Context) -> Result<Report> {
    let address = context.address().await?;
    let chain = context.chain().await?;
    let wei = ether(&chain, address).await?;
    let tokens = Tokens::load(&chain).await?;
    let balances = try_join_all(tokens.0.iter().map(|token| token.balance(&chain, address))).await?;
    let mut pairs = vec![("address", address.to_string()), ("ether", format_ether(wei))];
    let held = tokens.0.iter().zip(&balances);
    pairs.extend(held.clone().map(|(token, balance)| (token.symbol.as_str(), token.plain(*balance))));
    let json_tokens: Vec<Value> = held
        .map(|(token, balance)| {
            json!({ "token": token.symbol, "id": token.id, "asset": token.asset, "balance": token.plain(*balance),
                    "units": balance.to_string() })
        })
        .collect();
    let json = json!({
        "address": address, "ether": format_ether(wei), "wei": wei.to_string(), "tokens": json_tokens,
    });
    Ok(Report::new(&json, facts(&pairs)))
}
