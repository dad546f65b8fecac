//! A provider runs no more than was ordered and priced.

use iono_primitives::{Group, Resources};

use crate::LeaseManifest;

/// The manifest asks for more than the order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{service}: the manifest asks for {asked} {dimension}, the order has {ordered}; order again or update the lease"
)]
pub struct ExceedsOrder {
    /// Service, or `lease` for what holds for all of them.
    pub service: String,
    /// What exceeds.
    pub dimension: &'static str,
    /// In the manifest.
    pub asked: String,
    /// In the order.
    pub ordered: String,
}

impl LeaseManifest {
    /// Checks the manifest against what was ordered: every service against its group (the first service against the
    /// first group and so on), ports and GPU model against the totals. Less than ordered is fine.
    ///
    /// # Errors
    /// [`ExceedsOrder`] names the first dimension that exceeds the order.
    pub fn check_fits(&self, ordered: &Resources, groups: &[Group]) -> Result<(), ExceedsOrder> {
        let exceeds = |service: &str, dimension, asked: &dyn ToString, ordered: &dyn ToString| {
            let (asked, ordered) = (asked.to_string(), ordered.to_string());
            Err(ExceedsOrder { service: service.to_owned(), dimension, asked, ordered })
        };
        if self.services.len() > groups.len() {
            return exceeds("lease", "services", &self.services.len(), &groups.len());
        }
        for (service, group) in self.services.iter().zip(groups) {
            let asked = service.group();
            let pairs = [
                ("replicas", u32::from(asked.count), u32::from(group.count)),
                ("millicores of CPU", asked.cpu, group.cpu),
                ("MiB of memory", asked.memory, group.memory),
                ("MiB of ephemeral storage", asked.ephemeral, group.ephemeral),
                ("MiB of persistent storage", asked.persistent, group.persistent),
                ("GPUs", u32::from(asked.gpus), u32::from(group.gpus)),
            ];
            for (dimension, asked, ordered) in pairs {
                if asked > ordered {
                    return exceeds(&service.name, dimension, &asked, &ordered);
                }
            }
            if asked.storage_class > group.storage_class {
                let (asked, ordered) =
                    (format!("{:?}", asked.storage_class), format!("{:?}", group.storage_class));
                return exceeds(&service.name, "as storage class", &asked, &ordered);
            }
            if let Some(gpu) = &service.resources.gpu
                && !gpu.model.is_empty()
                && gpu.model != ordered.gpu_model.as_str()
            {
                let model = ordered.gpu_model.as_str();
                let ordered = if model.is_empty() { "any" } else { model };
                return exceeds(&service.name, "as GPU model", &gpu.model, &ordered);
            }
        }
        let ports =
            self.services.iter().flat_map(|service| &service.expose).filter(|port| port.global).count();
        if ports > usize::from(ordered.endpoints) {
            return exceeds("lease", "global ports", &ports, &ordered.endpoints);
        }
        Ok(())
    }
}
