//! What of a machine can be offered (SP-31), from what was found by itself and what its engine can hand out.

use std::time::Duration;

use anyhow::Result;
use iono_hardware::{Found, Hardware, HardwareError, Measured};
use iono_runtime::{Enforcement, Runtime, RuntimeError};
use iono_runtime_docker::gpu_support_of;

use crate::capacity::{Gpu, Offer, Withheld};
use crate::config::{Config, Engine};

/// The one vendor whose cards the engine can assign.
const ASSIGNABLE: &str = "nvidia";
/// An engine that takes longer to describe itself counts as not answering.
const PATIENCE: Duration = Duration::from_secs(10);

/// A machine as a command sees it.
pub struct Seen {
    /// The machine that the command runs on; `None` where a cluster runs the leases.
    pub this: Option<Found>,
    /// What of it is offered beyond the reserve.
    pub offer: Offer,
    /// Why it is not known whether the cards can be assigned, if so: the engine does not answer.
    pub unknown: Option<String>,
}

/// What the machine that the daemon runs on can offer, its cards included; nothing where a cluster runs the leases.
///
/// # Errors
/// When the machine cannot be measured.
pub fn of_this(config: &Config) -> Result<Offer, HardwareError> {
    match config.runtime.engine {
        Engine::Docker => Ok(offer(&Hardware::discover(&config.runtime.storage_path)?)),
        Engine::Kubernetes => {
            Ok(Offer { storage_class: config.runtime.kubernetes.storage_tier, ..Offer::default() })
        }
    }
}

/// Looks at the machine that the daemon runs on, measures it and, where it has cards, asks Docker whether it can assign
/// them. Takes seconds.
///
/// # Errors
/// When the machine cannot be measured.
pub async fn look(config: &Config) -> Result<Seen> {
    let storage = config.runtime.storage_path.clone();
    let look = move || Found::look(&storage, Measured::take(&storage));
    let this = tokio::task::spawn_blocking(look).await??;
    let all = Offer { compute: Some(this.compute()), ..offer(&this.hardware) };
    let support =
        if all.gpus.is_empty() { None } else { Some(in_time(gpu_support_of(&config.runtime.docker)).await) };
    let (support, unknown) = match support {
        Some(Err(error)) => (None, Some(error.to_string())),
        Some(Ok(support)) => (Some(support), None),
        None => (None, None),
    };
    let offer = Offer::of(assignable(all, support.as_ref()), &config.reserve, &config.offer);
    Ok(Seen { this: Some(this), offer, unknown })
}

/// Asks a running provider's engine whether it can assign cards.
///
/// # Errors
/// When it does not answer.
pub async fn gpu_support(runtime: &dyn Runtime) -> Result<Enforcement, RuntimeError> {
    in_time(runtime.gpu_support()).await
}

async fn in_time(
    answer: impl Future<Output = Result<Enforcement, RuntimeError>>,
) -> Result<Enforcement, RuntimeError> {
    let late = |_| Err(RuntimeError::Unreachable(format!("no answer within {} s", PATIENCE.as_secs())));
    tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(late)
}

/// All that the machine has, before the owner's reserve and whatever the engine can do with it.
#[must_use]
pub fn offer(found: &Hardware) -> Offer {
    let mebibytes = |bytes: u64| bytes / (1 << 20);
    let gpu = |gpu: &iono_hardware::Gpu| Gpu {
        id: gpu.id.clone(),
        model: gpu.model,
        vendor: gpu.vendor.clone(),
        node: None,
    };
    Offer {
        cpu: found.cpu.millicores.into(),
        memory: mebibytes(found.memory.usable),
        storage: mebibytes(found.space.total),
        storage_class: found.space.class,
        gpus: found.gpus.iter().map(gpu).collect(),
        ..Offer::default()
    }
}

/// The same without the cards that the engine cannot assign: a lease that won one could not start. `support` is `None`
/// while the engine has not answered.
#[must_use]
pub fn assignable(machine: Offer, support: Option<&Enforcement>) -> Offer {
    let why = |gpu: &Gpu| match support {
        _ if gpu.vendor != ASSIGNABLE => {
            Some(format!("the engine assigns NVIDIA's cards alone, this is one of {}", gpu.vendor))
        }
        Some(support) if support.enforced => None,
        Some(support) => Some(support.note.clone()),
        None => Some("the engine has not said whether it can assign it".to_owned()),
    };
    let mut offer = Offer { gpus: Vec::new(), withheld: Vec::new(), ..machine };
    for gpu in machine.gpus {
        match why(&gpu) {
            Some(why) => offer.withheld.push(Withheld { gpu, why }),
            None => offer.gpus.push(gpu),
        }
    }
    offer
}

#[cfg(test)]
mod tests {
    use iono_runtime::Limit;

    use super::*;

    fn card(vendor: &str, model: &str) -> Gpu {
        Gpu {
            id: format!("{vendor}-{model}"),
            model: model.parse().unwrap(),
            vendor: vendor.to_owned(),
            node: None,
        }
    }

    fn left(support: Option<bool>) -> (Vec<String>, Vec<String>) {
        let note = "install nvidia-container-toolkit".to_owned();
        let support = support.map(|enforced| Enforcement { limit: Limit::Gpu, enforced, note });
        let machine = Offer {
            cpu: 1,
            gpus: vec![card("nvidia", "h100"), card("amd", "mi300x"), card("nvidia", "h100")],
            ..Offer::default()
        };
        let offer = assignable(machine, support.as_ref());
        assert_eq!(offer.cpu, 1);
        let why = offer.withheld.iter().map(|withheld| withheld.to_string()).collect();
        (offer.gpus.into_iter().map(|gpu| gpu.id).collect(), why)
    }

    #[test]
    fn only_cards_that_the_engine_can_assign_are_offered() {
        let amd = "mi300x: the engine assigns NVIDIA's cards alone, this is one of amd";
        assert_eq!(
            left(Some(true)),
            (vec!["nvidia-h100".to_owned(), "nvidia-h100".to_owned()], vec![amd.to_owned()])
        );
        let (offered, why) = left(Some(false));
        assert!(offered.is_empty());
        assert_eq!(why[0], "h100: install nvidia-container-toolkit");
        assert_eq!(why[1], amd);
        let (offered, why) = left(None);
        assert!(offered.is_empty() && why[0].contains("has not said"), "{why:?}");
    }
}
