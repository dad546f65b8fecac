//! What of `provider check` looks at the chain: clock, gas, registration, stake, the record, the pin, the payout.

use alloy::primitives::{Address, U256};
use alloy::providers::Provider as _;
use anyhow::Result;
use iono_bindings::{AddressBook, ProviderRecord};
use iono_identity::{Pin, ServerIdentity, unix_now};
use iono_matching::eligibility::Machine;
use iono_primitives::money::format_decimal;
use iono_primitives::{Attributes, ProviderId, Region, Resources};

use super::{Checked, failed, passed};
use crate::pins;
use iono_host::config::Config;
use iono_host::machine::Seen;
use iono_host::market::reader::Reader;
use iono_host::verdict::eligible;

/// Native tokens that the hot key should hold, in wei: some hundred leases.
const ENOUGH_GAS: u64 = 10_000_000_000_000_000;

/// Everything that the chain knows.
pub(super) async fn chain(
    config: &Config,
    reader: &Reader,
    hot: Option<Address>,
    seen: Option<&Seen>,
    checks: &mut Vec<Checked>,
) {
    let head = match reader.head().await {
        Ok(head) => head,
        Err(error) => return checks.push(failed("chain", error.to_string())),
    };
    let AddressBook { chain_id, .. } = *reader.book();
    checks.push(match reader.provider().get_chain_id().await {
        Ok(id) if id == chain_id => passed("chain", format!("chain {id} answers, block {}", head.number)),
        Ok(id) => failed("chain", format!("the RPC serves chain {id}, the address book is for {chain_id}")),
        Err(error) => failed("chain", error.to_string()),
    });
    let (skew, most) = (unix_now().abs_diff(head.timestamp), config.bidding.max_clock_skew.0.as_secs());
    let clock = format!("this machine and the chain are {skew} s apart");
    checks.push(if skew <= most {
        passed("clock", clock)
    } else {
        failed("clock", format!("{clock}; set the clock (NTP)"))
    });
    let Some(hot) = hot else { return };
    checks.push(match reader.gas_of(hot).await {
        Ok(wei) if wei >= U256::from(ENOUGH_GAS) => {
            passed("gas", format!("{} native tokens", format_decimal(wei, 18)))
        }
        Ok(wei) => failed(
            "gas",
            format!("{hot} holds {} native tokens; send it at least 0.01", format_decimal(wei, 18)),
        ),
        Err(error) => failed("gas", error.to_string()),
    });
    if let Err(error) = registration(config, reader, hot, seen, checks).await {
        checks.push(failed("registration", error.to_string()));
    }
}

async fn registration(
    config: &Config,
    reader: &Reader,
    hot: Address,
    seen: Option<&Seen>,
    checks: &mut Vec<Checked>,
) -> Result<()> {
    let profile = reader.profile_of(hot).await?;
    let me = ProviderId(profile.id);
    if me.0 == 0 {
        checks.push(failed(
            "registration",
            format!("no provider has the hot key {hot}; run `provider register`"),
        ));
        return Ok(());
    }
    checks.push(passed("registration", format!("provider {me}, trust tier {}", profile.trust_tier)));
    checks.push(match eligible::standing(&profile, Machine::Own) {
        None => passed("standing", "may bid"),
        Some(reason) => failed("standing", reason.message),
    });
    let (own, counted, wanted) = reader.stake_of(me, profile.trust_tier).await?;
    let stake = format!(
        "{} SPON counted ({} own), tier {} asks for {}",
        format_decimal(counted, 18),
        format_decimal(own, 18),
        profile.trust_tier,
        format_decimal(wanted, 18)
    );
    checks.push(if counted >= wanted {
        passed("stake", stake)
    } else {
        failed("stake", format!("{stake}; run `provider stake`"))
    });
    record(config, &reader.record(me).await?, seen, checks);
    payout(reader, me, checks).await?;
    let (current, next) = reader.pins(me).await?;
    checks.push(match ServerIdentity::load_or_create(&pins::key_path(&config.data_dir)) {
        Ok(identity) if [current, next].contains(&identity.pin().0) => {
            passed("pin", identity.pin().to_string())
        }
        Ok(identity) => failed(
            "pin",
            format!("{} is not the registered {}; the daemon announces it", identity.pin(), Pin(current)),
        ),
        Err(error) => failed("pin", error.to_string()),
    });
    Ok(())
}

/// The registry's record field by field against the configuration and what was found here.
fn record(config: &Config, registered: &ProviderRecord, seen: Option<&Seen>, checks: &mut Vec<Checked>) {
    let public = &config.public;
    checks.push(same("record: endpoint", &registered.endpoint, &public.endpoint));
    checks.push(same("record: region", Region(registered.region), public.region));
    let tokens = |mask: u64| {
        let ids: Vec<String> = (0..48).filter(|id| mask >> id & 1 != 0).map(|id| id.to_string()).collect();
        ids.join(", ")
    };
    checks.push(same("record: tokens", tokens(registered.tokens.to()), tokens(config.token_mask())));
    // What was not found cannot be compared; `capacity` says why.
    let Some(seen) = seen.filter(|seen| seen.unknown.is_none()) else { return };
    let tiers = Attributes::read(registered.attributes.to());
    checks.push(same("record: tiers", tiers, seen.offer.attributes(public)));
    let shown = |word: U256| match Resources::from_word(word) {
        Some(capacity) => format!("{capacity} ({})", capacity.storage_class),
        None => word.to_string(),
    };
    let lent = config.subnet.as_ref().map(|subnet| &subnet.lends);
    let here = shown(seen.offer.resources_with(lent).word());
    checks.push(same("record: capacity", shown(registered.capacity), here));
}

fn same(name: &'static str, registered: impl ToString, here: impl ToString) -> Checked {
    let (registered, here) = (registered.to_string(), here.to_string());
    if registered == here {
        return passed(name, registered);
    }
    failed(name, format!("registered: {registered}; here: {here}; run `provider set-record`"))
}

/// Where the money goes. The provider's own account keeps it until its owner sweeps it.
async fn payout(reader: &Reader, me: ProviderId, checks: &mut Vec<Checked>) -> Result<()> {
    let (payout, account) = reader.payout_of(me).await?;
    let message = if payout == account {
        format!(
            "{account}, the provider's own account: `iono provider sweep {me}` takes it out, `iono provider payout {me} ADDRESS` sends it elsewhere"
        )
    } else {
        payout.to_string()
    };
    checks.push(passed("payout", message));
    Ok(())
}
