//! `profiles.compute`: CPU, memory, storage and GPUs of one replica.

use iono_primitives::StorageClass;
use iono_primitives::quantity::{Cpu, Size};

use crate::limits::MAX_GPUS;
use crate::node::{Key, Node, Place, Value};
use crate::rules;

use super::reader::{Fields, Reader, shown};

/// A compute profile.
pub(crate) struct ReadCompute {
    pub(crate) name: String,
    pub(crate) cpu: u32,
    pub(crate) memory: u32,
    pub(crate) storage: Vec<ReadStorage>,
    pub(crate) gpu: Option<ReadGpu>,
}

/// An entry of `storage`.
pub(crate) struct ReadStorage {
    pub(crate) name: Option<String>,
    pub(crate) place: Place,
    pub(crate) size: u32,
    pub(crate) persistent: bool,
    pub(crate) ram: bool,
    pub(crate) class: StorageClass,
}

/// `gpu` with at least one unit.
pub(crate) struct ReadGpu {
    pub(crate) place: Place,
    pub(crate) count: u8,
    pub(crate) vendor: String,
    /// As an order carries it; empty for any.
    pub(crate) model: String,
}

/// Reads one compute profile.
pub(crate) fn read(key: &Key, node: &Node, reader: &mut Reader) -> ReadCompute {
    let what = format!("compute profile `{}`", shown(&key.name));
    let outer = reader.fields(node, &what, &["resources"]);
    let mut compute =
        ReadCompute { name: key.name.clone(), cpu: 0, memory: 0, storage: Vec::new(), gpu: None };
    let Some(resources) = outer.require("resources", reader) else { return compute };
    let fields = reader.fields(resources, &what, &["cpu", "memory", "storage", "gpu"]);
    if let Some(node) = fields.require("cpu", reader) {
        let cpu = reader.fields(node, "cpu", &["units"]);
        let units = cpu.require("units", reader);
        compute.cpu = units.and_then(|node| reader.parsed::<Cpu>(node, "cpu")).map_or(0, |cpu| cpu.0);
    }
    if let Some(node) = fields.require("memory", reader) {
        let memory = reader.fields(node, "memory", &["size"]);
        compute.memory =
            memory.require("size", reader).and_then(|node| mebibytes(node, "memory", reader)).unwrap_or(0);
    }
    if let Some(node) = fields.require("storage", reader) {
        let items = match &node.value {
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        compute.storage = items.iter().filter_map(|item| storage(item, reader)).collect();
        names_are_unique(&compute.storage, reader);
    }
    compute.gpu = fields.get("gpu").and_then(|node| gpu(node, reader));
    compute
}

fn mebibytes(node: &Node, what: &str, reader: &mut Reader) -> Option<u32> {
    let size = reader.parsed::<Size>(node, what)?;
    match size.mebibytes() {
        Ok(mebibytes) if mebibytes <= iono_primitives::Group::FIELD_MAX => Some(mebibytes),
        _ => {
            reader.error(node.place, format!("{what}: more than the 16 TiB that an order can hold"));
            None
        }
    }
}

fn storage(node: &Node, reader: &mut Reader) -> Option<ReadStorage> {
    let fields = reader.fields(node, "storage", &["name", "size", "attributes"]);
    let name = fields.get("name").and_then(|node| {
        let name = reader.text(node, "name")?;
        reader.check(node.place, rules::label(name));
        Some(name.to_owned())
    });
    let size = fields.require("size", reader).and_then(|node| mebibytes(node, "storage", reader));
    let (mut persistent, mut class, mut ram) = (false, StorageClass::Any, false);
    if let Some(node) = fields.get("attributes") {
        let attributes = reader.fields(node, "storage attributes", &["persistent", "class"]);
        persistent =
            attributes.get("persistent").and_then(|node| reader.boolean(node, "persistent")).unwrap_or(false);
        if let Some(node) = attributes.get("class") {
            (class, ram) = storage_class(node, reader);
            if ram && persistent {
                reader.error(node.place, "storage: class `ram` cannot be persistent");
            }
        }
    }
    if persistent && name.is_none() {
        reader.error(
            fields.place,
            "storage: a persistent volume needs a `name` and a mount in `params.storage`",
        );
    }
    Some(ReadStorage { name, place: fields.place, size: size?, persistent, ram, class })
}

/// Akash's `beta1`–`beta3` are its names for the three classes of disks.
fn storage_class(node: &Node, reader: &mut Reader) -> (StorageClass, bool) {
    match reader.text(node, "class") {
        None | Some("default") => (StorageClass::Any, false),
        Some("ram") => (StorageClass::Any, true),
        Some("beta1" | "hdd") => (StorageClass::Hdd, false),
        Some("beta2" | "ssd") => (StorageClass::Ssd, false),
        Some("beta3" | "nvme") => (StorageClass::Nvme, false),
        Some(text) => {
            let text = shown(text);
            let known = "default, hdd (beta1), ssd (beta2), nvme (beta3), ram";
            reader.error(node.place, format!("class: `{text}` is none of {known}"));
            (StorageClass::Any, false)
        }
    }
}

fn names_are_unique(storage: &[ReadStorage], reader: &mut Reader) {
    for (at, entry) in storage.iter().enumerate() {
        if entry.name.is_some() && storage[..at].iter().any(|earlier| earlier.name == entry.name) {
            let name = entry.name.as_deref().unwrap_or_default();
            reader.error(entry.place, format!("storage: `{name}` stands twice"));
        }
    }
}

fn gpu(node: &Node, reader: &mut Reader) -> Option<ReadGpu> {
    let fields = reader.fields(node, "gpu", &["units", "attributes"]);
    let units = fields.require("units", reader)?;
    let count = reader.number(units, "gpu units", 0, u64::from(MAX_GPUS))?;
    let mut choices: Vec<(Place, String, String)> = Vec::new();
    if let Some(node) = fields.get("attributes") {
        let attributes = reader.fields(node, "gpu attributes", &["vendor"]);
        if let Some(vendors) = attributes.get("vendor") {
            for (vendor, models) in reader.entries(vendors, "gpu vendor") {
                if !matches!(vendor.name.as_str(), "nvidia" | "amd") {
                    let name = shown(&vendor.name);
                    reader
                        .error(vendor.place, format!("gpu: `{name}` is no vendor; known are nvidia and amd"));
                }
                let models = reader.list(models, "gpu models");
                if models.is_empty() {
                    choices.push((vendor.place, vendor.name.clone(), String::new()));
                }
                for model in models {
                    let fields = reader.fields(model, "gpu model", &["model", "ram", "interface"]);
                    if let Some(model) = gpu_model(&fields, reader) {
                        choices.push((fields.place, vendor.name.clone(), model));
                    }
                }
            }
        }
    }
    let count = u8::try_from(count).ok().filter(|count| *count > 0)?;
    if choices.len() > 1 {
        let first = if choices[0].2.is_empty() { "any model of the first vendor" } else { &choices[0].2 };
        reader.warn(choices[1].0, format!("an order names one GPU model; it asks for the first, {first}"));
    }
    let (vendor, model) =
        choices.into_iter().next().map(|(_, vendor, model)| (vendor, model)).unwrap_or_default();
    Some(ReadGpu { place: fields.place, count, vendor, model })
}

/// `a100`, with interface and memory as the order's model carries them: `a100-sxm-80gi`.
fn gpu_model(fields: &Fields<'_>, reader: &mut Reader) -> Option<String> {
    let node = fields.get("model");
    let mut model = node.and_then(|node| reader.text(node, "model")).unwrap_or("").to_ascii_lowercase();
    if model == "*" {
        model.clear();
    }
    let place = node.map_or(fields.place, |node| node.place);
    let interface = fields.get("interface").and_then(|node| {
        let text = reader.text(node, "interface")?.to_ascii_lowercase();
        match text.as_str() {
            "pcie" => Some("-pcie"),
            sxm if sxm.starts_with("sxm") => Some("-sxm"),
            _ => {
                reader.error(node.place, format!("interface: `{}` is neither pcie nor sxm", shown(&text)));
                None
            }
        }
    });
    let memory =
        fields.get("ram").and_then(|node| reader.parsed::<Size>(node, "ram")).map(|size| size.0 >> 30);
    if model.is_empty() {
        if interface.is_some() || memory.is_some() {
            reader.error(place, "gpu: `ram` and `interface` need a `model`");
        }
        return Some(model);
    }
    model.push_str(interface.unwrap_or(""));
    if let Some(memory) = memory {
        model.push_str(&format!("-{memory}gi"));
    }
    match model.parse::<iono_primitives::GpuModel>() {
        Ok(_) => Some(model),
        Err(why) => {
            reader.error(place, why.to_string());
            None
        }
    }
}
