//! `deployment`: joins every service to its compute profile, placement and price.

use iono_primitives::Rate;

use crate::deployment::{Deployment, DeploymentService};
use crate::lease::{Expose, LeaseManifest, Service, ServiceGpu, ServiceResources, Volume, VolumeKind};
use crate::limits::MAX_REPLICAS;
use crate::node::{Node, Place};
use crate::price::Price;
use crate::rules;

use super::Sections;
use super::compute::{ReadCompute, ReadStorage};
use super::placement::ReadPlacement;
use super::reader::{Reader, shown};
use super::service::{Mount, ReadService};

/// MiB of a container's writable layer where the file asks for no ephemeral storage.
const DEFAULT_EPHEMERAL: u32 = 1_024;

/// A service's line in `deployment`.
struct Deployed<'s> {
    service: &'s ReadService,
    compute: &'s ReadCompute,
    placement: &'s ReadPlacement,
    count: u16,
    place: Place,
}

pub(super) fn join(sections: Sections, node: &Node, reader: &mut Reader) -> Option<Deployment> {
    let deployed = read_deployment(&sections, node, reader);
    for service in &sections.services {
        check_names(service, &sections, reader);
        if !deployed.iter().any(|entry| entry.service.name == service.name) && !reader.failed() {
            reader.error(
                service.place,
                format!("service `{}` stands in no line of `deployment`", service.name),
            );
        }
    }
    let placement = one_placement(&deployed, reader);
    one_gpu_model(&deployed, reader);
    let price = total_price(&deployed, reader);
    let mut services: Vec<DeploymentService> = deployed
        .iter()
        .map(|entry| DeploymentService {
            service: build(entry, reader),
            secrets: entry.service.secrets.clone(),
        })
        .collect();
    services.sort_by(|a, b| a.service.name.cmp(&b.service.name));
    if reader.failed() {
        return None;
    }
    let (placement, price) = (placement?, price?);
    let deployment = Deployment {
        format: sections.format,
        name: sections.settings.name.clone(),
        mode: sections.settings.mode,
        duration: sections.settings.duration,
        region: placement.region,
        strict_region: placement.strict_region,
        trust_tier: sections.settings.trust_tier,
        attributes: placement.attributes.clone(),
        providers: placement.providers.clone(),
        endpoints: sections.endpoints.clone(),
        services,
        price,
        unavailable: Vec::new(),
        warnings: Vec::new(),
    };
    check_totals(&deployment, node.place, reader);
    Some(deployment)
}

fn read_deployment<'s>(sections: &'s Sections, node: &Node, reader: &mut Reader) -> Vec<Deployed<'s>> {
    let mut deployed = Vec::new();
    for (key, node) in reader.entries(node, "deployment") {
        let service = sections.services.iter().find(|service| service.name == key.name);
        if service.is_none() {
            reader.error(key.place, format!("deployment: there is no service `{}`", shown(&key.name)));
        }
        let placements = reader.entries(node, "deployment");
        if placements.len() != 1 {
            let name = shown(&key.name);
            let message = format!("deployment: `{name}` needs one placement; an order goes to one provider");
            reader.error(key.place, message);
        }
        for (key, node) in placements.iter().take(1) {
            let placement = sections.placements.iter().find(|placement| placement.name == key.name);
            if placement.is_none() {
                reader.error(
                    key.place,
                    format!("deployment: there is no placement `{}` in profiles", shown(&key.name)),
                );
            }
            let fields = reader.fields(node, "deployment", &["profile", "count"]);
            let profile = fields.require("profile", reader);
            let compute = profile.and_then(|node| {
                let name = reader.text(node, "profile")?;
                let found = sections.compute.iter().find(|compute| compute.name == name);
                if found.is_none() {
                    reader.error(
                        node.place,
                        format!("deployment: there is no compute profile `{}`", shown(name)),
                    );
                }
                found
            });
            let count = fields
                .require("count", reader)
                .and_then(|node| reader.number(node, "count", 1, u64::from(MAX_REPLICAS)))
                .and_then(|count| u16::try_from(count).ok());
            if let (Some(service), Some(placement), Some(compute), Some(count)) =
                (service, placement, compute, count)
            {
                deployed.push(Deployed { service, compute, placement, count, place: fields.place });
            }
        }
    }
    deployed
}

/// Names in ports must be those of services and endpoints.
fn check_names(service: &ReadService, sections: &Sections, reader: &mut Reader) {
    for port in &service.expose {
        for (place, name) in &port.to {
            if !sections.services.iter().any(|other| other.name == *name) {
                reader.error(*place, format!("to: there is no service `{}`", shown(name)));
            }
        }
        if let Some((place, name)) = &port.ip
            && !sections.endpoints.contains(name)
        {
            reader.error(*place, format!("to: there is no endpoint `{}`", shown(name)));
        }
    }
}

fn one_placement<'s>(deployed: &[Deployed<'s>], reader: &mut Reader) -> Option<&'s ReadPlacement> {
    let first = deployed.first()?.placement;
    for entry in deployed {
        if entry.placement.name != first.name {
            let (a, b) = (&first.name, &entry.placement.name);
            let message =
                format!("services stand in the placements `{a}` and `{b}`; an order goes to one provider");
            reader.error(entry.place, message);
        }
    }
    Some(first)
}

fn one_gpu_model(deployed: &[Deployed<'_>], reader: &mut Reader) {
    let gpus: Vec<_> = deployed.iter().filter_map(|entry| entry.compute.gpu.as_ref()).collect();
    for gpu in gpus.iter().skip(1) {
        let (a, b) = (&gpus[0].model, &gpu.model);
        if a != b {
            let message =
                format!("gpu: services ask for `{a}` and `{b}`; an order carries one model for all");
            reader.error(gpu.place, message);
        }
    }
}

/// Σ price of a replica × replicas, all in one token.
fn total_price(deployed: &[Deployed<'_>], reader: &mut Reader) -> Option<Price> {
    let mut total: Option<Price> = None;
    for entry in deployed {
        let (placement, profile) = (&entry.placement.name, &entry.compute.name);
        let Some((_, quote)) = entry.placement.pricing.iter().find(|(name, _)| name == profile) else {
            if !reader.failed() {
                reader.error(
                    entry.place,
                    format!("placement `{placement}` has no price for the profile `{profile}`"),
                );
            }
            continue;
        };
        let share = quote.rate.0.saturating_mul(u128::from(entry.count));
        let total = total.get_or_insert_with(|| Price {
            denomination: quote.denomination.clone(),
            rate: Rate(0),
            conversion: String::new(),
        });
        if total.denomination != quote.denomination {
            let (a, b) = (&total.denomination, &quote.denomination);
            reader
                .error(quote.place, format!("pricing: one order is paid in one token, here are {a} and {b}"));
        }
        total.rate = Rate(total.rate.0.saturating_add(share));
        if total.rate > Rate::MAX {
            reader.error(quote.place, "pricing: the sum over all replicas is more than an order can hold");
            total.rate = Rate::MAX;
        }
        if !quote.conversion.is_empty() {
            let times = if entry.count > 1 { format!("{} × ", entry.count) } else { String::new() };
            let line = format!("{}: {times}{}", entry.service.name, quote.conversion);
            total.conversion =
                [total.conversion.as_str(), &line].join(if total.conversion.is_empty() { "" } else { "; " });
        }
    }
    total
}

fn build(entry: &Deployed<'_>, reader: &mut Reader) -> Service {
    let Deployed { service, compute, .. } = entry;
    let (volumes, ephemeral) = volumes(service, compute, entry.place, reader);
    if let Err(why) = rules::check_shared_memory(&volumes, compute.memory) {
        reader.error(entry.place, why);
    }
    let expose: Vec<Expose> = service.expose.iter().map(|port| port.expose.clone()).collect();
    Service {
        name: service.name.clone(),
        image: service.image.clone(),
        command: service.command.clone(),
        args: service.args.clone(),
        env: service.env.clone(),
        files: Vec::new(),
        credentials: service.credentials.clone(),
        pull_policy: service.pull_policy,
        count: entry.count,
        resources: ServiceResources {
            cpu: compute.cpu,
            memory: compute.memory,
            ephemeral,
            gpu: compute.gpu.as_ref().map(|gpu| ServiceGpu {
                count: gpu.count,
                vendor: gpu.vendor.clone(),
                model: gpu.model.clone(),
            }),
        },
        expose,
        volumes,
    }
}

/// Mounted entries become volumes; what is neither mounted nor persistent is the container's own layer.
fn volumes(
    service: &ReadService,
    compute: &ReadCompute,
    place: Place,
    reader: &mut Reader,
) -> (Vec<Volume>, u32) {
    for mount in &service.mounts {
        if !compute.storage.iter().any(|entry| entry.name.as_ref() == Some(&mount.name)) {
            let (name, profile) = (&mount.name, &compute.name);
            let message = format!("params: there is no storage `{name}` in the compute profile `{profile}`");
            reader.error(mount.place, message);
        }
    }
    let (mut volumes, mut layer) = (Vec::new(), 0_u32);
    for entry in &compute.storage {
        let mount = service.mounts.iter().find(|mount| entry.name.as_ref() == Some(&mount.name));
        match (mount_path(entry, mount, service, place, reader), &entry.name) {
            (Some(path), Some(name)) => volumes.push(Volume {
                name: name.clone(),
                mount: path,
                size: entry.size,
                class: entry.class,
                kind: match (entry.ram, entry.persistent) {
                    (true, _) => VolumeKind::Ram,
                    (false, true) => VolumeKind::Persistent,
                    (false, false) => VolumeKind::Ephemeral,
                },
                read_only: mount.is_some_and(|mount| mount.read_only),
            }),
            _ => layer = layer.saturating_add(entry.size),
        }
    }
    let paths: Vec<&str> = volumes.iter().map(|volume| volume.mount.as_str()).collect();
    if let Some(twice) = (1..paths.len()).find(|at| paths[..*at].contains(&paths[*at])) {
        reader.error(service.place, format!("params: `{}` is mounted twice", paths[twice]));
    }
    (volumes, if layer == 0 { DEFAULT_EPHEMERAL } else { layer })
}

/// Where an entry is mounted; `None` for the container's own layer.
fn mount_path(
    entry: &ReadStorage,
    mount: Option<&Mount>,
    service: &ReadService,
    place: Place,
    reader: &mut Reader,
) -> Option<String> {
    if let Some(path) = mount.and_then(|mount| mount.path.clone()) {
        return Some(path);
    }
    let name = entry.name.as_deref().unwrap_or_default();
    if entry.ram {
        return Some("/dev/shm".into());
    }
    if entry.persistent {
        let at = mount.map_or(place, |mount| mount.place);
        let message = format!(
            "service `{}` mounts the persistent storage `{name}` nowhere; add `mount` in `params.storage.{name}`",
            service.name
        );
        reader.error(at, message);
    }
    None
}

/// What fits each service may still not fit an order.
fn check_totals(deployment: &Deployment, place: Place, reader: &mut Reader) {
    if let Err(why) = deployment.resources() {
        reader.error(place, why);
    }
    let manifest = LeaseManifest {
        endpoints: deployment.endpoints.clone(),
        services: deployment.services.iter().map(|service| service.service.clone()).collect(),
        version: LeaseManifest::VERSION,
    };
    if let Err(why) = rules::check(&manifest) {
        reader.error(place, why);
    }
    let size = manifest.canonical().len();
    if size > crate::MAX_MANIFEST_BYTES {
        reader.error(
            place,
            format!("the manifest has {size} bytes, the most is {}", crate::MAX_MANIFEST_BYTES),
        );
    }
}
