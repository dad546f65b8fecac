//! Commands that the running daemon carries out, since it alone sends with the hot key; without a daemon they are sent
//! from here.

use alloy::primitives::Bytes;
use alloy::sol_types::SolCall as _;
use anyhow::Result;
use iono_bindings::IProviderRegistry;
use iono_identity::unix_now;
use iono_primitives::TokenId;
use serde_json::{Value, json};

use super::output;
use crate::chain_link::ChainLink;
use crate::cli::Common;
use crate::control::{self, ControlError, Request};
use crate::{daemon, pins, treasury};
use iono_host::config::{Config, values::Dollars};
use iono_host::market::book::Book;
use iono_host::market::party::Party;

/// The daemon's status.
///
/// # Errors
/// When no daemon answers.
pub async fn status(common: &Common, config: &Config) -> Result<()> {
    let status = control::ask_status(&config.data_dir).await?;
    output::result(common, &status, output::lines)?;
    Ok(())
}

/// Has the request carried out.
///
/// # Errors
/// What the daemon or the chain refuses.
pub async fn ask(common: &Common, config: &Config, request: &Request) -> Result<()> {
    let done = match control::ask(&config.data_dir, request).await {
        Err(ControlError::NotRunning(_)) => alone(config, request).await?,
        answer => answer?,
    };
    output::result(common, &done, output::lines)?;
    Ok(())
}

/// Does it without a daemon.
async fn alone(config: &Config, request: &Request) -> Result<Value> {
    let link = ChainLink::open(config, daemon::open_hot_key(config).await?).await?;
    let (sender, reader) = (&link.sender, &link.reader);
    let done = match request {
        // May come before the registry knows this provider.
        Request::Admit(owner) => {
            let (key, call) =
                (format!("admit:{owner}:{}", unix_now()), IProviderRegistry::admitCall { owner: *owner });
            let to = reader.book().provider_registry;
            let mined = sender.submit(&key, to, Bytes::from(call.abi_encode())).await?;
            json!({ "admitted": owner, "transaction": mined.transaction })
        }
        Request::Drain(draining) => {
            let me = link.provider().await?;
            let call = IProviderRegistry::setDrainingCall { provider: me.into(), draining: *draining };
            let to = reader.book().provider_registry;
            let key = format!("drain:{draining}:{}", unix_now());
            let mined = sender.submit(&key, to, Bytes::from(call.abi_encode())).await?;
            json!({ "draining": draining, "transaction": mined.transaction })
        }
        Request::CashOut(token) => {
            let me = link.provider().await?;
            let [_, leases] = Book::namespaces();
            let book = Book::restore(Party::provider(me), &[], &link.store.documents(leases).await?)?;
            let leases: Vec<_> = book.leases().values().filter(|l| !l.is_done()).map(|l| l.id).collect();
            let round = unix_now();
            treasury::settle(sender, reader, &leases, round).await?;
            let tokens = token.map_or_else(|| config.public.tokens.clone(), |token| vec![token]);
            let tokens: Vec<TokenId> = tokens.into_iter().map(TokenId).collect();
            json!(treasury::cash_out(sender, reader, me, &tokens, Dollars::default(), round).await?)
        }
        Request::RotatePin => {
            let me = link.provider().await?;
            json!({ "pin": pins::rotate(&config.data_dir, sender, reader, me).await?.to_string() })
        }
    };
    link.close().await;
    Ok(done)
}
