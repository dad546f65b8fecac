//! Providers as the chain knows them: profile word, record, pins.

use alloy::primitives::{Address, B256, U256};
use futures::stream::{self, StreamExt, TryStreamExt};
use iono_bindings::{ProfileWord, ProviderRecord};
use iono_matching::eligibility::{self, Machine, Standing};
use iono_primitives::{Attributes, GpuModel, Region, Resources};
use serde_json::{Value, json};

use crate::chain::{Call, Chain};
use crate::error::{Failure, Kind, Result};

/// How many providers are read at a time.
const PARALLEL: usize = 16;
/// Most providers that are read: a bound on what a chain can make this tool do.
const MAX_PROVIDERS: u32 = 100_000;

/// One registered provider.
#[derive(Debug, Clone)]
pub(crate) struct Provider {
    pub(crate) id: u32,
    pub(crate) profile: ProfileWord,
    pub(crate) record: ProviderRecord,
    /// What it offers; `None` when its word is malformed.
    pub(crate) capacity: Option<Resources>,
}

impl Provider {
    /// Reads one.
    pub(crate) async fn load(chain: &Chain, id: u32) -> Result<Self> {
        let registry = chain.registry();
        let number = U256::from(id);
        let profile = registry.profile(number).call().await.or_call(&format!("cannot read provider {id}"))?;
        let profile = ProfileWord::read([profile]);
        if profile.id == 0 {
            return Err(Failure::new(Kind::NotFound, format!("there is no provider {id}"))
                .hint("`iono provider list` shows all"));
        }
        let record = registry.record(number).call().await.or_call(&format!("cannot read provider {id}"))?;
        let capacity = Resources::from_word(record.capacity);
        Ok(Self { id, profile, record, capacity })
    }

    /// Reads all, lowest id first.
    pub(crate) async fn all(chain: &Chain) -> Result<Vec<Self>> {
        let count = chain.registry().providerCount().call().await.or_call("cannot count the providers")?;
        let count = count.saturating_to::<u32>().min(MAX_PROVIDERS);
        stream::iter(1..=count).map(|id| Self::load(chain, id)).buffered(PARALLEL).try_collect().await
    }

    /// Where it is.
    pub(crate) fn region(&self) -> Region {
        Region(self.profile.region)
    }

    /// Whether it may bid at all, in one word.
    pub(crate) fn standing(&self) -> &'static str {
        match eligibility::standing(&self.profile, Machine::Own) {
            None => "open",
            Some(Standing::Inactive) => "inactive",
            Some(Standing::Understaked) => "understaked",
            Some(Standing::Barred) => "barred",
            Some(Standing::Draining) => "draining",
            Some(Standing::NoMachines | Standing::NoGateway) => "gateway",
        }
    }

    /// The model of its GPUs; [`GpuModel::ANY`] when it has none, several, or does not say.
    pub(crate) fn gpu_model(&self) -> GpuModel {
        self.capacity.map(|capacity| capacity.gpu_model).unwrap_or_default()
    }

    /// Whether its GPUs may be what is asked for. One with several models registers none of them: only it can say.
    pub(crate) fn may_have(&self, wanted: &GpuModel) -> bool {
        let model = self.gpu_model();
        self.gpus() > 0 && (model == GpuModel::ANY || model.satisfies(wanted))
    }

    /// Free and registered GPUs for people: `3/4 h100-sxm-80gi`.
    pub(crate) fn gpus_shown(&self) -> String {
        match self.gpus() {
            0 => "–".to_owned(),
            total => format!("{}/{total} {}", self.profile.free_gpus, self.gpus_called()),
        }
    }

    /// What its GPUs are called by what it registered.
    pub(crate) fn gpus_called(&self) -> String {
        let model = self.gpu_model();
        if model == GpuModel::ANY { "mixed".to_owned() } else { model.as_str().to_owned() }
    }

    /// GPUs that it offers.
    pub(crate) fn gpus(&self) -> u8 {
        self.capacity.map_or(0, |capacity| capacity.gpus)
    }

    /// What it vouches for and what its record was attested (SP-5).
    pub(crate) fn tiers(&self) -> Attributes {
        Attributes::read(self.profile.attributes)
    }

    /// The facts that the chain has, for `--json`.
    pub(crate) fn json(&self) -> Value {
        let profile = &self.profile;
        json!({
            "provider": self.id,
            "state": self.standing(),
            "region": self.region().to_string(),
            "endpoint": self.record.endpoint,
            "hot_key": self.record.hotKey,
            "trust_tier": profile.trust_tier,
            "rating": rating(profile.rating),
            "slashes": profile.slashes,
            "stake_spon": profile.stake,
            "free_units": profile.free_units,
            "total_units": profile.total_units,
            "free_gpus": profile.free_gpus,
            "gpus": self.gpus(),
            "gpu_model": self.gpu_model(),
            "capacity": self.capacity,
            "tiers": self.tiers(),
        })
    }
}

/// The average rating of a profile, or nothing when it is unrated.
pub(crate) fn rating(stored: u16) -> Option<f64> {
    stored.checked_sub(1).map(|hundredths| f64::from(hundredths) / 100.0)
}

/// A rating for people.
pub(crate) fn stars(stored: u16) -> String {
    rating(stored).map_or_else(|| "–".to_owned(), |average| format!("{average:.2}"))
}

/// The keys that a provider's lease API may have: the present and the next one.
pub(crate) async fn pins(chain: &Chain, provider: &Provider) -> Result<Vec<B256>> {
    let next = chain
        .registry()
        .nextPin(U256::from(provider.id))
        .call()
        .await
        .or_call(&format!("cannot read the pins of provider {}", provider.id))?;
    Ok([provider.record.pin, next].into_iter().filter(|pin| !pin.is_zero()).collect())
}

/// A provider by id, or by the address of its owner, account or hot key, as manifests may name it.
pub(crate) async fn find(chain: &Chain, name: &str) -> Result<u32> {
    if let Ok(id) = name.parse::<u32>() {
        return Ok(id);
    }
    let unknown = || Failure::new(Kind::NotFound, format!("`{name}` is no provider's number or address"));
    let address: Address = name.parse().map_err(|_| unknown())?;
    let registry = chain.registry();
    for provider in Provider::all(chain).await? {
        let number = U256::from(provider.id);
        if provider.record.hotKey == address
            || registry.ownerOf(number).call().await.or_call("cannot read a provider's owner")? == address
            || registry.accountOf(number).call().await.or_call("cannot read a provider's account")? == address
        {
            return Ok(provider.id);
        }
    }
    Err(unknown())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_gpus(gpus: u8, model: &str) -> Provider {
        let gpu_model = model.parse().unwrap();
        Provider {
            id: 1,
            profile: ProfileWord { free_gpus: 1, ..ProfileWord::default() },
            record: ProviderRecord {
                hotKey: Address::ZERO,
                region: 0,
                attributes: Default::default(),
                tokens: Default::default(),
                offersOwn: true,
                offersFizz: false,
                capacity: U256::ZERO,
                pin: B256::ZERO,
                endpoint: String::new(),
            },
            capacity: Some(Resources { gpus, gpu_model, ..Resources::default() }),
        }
    }

    #[test]
    fn gpus_are_found_by_the_name_that_people_use() {
        let model = |text: &str| text.parse::<GpuModel>().unwrap();
        let h100 = with_gpus(4, "h100-sxm-80gi");
        for wanted in ["h100", "h100-80gi", "h100-sxm", ""] {
            assert!(h100.may_have(&model(wanted)), "{wanted}");
        }
        for wanted in ["h100-pcie", "a100", "rtx4090"] {
            assert!(!h100.may_have(&model(wanted)), "{wanted}");
        }
        assert_eq!(h100.gpus_shown(), "1/4 h100-sxm-80gi");
        // Several models: none is registered, any may be there.
        let mixed = with_gpus(3, "");
        assert!(mixed.may_have(&model("h100")) && mixed.may_have(&model("rtx4090")));
        assert_eq!(mixed.gpus_shown(), "1/3 mixed");
        assert!(!with_gpus(0, "").may_have(&GpuModel::ANY));
        assert_eq!(with_gpus(0, "").gpus_shown(), "–");
    }

    #[test]
    fn ratings_are_shown_as_stars() {
        assert_eq!(stars(0), "–");
        assert_eq!(stars(1), "0.00");
        assert_eq!(stars(451), "4.50");
    }
}
