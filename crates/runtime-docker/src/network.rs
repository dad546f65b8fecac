//! One bridge network per lease. Containers get fixed addresses on it, so that the router's targets stay the same when
//! the engine restarts a container, and so that no question to the engine is needed to learn them.

use std::collections::HashMap;

use bollard::models::{Ipam, IpamConfig, Network, NetworkCreateRequest};
use bollard::query_parameters::ListNetworksOptions;
use iono_primitives::LeaseId;
use iono_runtime::RuntimeError;
use iono_telemetry::fail_point;

use crate::Pool;
use crate::engine::{or_gone, sort, status};
use crate::inner::Inner;

/// A lease's network: there, or planned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) subnet: Pool,
    pub(crate) exists: bool,
}

fn subnets(network: &Network) -> Vec<Pool> {
    let configs = network.ipam.iter().flat_map(|ipam| ipam.config.iter().flatten());
    configs.filter_map(|config| config.subnet.as_deref()?.parse().ok()).collect()
}

impl Inner {
    /// The lease's network, or a free subnet for one with room for `containers`.
    pub(crate) async fn plan_network(&self, lease: LeaseId, containers: u32) -> Result<Plan, RuntimeError> {
        if let Some(subnet) = self.subnets().get(&lease) {
            return Ok(Plan { subnet: *subnet, exists: true });
        }
        let networks =
            self.engine.docker()?.list_networks(None::<ListNetworksOptions>).await.map_err(sort)?;
        let name = self.names.network(lease);
        let own = networks.iter().find(|network| network.name.as_deref() == Some(&name));
        if let Some(subnet) = own.and_then(|network| subnets(network).first().copied()) {
            self.subnets().insert(lease, subnet);
            return Ok(Plan { subnet, exists: true });
        }
        let mut used: Vec<Pool> = networks.iter().flat_map(subnets).collect();
        // Those that are being made right now count as well.
        used.extend(self.planned().values().copied());
        let seed = self.network_seed(lease);
        let free = self.config.addresses.cut(containers, seed, &used).ok_or_else(|| {
            let text =
                format!("no free subnet for {containers} containers is left in {}", self.config.addresses);
            RuntimeError::Refused(text)
        })?;
        self.planned().insert(lease, free);
        Ok(Plan { subnet: free, exists: false })
    }

    /// Two providers on one engine begin to search at different places.
    fn network_seed(&self, lease: LeaseId) -> u64 {
        u64::from_str_radix(self.names.short(), 16).unwrap_or(0).wrapping_mul(257).wrapping_add(lease.0)
    }

    /// Makes the network. `false` when somebody else took the addresses meanwhile.
    pub(crate) async fn make_network(&self, lease: LeaseId, subnet: Pool) -> Result<bool, RuntimeError> {
        let request = NetworkCreateRequest {
            name: self.names.network(lease),
            driver: Some("bridge".to_owned()),
            enable_ipv6: Some(false),
            labels: Some(self.names.labels(lease, "network")),
            options: Some(HashMap::from([
                ("com.docker.network.bridge.name".to_owned(), self.names.bridge(lease)),
                // Between containers only the guard's rules let pass; the engine sees to it that packets meet them.
                ("com.docker.network.bridge.enable_icc".to_owned(), (!self.guard.is_ours()).to_string()),
            ])),
            ipam: Some(Ipam {
                config: Some(vec![IpamConfig {
                    subnet: Some(subnet.to_string()),
                    gateway: Some(subnet.gateway().to_string()),
                    ..Default::default()
                }]),
                ..Default::default()
            }),
            ..Default::default()
        };
        let made = self.engine.docker()?.create_network(request).await;
        self.planned().remove(&lease);
        match made {
            Ok(_) => {}
            // Made by an earlier run of ours that was killed before it could take note; its addresses are read again.
            Err(error) if status(&error) == Some(409) => return Ok(false),
            Err(error) if error.to_string().contains("overlaps") => return Ok(false),
            Err(error) => return Err(sort(error)),
        }
        fail_point("docker.after_network");
        self.subnets().insert(lease, subnet);
        Ok(true)
    }

    /// Removes the lease's network.
    pub(crate) async fn remove_network(&self, lease: LeaseId) -> Result<(), RuntimeError> {
        self.forget_network(lease);
        let docker = self.engine.docker()?;
        let name = self.names.network(lease);
        let mut result = docker.remove_network(&name).await;
        // The engine lets go of a removed container's address a moment after it said that it was removed.
        for _ in 0..50 {
            match &result {
                Err(error) if error.to_string().contains("has active endpoints") => {
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                    result = docker.remove_network(&name).await;
                }
                _ => break,
            }
        }
        or_gone(result)
    }

    /// Forgets what is known of the lease's network, so that the engine is asked again.
    pub(crate) fn forget_network(&self, lease: LeaseId) {
        self.subnets().remove(&lease);
        self.planned().remove(&lease);
    }
}
