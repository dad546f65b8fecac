//! `profiles`: lease time, tiers, and `placement` with its conditions and prices.

use iono_primitives::attributes::Compliance;
use iono_primitives::money::parse_decimal;
use iono_primitives::{Attributes, Rate, Region};

use crate::deployment::{Format, Mode};
use crate::limits::MAX_DURATION;
use crate::node::{Key, Node, Place};
use crate::price::{self, Quote};

use super::reader::{Fields, Reader, shown};

/// Settings that stand beside `compute` and `placement` in ICL.
pub(crate) struct ReadSettings {
    pub(crate) name: Option<String>,
    pub(crate) mode: Mode,
    pub(crate) duration: Option<u32>,
    pub(crate) trust_tier: u8,
}

/// A placement.
pub(crate) struct ReadPlacement {
    pub(crate) name: String,
    pub(crate) region: Region,
    pub(crate) attributes: Attributes,
    pub(crate) strict_region: bool,
    pub(crate) providers: Vec<String>,
    /// Prices by compute profile.
    pub(crate) pricing: Vec<(String, Quote)>,
}

/// Reads name, mode, duration and tiers.
pub(crate) fn settings(fields: &Fields<'_>, format: Format, reader: &mut Reader) -> ReadSettings {
    let name = fields.get("name").and_then(|node| reader.text(node, "name")).map(str::to_owned);
    let mode = fields.get("mode").and_then(|node| match reader.text(node, "mode")? {
        "provider" => Some(Mode::Provider),
        "fizz" => Some(Mode::Fizz),
        text => {
            let text = shown(text);
            reader.error(node.place, format!("mode: `{text}` is neither provider nor fizz"));
            None
        }
    });
    let duration = match format {
        Format::Icl10 => fields.require("duration", reader),
        Format::Akash20 | Format::Akash21 => fields.get("duration"),
    };
    let duration = duration.and_then(|node| duration_seconds(node, reader));
    let mut trust_tier = 0;
    for key in ["tiers", "tier"] {
        for item in fields.get(key).map(|node| reader.list(node, key)).unwrap_or_default() {
            // Several tiers stand for any of them, so the lowest one named is the condition.
            trust_tier = trust_tier.max(tier(item, reader).unwrap_or(0));
        }
    }
    ReadSettings { name, mode: mode.unwrap_or(Mode::Provider), duration, trust_tier }
}

/// `2h`, `90min`, `1d`, `1mon`.
fn duration_seconds(node: &Node, reader: &mut Reader) -> Option<u32> {
    let text = reader.text(node, "duration")?;
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit: Option<u64> = match unit {
        "s" | "sec" => Some(1),
        "m" | "min" => Some(60),
        "h" => Some(3_600),
        "d" => Some(86_400),
        "w" => Some(7 * 86_400),
        "mon" => Some(30 * 86_400),
        _ => None,
    };
    let seconds = unit.and_then(|unit| number.parse::<u64>().ok()?.checked_mul(unit));
    match seconds.and_then(|seconds| u32::try_from(seconds).ok()) {
        Some(seconds) if (1..=MAX_DURATION).contains(&seconds) => Some(seconds),
        _ => {
            let text = shown(text);
            let message =
                format!("duration: `{text}` is no time such as 30min, 2h, 7d or 1mon (180 days at most)");
            reader.error(node.place, message);
            None
        }
    }
}

/// `secured` is trust tiers 1–3, `community` 1–7; `secured-2` and `community-5` name one.
fn tier(node: &Node, reader: &mut Reader) -> Option<u8> {
    let text = reader.text(node, "tiers")?;
    let (class, number) = text.split_once('-').unwrap_or((text, ""));
    let number: Option<u8> = number.parse().ok();
    match (class, number, text.contains('-')) {
        ("secured", None, false) => Some(3),
        ("community", None, false) => Some(7),
        ("secured", Some(tier @ 1..=3), _) | ("community", Some(tier @ 4..=7), _) => Some(tier),
        _ => {
            let text = shown(text);
            reader.error(
                node.place,
                format!("tiers: `{text}` is none of secured, secured-1 to -3, community, community-4 to -7"),
            );
            None
        }
    }
}

/// Reads one placement.
pub(crate) fn read(key: &Key, node: &Node, format: Format, reader: &mut Reader) -> ReadPlacement {
    let what = format!("placement `{}`", shown(&key.name));
    let fields = reader.fields(node, &what, &["attributes", "signedBy", "pricing"]);
    let mut placement = ReadPlacement {
        name: key.name.clone(),
        region: Region::ANY,
        attributes: Attributes::default(),
        strict_region: false,
        providers: Vec::new(),
        pricing: Vec::new(),
    };
    if let Some(node) = fields.get("attributes") {
        attributes(node, &mut placement, reader);
        check_region(&placement, node.place, reader);
    }
    if let Some(node) = fields.get("signedBy") {
        signed_by(node, reader);
    }
    if let Some(node) = fields.require("pricing", reader) {
        for (key, node) in reader.entries(node, "pricing") {
            if let Some(quote) = quote(node, key.place, format, reader) {
                placement.pricing.push((key.name.clone(), quote));
            }
        }
    }
    placement
}

/// Auditors' signatures do not exist on this network yet, and ignoring the condition would be worse than refusing it.
fn signed_by(node: &Node, reader: &mut Reader) {
    let fields = reader.fields(node, "signedBy", &["anyOf", "allOf"]);
    for key in ["anyOf", "allOf"] {
        let asked = fields.get(key).map(|node| reader.list(node, key)).unwrap_or_default();
        if let (false, Some(place)) = (asked.is_empty(), fields.place_of(key)) {
            let message = "signedBy: auditors do not sign providers' attributes on this network yet, so nobody could bid; remove it and use `tiers` to ask for trusted providers";
            reader.error(place, message);
        }
    }
}

fn attributes(node: &Node, placement: &mut ReadPlacement, reader: &mut Reader) {
    for (key, node) in reader.entries(node, "attributes") {
        match key.name.as_str() {
            "region" => placement.region = reader.parsed(node, "region").unwrap_or(Region::ANY),
            "strict_region" => {
                placement.strict_region = reader.boolean(node, "strict_region").unwrap_or(false)
            }
            "desired_provider" => {
                placement.providers.extend(reader.text(node, "desired_provider").map(str::to_owned));
            }
            "desired_fizz" => reader.error(
                key.place,
                "attributes: one light node cannot be asked for; name its gateway in `desired_provider`",
            ),
            "compute" => placement.attributes.compute = reader.parsed(node, "compute"),
            "connectivity" => {
                placement.attributes.connectivity = reader.parsed(node, "connectivity");
            }
            "compliance" => {
                for item in reader.list(node, "compliance") {
                    placement.attributes.compliance.extend(reader.parsed::<Compliance>(item, "compliance"));
                }
            }
            "host" if reader.text(node, "host") == Some("akash") => {
                reader.warn(key.place, "`host: akash` has no meaning on this network and is left out");
            }
            other => {
                let known = "region, strict_region, desired_provider, compute, connectivity, compliance";
                let other = shown(other);
                let message =
                    format!("attributes: nobody vouches for `{other}` on this network; known here: {known}");
                reader.error(key.place, message);
            }
        }
    }
}

/// A condition on a region needs one.
fn check_region(placement: &ReadPlacement, place: Place, reader: &mut Reader) {
    if placement.strict_region && placement.region == Region::ANY {
        reader.error(place, "attributes: `strict_region` needs a `region`");
    }
}

fn quote(node: &Node, place: Place, format: Format, reader: &mut Reader) -> Option<Quote> {
    let fields = reader.fields(node, "pricing", &["denom", "token", "amount"]);
    let denom = fields.get("token").or_else(|| fields.get("denom"));
    if denom.is_none() {
        reader.error(fields.place, "pricing: `token` is missing");
    }
    let amount = fields.require("amount", reader)?;
    let text = reader.text(amount, "amount")?.to_owned();
    let denom_node = denom?;
    let denom = reader.text(denom_node, "token")?;
    let quote = match format {
        Format::Icl10 => match Rate::from_hourly(&text) {
            Ok(rate) => Quote::hourly(denom, rate),
            Err(why) => return refuse(amount.place, "amount", &why, reader),
        },
        Format::Akash20 | Format::Akash21 => match parse_decimal(&text, 18) {
            Ok(amount) => Quote::per_block(denom, &text, amount),
            Err(why) => return refuse(amount.place, "amount", &why, reader),
        },
    };
    match quote {
        Ok(quote) if quote.rate == Rate(0) => {
            reader.error(amount.place, "amount: a price of zero finds no provider");
            None
        }
        Ok(mut quote) => {
            quote.place = place;
            Some(quote)
        }
        Err(price::NoPrice::Token) => {
            let denom = shown(denom);
            reader.error(
                denom_node.place,
                format!("token: `{denom}` is no token such as SPON, uSPON, USDC, uakt or uact"),
            );
            None
        }
        Err(price::NoPrice::TooHigh) => {
            reader.error(amount.place, format!("amount: `{}` is more than an order can hold", shown(&text)));
            None
        }
    }
}

fn refuse(place: Place, what: &str, why: &dyn std::fmt::Display, reader: &mut Reader) -> Option<Quote> {
    reader.error(place, format!("{what}: {why}"));
    None
}
