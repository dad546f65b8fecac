//! `expose`: ports of a service, who may reach them and how.

use crate::lease::{Expose, HttpOptions, Protocol};
use crate::node::{Node, Place};
use crate::rules;

use super::reader::{Fields, Reader, shown};

/// A port and the places of the names in it, which are checked when all services are known.
pub(crate) struct ReadExpose {
    pub(crate) expose: Expose,
    pub(crate) place: Place,
    pub(crate) to: Vec<(Place, String)>,
    pub(crate) ip: Option<(Place, String)>,
}

/// Reads the ports of a service.
pub(crate) fn read(node: &Node, reader: &mut Reader) -> Vec<ReadExpose> {
    let mut ports = Vec::new();
    for item in reader.list(node, "expose") {
        let known = [
            "port",
            "as",
            "proto",
            "to",
            "accept",
            "http_options",
            "use_public_port",
            "port_range",
            "port_range_as",
        ];
        let fields = reader.fields(item, "expose", &known);
        for (port, external) in numbers(&fields, reader) {
            ports.push(one(&fields, port, external, reader));
        }
    }
    let exposes: Vec<Expose> = ports.iter().map(|port| port.expose.clone()).collect();
    if let Some((at, why)) = rules::clash(&exposes) {
        reader.error(ports[at].place, why);
    }
    ports
}

/// The pairs of container port and outer port that an entry stands for.
fn numbers(fields: &Fields<'_>, reader: &mut Reader) -> Vec<(u16, u16)> {
    let port = |key: &str, reader: &mut Reader| {
        let number = reader.number(fields.get(key)?, key, 1, 65_535)?;
        u16::try_from(number).ok()
    };
    if let Some(range) = fields.get("port_range") {
        if let Some(place) = fields.place_of("port").or(fields.place_of("as")) {
            reader.error(place, "expose: `port_range` replaces `port` and `as`");
        }
        let inner = read_range(range, "port_range", reader);
        let outer = match fields.get("port_range_as") {
            Some(node) => read_range(node, "port_range_as", reader),
            None => inner.clone(),
        };
        let (Some(inner), Some(outer)) = (inner, outer) else { return Vec::new() };
        if inner.len() != outer.len() {
            reader.error(fields.place, "expose: `port_range` and `port_range_as` differ in length");
            return Vec::new();
        }
        return inner.zip(outer).collect();
    }
    if let Some(place) = fields.place_of("port_range_as") {
        reader.error(place, "expose: `port_range_as` needs a `port_range`");
    }
    if fields.require("port", reader).is_none() {
        return Vec::new();
    }
    let Some(inner) = port("port", reader) else { return Vec::new() };
    let outer = if fields.get("as").is_some() { port("as", reader) } else { Some(inner) };
    outer.map(|outer| (inner, outer)).into_iter().collect()
}

/// `8443-8445`.
fn read_range(node: &Node, what: &str, reader: &mut Reader) -> Option<std::ops::RangeInclusive<u16>> {
    let text = reader.text(node, what)?;
    let ends = text.split_once('-').and_then(|(first, last)| {
        let (first, last): (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        (first > 0 && first <= last && usize::from(last - first) < crate::MAX_PORTS).then_some(first..=last)
    });
    if ends.is_none() {
        let most = crate::MAX_PORTS;
        let text = shown(text);
        reader.error(
            node.place,
            format!("{what}: `{text}` is no range such as 8443-8445 of at most {most} ports"),
        );
    }
    ends
}

fn one(fields: &Fields<'_>, port: u16, external: u16, reader: &mut Reader) -> ReadExpose {
    let (mut global, mut to, mut ip) = (false, Vec::new(), None);
    if let Some(node) = fields.get("to") {
        for item in reader.list(node, "to") {
            let target = reader.fields(item, "to", &["service", "global", "ip"]);
            let everywhere = target.get("global").and_then(|node| reader.boolean(node, "global"));
            global |= everywhere.unwrap_or(false);
            if let Some((node, name)) =
                target.get("service").and_then(|node| Some((node, reader.text(node, "service")?)))
                && !to.iter().any(|(_, known)| known == name)
            {
                to.push((node.place, name.to_owned()));
            }
            if let Some((node, name)) =
                target.get("ip").and_then(|node| Some((node, reader.text(node, "ip")?)))
            {
                if everywhere != Some(true) {
                    reader.error(node.place, "to: `ip` needs `global: true`");
                }
                let message = "to: no provider leases IP addresses yet; without `ip` the port is reached at the provider's own address";
                reader.unavailable(node.place, message);
                ip = Some((node.place, name.to_owned()));
            }
        }
    }
    let proto = fields.get("proto").and_then(|node| Some((node, reader.text(node, "proto")?)));
    let web = global && external == 80 && ip.is_none();
    let protocol = match proto.map(|(node, text)| (node, text.to_ascii_lowercase())) {
        None => {
            if web {
                Protocol::Http
            } else {
                Protocol::Tcp
            }
        }
        Some((_, text)) if text == "tcp" => {
            if web {
                Protocol::Http
            } else {
                Protocol::Tcp
            }
        }
        Some((_, text)) if text == "udp" => Protocol::Udp,
        Some((node, text)) if text == "http" => {
            if !global {
                reader.error(
                    node.place,
                    "proto: `http` needs `to: [global: true]`; use `tcp` within the lease",
                );
            }
            Protocol::Http
        }
        Some((node, text)) => {
            reader.error(node.place, format!("proto: `{}` is none of tcp, udp, http", shown(&text)));
            Protocol::Tcp
        }
    };
    let accept = accept(fields, protocol, reader);
    let options = fields.get("http_options").map(|node| (node.place, http_options(node, reader)));
    if let (Some((place, _)), true) = (&options, protocol != Protocol::Http) {
        reader.warn(
            *place,
            "http_options are for HTTP ports (`as: 80`, global) and have no effect on this one",
        );
    }
    let http_options = match options {
        Some((_, options)) if protocol == Protocol::Http => options,
        _ => HttpOptions::default(),
    };
    let public_port = fields.get("use_public_port").and_then(|node| reader.boolean(node, "use_public_port"));
    if let (Some(true), true, true) = (public_port, global, protocol != Protocol::Http) {
        let place = fields.place_of("use_public_port").unwrap_or(fields.place);
        let message = "use_public_port: providers give public ports from their own range alone; leave it out, `iono status` shows the number";
        reader.unavailable(place, message);
    }
    let expose = Expose {
        port,
        external,
        protocol,
        global,
        public_port: public_port.unwrap_or(false),
        ip: ip.as_ref().map(|(_, name)| name.clone()),
        accept,
        to: to.iter().map(|(_, name)| name.clone()).collect(),
        http_options,
    };
    ReadExpose { expose, place: fields.place, to, ip }
}

fn accept(fields: &Fields<'_>, protocol: Protocol, reader: &mut Reader) -> Vec<String> {
    let Some(node) = fields.get("accept") else { return Vec::new() };
    let mut hosts = Vec::new();
    for item in reader.list(node, "accept") {
        let Some(name) = reader.text(item, "accept") else { continue };
        let name = name.to_ascii_lowercase();
        reader.check(item.place, rules::host(&name));
        hosts.push(name);
    }
    if hosts.len() > crate::MAX_HOSTS {
        reader.error(node.place, format!("accept: at most {} host names", crate::MAX_HOSTS));
    }
    if protocol != Protocol::Http && !hosts.is_empty() {
        reader.warn(node.place, "accept is for HTTP ports (`as: 80`, global) and has no effect on this one");
        hosts.clear();
    }
    hosts
}

fn http_options(node: &Node, reader: &mut Reader) -> HttpOptions {
    let known = ["max_body_size", "read_timeout", "send_timeout", "next_tries", "next_timeout", "next_cases"];
    let fields = reader.fields(node, "http_options", &known);
    let mut options = HttpOptions::default();
    if let Some(size) =
        fields.get("max_body_size").and_then(|node| reader.number(node, "max_body_size", 0, 1 << 40))
    {
        options.max_body_size = size;
    }
    for (key, field) in [
        ("read_timeout", &mut options.read_timeout),
        ("send_timeout", &mut options.send_timeout),
        ("next_tries", &mut options.next_tries),
        ("next_timeout", &mut options.next_timeout),
    ] {
        let value = fields.get(key).and_then(|node| reader.number(node, key, 0, u64::from(u32::MAX)));
        if let Some(value) = value.and_then(|value| u32::try_from(value).ok()) {
            *field = value;
        }
    }
    if let Some(node) = fields.get("next_cases") {
        options.next_cases = reader.texts(node, "next_cases");
    }
    reader.check(node.place, rules::http_options(&options));
    options
}
