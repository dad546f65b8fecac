//! Commands with the owner's key: register, bring the record up to date, stake.

use alloy::primitives::aliases::{U24, U48};
use alloy::primitives::{Address, Bytes};
use alloy::providers::Provider as _;
use alloy::sol_types::SolCall;
use anyhow::{Context as _, Result, bail, ensure};
use iono_bindings::{IERC20, IProviderRegistry, IStakingManager, ProviderRecord};
use iono_chain::Mined;
use iono_identity::{ServerIdentity, keystore, unix_now};
use iono_primitives::ProviderId;
use serde_json::json;

use super::output;
use crate::chain_link::ChainLink;
use crate::cli::{Common, Owner};
use crate::{daemon, machine, pins};
use iono_host::config::{Config, values::Dollars};

/// Proposes this provider.
///
/// # Errors
/// When it is registered already, or the registry refuses.
pub async fn register(common: &Common, config: &Config, owner: &Owner) -> Result<()> {
    let (link, record) = (open(config, owner).await?, record(config).await?);
    let hot = record.hotKey;
    let (known, me) = (ProviderId(link.reader.profile_of(hot).await?.id), link.sender.address());
    if known != ProviderId(0) {
        ensure!(
            link.reader.owner_of(known).await? == me,
            "somebody else registered this machine's hot key {hot} as provider {known}; `provider admit {me}` takes it back, then register again"
        );
        bail!("{hot} is the hot key of provider {known} already; `provider set-record` changes its record");
    }
    let call = IProviderRegistry::proposeCall { record };
    let mined = send(&link, "propose", link.reader.book().provider_registry, call).await?;
    let provider = link.reader.profile_of(hot).await?.id;
    let receipt = link.reader.provider().get_transaction_receipt(mined.transaction).await?;
    let proposed = receipt.and_then(|receipt| receipt.decoded_log::<IProviderRegistry::ProviderProposed>());
    let proposal = proposed.map(|event| event.proposal.to_string());
    let shown = json!({
        "provider": (provider != 0).then_some(provider),
        "proposal": proposal,
        "hot_key": hot,
        "transaction": mined.transaction,
    });
    link.close().await;
    output::result(common, &shown, |_| match provider {
        0 => format!("proposal {} waits for approval", proposal.as_deref().unwrap_or("?")),
        id => format!("registered as provider {id}; next: `provider stake AMOUNT`, then `provider check`"),
    })?;
    Ok(())
}

/// Brings the record up to the configuration.
///
/// # Errors
/// When there is no such provider, or the registry refuses.
pub async fn set_record(common: &Common, config: &Config, owner: &Owner) -> Result<()> {
    let link = open(config, owner).await?;
    let mut record = record(config).await?;
    let provider = provider_of(&link, record.hotKey).await?;
    let present = link.reader.record(provider).await?;
    // The pin has its own way (`rotate-pin`), so that both keys are good meanwhile.
    record.pin = present.pin;
    if record == present {
        link.close().await;
        output::result(common, &json!({ "provider": provider, "changed": false }), |_| {
            "the record is up to date".to_owned()
        })?;
        return Ok(());
    }
    let call = IProviderRegistry::setRecordCall { provider: provider.into(), record };
    let mined = send(&link, "set-record", link.reader.book().provider_registry, call).await?;
    link.close().await;
    let shown = json!({ "provider": provider, "changed": true, "transaction": mined.transaction });
    output::result(common, &shown, |_| format!("the record of provider {provider} is up to date now"))?;
    Ok(())
}

/// Stakes SPON.
///
/// # Errors
/// When the owner holds less, or the contract refuses.
pub async fn stake(common: &Common, config: &Config, amount: Dollars, owner: &Owner) -> Result<()> {
    let link = open(config, owner).await?;
    let provider = provider_of(&link, hot_address(config)?).await?;
    let (tokens, book) = (amount.0, link.reader.book().clone());
    let (who, spon) = (link.sender.address(), IERC20::new(book.spon, link.reader.provider()));
    let held = spon.balanceOf(who).call().await?;
    ensure!(held >= tokens, "{who} holds {} SPON, {amount} are to be staked", Dollars(held));
    if spon.allowance(who, book.staking_manager).call().await? < tokens {
        let call = IERC20::approveCall { spender: book.staking_manager, amount: tokens };
        send(&link, "approve", book.spon, call).await?;
    }
    let call = IStakingManager::stakeCall { provider: provider.into(), tokens };
    let mined = send(&link, "stake", book.staking_manager, call).await?;
    let tier = link.reader.profile_of(hot_address(config)?).await?.trust_tier;
    let (own, counted, wanted) = link.reader.stake_of(provider, tier).await?;
    link.close().await;
    let shown = json!({
        "provider": provider,
        "own": Dollars(own).to_string(),
        "counted": Dollars(counted).to_string(),
        "wanted": Dollars(wanted).to_string(),
        "transaction": mined.transaction,
    });
    output::result(common, &shown, |_| {
        format!(
            "provider {provider} has {} SPON staked; tier {tier} asks for {}",
            Dollars(counted),
            Dollars(wanted)
        )
    })?;
    Ok(())
}

async fn open(config: &Config, owner: &Owner) -> Result<ChainLink> {
    let passphrase = daemon::passphrase(owner.owner_passphrase_file.as_deref(), "owner-passphrase")
        .context("the owner key needs --owner-passphrase-file")?;
    let key = keystore::open(&owner.owner_key, &passphrase).await?;
    ChainLink::open(config, key).await
}

/// Sends once: a command that is repeated is meant anew.
async fn send(link: &ChainLink, what: &str, to: Address, call: impl SolCall) -> Result<Mined> {
    let key = format!("{what}:{}", unix_now());
    Ok(link.sender.submit(&key, to, Bytes::from(call.abi_encode())).await?)
}

async fn provider_of(link: &ChainLink, hot: Address) -> Result<ProviderId> {
    let profile = link.reader.profile_of(hot).await?;
    ensure!(
        profile.id != 0,
        "the registry knows no provider with the hot key {hot}; run `provider register` first"
    );
    Ok(ProviderId(profile.id))
}

/// Address of the hot key, without its passphrase where the keystore names it.
fn hot_address(config: &Config) -> Result<Address> {
    let file = &config.keys()?.hot_key;
    let address = keystore::address(file)?;
    address.with_context(|| format!("{} does not name its address", file.display()))
}

/// What the configuration and the machine say of this provider.
///
/// # Errors
/// When nothing is left to offer, or it cannot be found out what is.
pub async fn record(config: &Config) -> Result<ProviderRecord> {
    let examples = config.public.examples().join(" and ");
    ensure!(examples.is_empty(), "{examples}: still the template's example; write this machine's own name");
    std::fs::create_dir_all(&config.data_dir)
        .with_context(|| format!("cannot make {}", config.data_dir.display()))?;
    let machine::Seen { offer, unknown, .. } = machine::look(config).await?;
    if let Some(why) = unknown.filter(|_| config.offer.gpus != Some(0)) {
        bail!(
            "the container engine has to say whether it can assign this machine's GPUs, and does not: {why}; start it, or offer none with offer.gpus = 0"
        );
    }
    ensure!(
        offer.cpu > 0 && offer.memory > 0,
        "nothing is left to offer beyond the reserve; see [reserve] and [offer]"
    );
    Ok(ProviderRecord {
        hotKey: hot_address(config)?,
        region: config.public.region.0,
        attributes: U24::from(offer.attributes(&config.public).word()),
        tokens: U48::from(config.token_mask()),
        offersOwn: true,
        offersFizz: config.subnet.is_some(),
        capacity: offer.resources_with(config.subnet.as_ref().map(|subnet| &subnet.lends)).word(),
        pin: ServerIdentity::load_or_create(&pins::key_path(&config.data_dir))?.pin().0,
        endpoint: config.public.endpoint.clone(),
    })
}
