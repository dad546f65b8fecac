//! Reads `deploy.yaml`: sections first, then services joined to their profiles and placements.

mod compute;
mod expose;
mod join;
mod placement;
mod reader;
mod service;

use crate::deployment::{Deployment, Format};
use crate::diagnostic::{Diagnostics, Severity};
use crate::limits::{MAX_ENDPOINTS, MAX_SERVICES};
use crate::node::{self, Node};
use crate::rules;

use compute::ReadCompute;
use placement::{ReadPlacement, ReadSettings};
use reader::{Fields, Reader, shown};
use service::ReadService;

/// Reads and checks a manifest.
///
/// # Errors
/// Everything that is wrong with it, each with line and column. YAML that cannot be read at all is one problem.
pub fn parse(text: &str) -> Result<Deployment, Diagnostics> {
    let root = node::read(text).map_err(|diagnostic| Diagnostics(vec![diagnostic]))?;
    let mut reader = Reader::default();
    let deployment = read_root(&root, &mut reader);
    let failed = reader.failed();
    let mut diagnostics = reader.diagnostics;
    diagnostics.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
    diagnostics.dedup();
    match deployment {
        Some(mut deployment) if !failed => {
            (deployment.unavailable, deployment.warnings) =
                diagnostics.into_iter().partition(|found| found.severity == Severity::Unavailable);
            Ok(deployment)
        }
        _ => {
            diagnostics.retain(|diagnostic| diagnostic.severity == Severity::Error);
            Err(Diagnostics(diagnostics))
        }
    }
}

/// The sections of a file.
struct Sections {
    format: Format,
    endpoints: Vec<String>,
    services: Vec<ReadService>,
    settings: ReadSettings,
    compute: Vec<ReadCompute>,
    placements: Vec<ReadPlacement>,
}

fn read_root(root: &Node, reader: &mut Reader) -> Option<Deployment> {
    if !matches!(root.value, node::Value::Map(_)) {
        reader.error(root.place, "a manifest is a map with version, services, profiles and deployment");
        return None;
    }
    let fields =
        reader.fields(root, "manifest", &["version", "endpoints", "services", "profiles", "deployment"]);
    let format = read_version(&fields, reader)?;
    let endpoints = read_endpoints(&fields, reader);
    let mut services = Vec::new();
    if let Some(node) = fields.require("services", reader) {
        for (key, node) in reader.entries(node, "services") {
            services.push(service::read(key, node, reader));
        }
        if services.is_empty() || services.len() > MAX_SERVICES {
            reader.error(
                node.place,
                format!("services: 1 to {MAX_SERVICES} are needed, here are {}", services.len()),
            );
        }
    }
    let profiles = fields.require("profiles", reader)?;
    let known: &[&str] = match format {
        Format::Icl10 => &["name", "mode", "duration", "tiers", "tier", "compute", "placement"],
        Format::Akash20 | Format::Akash21 => &["compute", "placement"],
    };
    let profiles = reader.fields(profiles, "profiles", known);
    let settings = placement::settings(&profiles, format, reader);
    let (mut computes, mut placements) = (Vec::new(), Vec::new());
    if let Some(node) = profiles.require("compute", reader) {
        for (key, node) in reader.entries(node, "compute") {
            computes.push(compute::read(key, node, reader));
        }
    }
    if let Some(node) = profiles.require("placement", reader) {
        for (key, node) in reader.entries(node, "placement") {
            placements.push(placement::read(key, node, format, reader));
        }
    }
    let deployment = fields.require("deployment", reader)?;
    let sections = Sections { format, endpoints, services, settings, compute: computes, placements };
    join::join(sections, deployment, reader)
}

fn read_version(fields: &Fields<'_>, reader: &mut Reader) -> Option<Format> {
    let node = fields.require("version", reader)?;
    match reader.text(node, "version")? {
        "1.0" => Some(Format::Icl10),
        "2.0" => Some(Format::Akash20),
        "2.1" => Some(Format::Akash21),
        text => {
            let text = shown(text);
            let message =
                format!("version: `{text}` is none of \"1.0\" (ICL), \"2.0\" and \"2.1\" (Akash SDL)");
            reader.error(node.place, message);
            None
        }
    }
}

fn read_endpoints(fields: &Fields<'_>, reader: &mut Reader) -> Vec<String> {
    let Some(node) = fields.get("endpoints") else { return Vec::new() };
    let mut endpoints = Vec::new();
    for (key, node) in reader.entries(node, "endpoints") {
        reader.check(key.place, rules::endpoint(&key.name));
        reader.unavailable(
            key.place,
            format!("endpoints: no provider leases IP addresses yet; remove `{}`", shown(&key.name)),
        );
        let fields = reader.fields(node, "endpoint", &["kind"]);
        if let Some(kind) = fields.require("kind", reader)
            && let Some(text) = reader.text(kind, "kind")
            && text != "ip"
        {
            reader.error(kind.place, format!("kind: `{}` is unknown; an endpoint is an `ip`", shown(text)));
        }
        endpoints.push(key.name.clone());
    }
    if endpoints.len() > MAX_ENDPOINTS {
        reader.error(node.place, format!("endpoints: at most {MAX_ENDPOINTS}"));
    }
    endpoints.sort();
    endpoints
}
