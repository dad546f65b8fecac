//! `iono init`: writes the configuration after looking whether chain and contracts are there.

use alloy::providers::Provider;
use futures::future::try_join_all;
use serde_json::json;

use crate::args::setup::Init;
use crate::chain::Chain;
use crate::context::Context;
use crate::error::{Context as _, Failure, Kind, Result};
use crate::home::Config;
use crate::output::{Report, facts};
use crate::token::Tokens;

pub(crate) async fn run(context: &Context, args: &Init) -> Result<Report> {
    let rpc =
        if context.global.rpc.is_empty() { context.config.rpc.clone() } else { context.global.rpc.clone() };
    let book = context.global.address_book.as_ref().or(context.config.address_book.as_ref());
    let (Some(book), false) = (book, rpc.is_empty()) else {
        return Err(Failure::new(Kind::Usage, "--rpc and --address-book are needed")
            .hint("iono init --rpc http://127.0.0.1:8545 --address-book target/devnet.json"));
    };
    let book = std::path::absolute(book).or_fail(Kind::Setup, "cannot find the address book")?;
    let chain = Chain::connect(&rpc, &book).await?;
    contracts_exist(&chain).await?;
    let tokens = Tokens::load(&chain).await?;
    if let Some(token) = &args.token {
        tokens.find(token)?;
    }
    let config = Config {
        rpc,
        address_book: Some(book),
        keystore: context.config.keystore.clone(),
        wallet: args.wallet.or(context.config.wallet),
        token: args.token.clone().or_else(|| context.config.token.clone()),
    };
    context.home.save(&config)?;
    let path = context.home.config_file();
    context.output.note(&format!("wrote {}", path.display()));
    if context.key().is_err() {
        context.output.note("next: `iono wallet new` makes a key");
    }
    let symbols: Vec<&str> =
        tokens.0.iter().filter(|token| token.enabled).map(|token| token.symbol.as_str()).collect();
    let json = json!({
        "config": path, "chain_id": chain.book.chain_id, "rpc": chain.url, "tokens": symbols,
    });
    let text = facts(&[
        ("chain", chain.book.chain_id.to_string()),
        ("rpc", chain.url.to_string()),
        ("tokens", symbols.join(", ")),
        ("config", path.display().to_string()),
    ]);
    Ok(Report::new(&json, text))
}

/// A devnet that was restarted still has the old book's chain id, but not its contracts.
async fn contracts_exist(chain: &Chain) -> Result<()> {
    let contracts = chain.book.contracts();
    let codes =
        try_join_all(contracts.iter().map(|(_, address)| chain.rpc.get_code_at(*address).into_future()))
            .await
            .or_fail(Kind::Rpc, "cannot look for the contracts")?;
    match contracts.iter().zip(codes).find(|(_, code)| code.is_empty()) {
        Some(((name, address), _)) => Err(Failure::new(
            Kind::Setup,
            format!("the chain has no contract at {address}, which the address book calls {name}"),
        )
        .hint("deploy again with `iono admin deploy`, or use the address book of this chain")),
        None => Ok(()),
    }
}
