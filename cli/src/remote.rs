//! A lease at its provider: endpoint and pins from the registry, a certificate that the wallet authorised, nothing
//! trusted on first use.

use std::time::Duration;

use alloy::primitives::U256;
use iono_bindings::LeaseWords;
use iono_identity::client::LIFETIME;
use iono_identity::{ClientIdentity, Domain, IdentityRequest, Pin};
use iono_lease_api::{Client, ClientError};
use iono_primitives::{FizzId, LeaseId, LeaseState, WalletId};

use crate::agreed;
use crate::chain::{Call, Chain};
use crate::commands::fizz;
use crate::context::Context;
use crate::error::{Context as _, Failure, Kind, Result};
use crate::holdings::lease_words;
use crate::providers::{self, Provider};

/// Providers that are asked at a time.
pub(crate) const PARALLEL: usize = 64;

/// What the key must be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Read,
    Write,
}

/// A connection to come.
pub(crate) struct Remote {
    pub(crate) client: Client,
    pub(crate) lease: LeaseId,
    pub(crate) words: LeaseWords,
    pub(crate) provider: Provider,
}

impl Remote {
    /// Finds the lease's provider and makes or reuses the client certificate.
    pub(crate) async fn open(context: &Context, chain: &Chain, lease: u64, need: Need) -> Result<Self> {
        let words = lease_words(chain, lease).await?;
        if matches!(words.lease_state(), None | Some(LeaseState::None)) {
            return Err(agreed::unknown("lease", lease));
        }
        let provider = Provider::load(chain, words.provider).await?;
        let identity = identity(context, chain, words.wallet, need).await?;
        let client = match words.fizz {
            0 => client(chain, &provider, Some(&identity)).await?,
            fizz => {
                if need == Need::Write {
                    context.output.note(&format!(
                        "light node {fizz} of provider {}: its owner can see what runs on it; keep secrets off it",
                        provider.id
                    ));
                }
                light_node(chain, &provider, fizz, &identity).await?
            }
        };
        Ok(Self { client, lease: LeaseId(lease), words, provider })
    }
}

/// The lease API of a provider; without an identity only what is public answers.
pub(crate) async fn client(
    chain: &Chain,
    provider: &Provider,
    identity: Option<&ClientIdentity>,
) -> Result<Client> {
    let pins = providers::pins(chain, provider).await?.into_iter().map(Pin).collect();
    Client::new(&provider.record.endpoint, pins, identity)
        .or_fail(Kind::Provider, format_args!("provider {} has an endpoint that cannot be used", provider.id))
}

/// The lease API of a light node, which its provider carries connections to unread.
async fn light_node(
    chain: &Chain,
    provider: &Provider,
    fizz: u32,
    identity: &ClientIdentity,
) -> Result<Client> {
    let node = fizz::load(chain, fizz).await?;
    let pins = [node.pin, node.nextPin].into_iter().filter(|pin| !pin.is_zero()).map(Pin).collect();
    Client::for_light_node(&provider.record.endpoint, FizzId(fizz), pins, Some(identity))
        .or_fail(Kind::Provider, format_args!("provider {} has an endpoint that cannot be used", provider.id))
}

/// Asks a provider once what is public, for no longer than `timeout`; the error says why there is no answer.
pub(crate) async fn ask<T>(
    chain: &Chain,
    provider: &Provider,
    timeout: Duration,
    question: impl AsyncFnOnce(Client) -> std::result::Result<T, ClientError>,
) -> std::result::Result<T, String> {
    let answer = async {
        let client = client(chain, provider, None).await.map_err(|failure| failure.message)?;
        question(client.once()).await.map_err(|error| error.to_string())
    };
    match tokio::time::timeout(timeout, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {}", humantime::format_duration(timeout))),
    }
}

async fn identity(context: &Context, chain: &Chain, wallet: u64, need: Need) -> Result<ClientIdentity> {
    let signer = context.signer().await?;
    let account = signer.address();
    let access = chain
        .access()
        .access(U256::from(wallet), account)
        .call()
        .await
        .or_call("cannot read the wallet's rights")?;
    let write = need == Need::Write;
    if !access.read || (write && !access.write) {
        let what = if access.read { "may only read" } else { "has no right to" };
        return Err(Failure::new(Kind::Refused, format!("{account} {what} the leases of wallet {wallet}"))
            .hint("use the wallet owner's key (--key), or have the owner run `iono delegate add`"));
    }
    // One that may write serves for reading as well, so the owner keeps a single certificate per wallet.
    let request = IdentityRequest {
        domain: Domain { chain_id: chain.book.chain_id, lease_access: chain.book.lease_access },
        wallet: WalletId(wallet),
        lease: None,
        write: access.write,
        nonce: access.nonce.saturating_to(),
        lifetime: LIFETIME,
    };
    let name = format!(
        "{}-{:.10}-{wallet}-{:.10}.pem",
        chain.book.chain_id,
        chain.book.lease_access.to_string(),
        account.to_string()
    );
    ClientIdentity::cached(&context.home.certificates().join(name), &signer, &request)
        .await
        .or_fail(Kind::Setup, "cannot make a client certificate")
}

/// A provider's refusal or silence in words; its own hint is passed on.
pub(crate) fn failure(doing: impl std::fmt::Display, error: ClientError) -> Failure {
    match error {
        ClientError::Refused { body, .. } => {
            let kind = if body.code == "not_found" { Kind::NotFound } else { Kind::Provider };
            let failure = Failure::new(kind, format!("{doing}: {} [{}]", body.message, body.code));
            if body.hint.is_empty() { failure } else { failure.hint(body.hint) }
        }
        ClientError::Unreachable { .. } => Failure::new(Kind::Provider, format!("{doing}: {error}"))
            .hint("the lease is not affected by this; try again"),
        other => Failure::new(Kind::Provider, format!("{doing}: {other}")),
    }
}

/// Turns a lease API's error into a [`Failure`].
pub(crate) trait Remotely<T> {
    fn or_remote(self, doing: &str) -> Result<T>;
}

impl<T> Remotely<T> for std::result::Result<T, ClientError> {
    fn or_remote(self, doing: &str) -> Result<T> {
        self.map_err(|error| failure(doing, error))
    }
}
