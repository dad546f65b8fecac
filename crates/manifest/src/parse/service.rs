//! `services`: image, command, environment, ports, mounts, secrets of each.

use std::collections::BTreeMap;

use crate::deployment::{SecretSource, SecretTarget};
use crate::lease::{Credentials, PullPolicy};
use crate::limits::{MAX_ARGS, MAX_ENV, MAX_PORTS, MAX_SECRETS};
use crate::node::{Key, Node, Place};
use crate::{Secret, rules};

use super::expose::{self, ReadExpose};
use super::reader::{Fields, Reader, shown};

/// A service as its section says, before profile and placement are joined to it.
pub(crate) struct ReadService {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) image: String,
    pub(crate) command: Vec<String>,
    pub(crate) args: Vec<String>,
    pub(crate) env: BTreeMap<String, Secret>,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) pull_policy: PullPolicy,
    pub(crate) expose: Vec<ReadExpose>,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) secrets: Vec<SecretSource>,
}

/// `params.storage.<name>`.
pub(crate) struct Mount {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) path: Option<String>,
    pub(crate) read_only: bool,
}

const KNOWN: [&str; 12] = [
    "image",
    "command",
    "args",
    "env",
    "expose",
    "params",
    "credentials",
    "pull_policy",
    "secrets",
    "depends_on",
    "depends-on",
    "dependencies",
];

/// Reads one service.
pub(crate) fn read(key: &Key, node: &Node, reader: &mut Reader) -> ReadService {
    reader.check(key.place, rules::label(&key.name));
    let fields = reader.fields(node, &format!("service `{}`", shown(&key.name)), &KNOWN);
    let image = image(&fields, reader);
    for order in ["depends_on", "depends-on", "dependencies"] {
        if let Some(place) = fields.place_of(order) {
            reader.warn(
                place,
                format!("`{order}` is read but not used: services start together, let them retry"),
            );
        }
    }
    let mut env = fields.get("env").map(|node| env(node, reader)).unwrap_or_default();
    let mut secrets = Vec::new();
    if let Some(node) = fields.get("secrets") {
        secrets = read_secrets(node, reader);
    }
    let mut credentials = None;
    if let Some(node) = fields.get("credentials") {
        credentials = read_credentials(node, &mut secrets, reader);
    }
    for secret in &secrets {
        for target in &secret.targets {
            if let SecretTarget::Env(name) = target
                && env.remove(name).is_some()
            {
                let place = Place { line: secret.line, column: secret.column };
                reader.error(place, format!("secrets: `{name}` is set in `env` too; keep one"));
            }
        }
    }
    let expose = fields.get("expose").map(|node| expose::read(node, reader)).unwrap_or_default();
    if expose.len() > MAX_PORTS {
        reader.error(key.place, format!("at most {MAX_PORTS} ports"));
    }
    let pull_policy =
        fields.get("pull_policy").and_then(|node| pull_policy(node, reader)).unwrap_or_default();
    ReadService {
        name: key.name.clone(),
        place: key.place,
        image,
        command: words(&fields, "command", reader),
        args: words(&fields, "args", reader),
        env,
        credentials,
        pull_policy,
        expose,
        mounts: fields.get("params").map(|node| params(node, reader)).unwrap_or_default(),
        secrets,
    }
}

fn image(fields: &Fields<'_>, reader: &mut Reader) -> String {
    let Some(node) = fields.require("image", reader) else { return String::new() };
    let Some(image) = reader.text(node, "image") else { return String::new() };
    reader.check(node.place, rules::image(image));
    image.to_owned()
}

fn words(fields: &Fields<'_>, key: &str, reader: &mut Reader) -> Vec<String> {
    let Some(node) = fields.get(key) else { return Vec::new() };
    let words = reader.texts(node, key);
    if words.len() > MAX_ARGS {
        reader.error(node.place, format!("{key}: at most {MAX_ARGS} words"));
    }
    for word in &words {
        reader.check(node.place, rules::text(word));
    }
    words
}

fn env(node: &Node, reader: &mut Reader) -> BTreeMap<String, Secret> {
    let mut env = BTreeMap::new();
    let items = reader.list(node, "env");
    if items.len() > MAX_ENV {
        reader.error(node.place, format!("env: at most {MAX_ENV} variables"));
    }
    for item in items {
        let Some(entry) = reader.text(item, "env") else { continue };
        let Some((name, value)) = entry.split_once('=') else {
            let name = shown(entry);
            reader.error(item.place, format!("env: `{name}` has no value; write NAME=value"));
            continue;
        };
        reader.check(item.place, rules::env_name(name));
        reader.check(item.place, rules::text(value));
        if env.insert(name.to_owned(), Secret::new(value)).is_some() {
            reader.error(item.place, format!("env: `{name}` is set twice"));
        }
    }
    env
}

fn pull_policy(node: &Node, reader: &mut Reader) -> Option<PullPolicy> {
    match reader.text(node, "pull_policy")? {
        text if text.eq_ignore_ascii_case("always") => Some(PullPolicy::Always),
        text if text.eq_ignore_ascii_case("ifnotpresent") => Some(PullPolicy::IfNotPresent),
        text if text.eq_ignore_ascii_case("never") => Some(PullPolicy::Never),
        text => {
            let text = shown(text);
            reader.error(node.place, format!("pull_policy: `{text}` is none of Always, IfNotPresent, Never"));
            None
        }
    }
}

fn read_credentials(
    node: &Node,
    secrets: &mut Vec<SecretSource>,
    reader: &mut Reader,
) -> Option<Credentials> {
    let known = ["host", "registry", "username", "password", "password_file", "email"];
    let fields = reader.fields(node, "credentials", &known);
    let text = |key: &str, reader: &mut Reader| {
        fields.get(key).and_then(|node| reader.text(node, key)).map(str::to_owned)
    };
    let host = text("host", reader).or_else(|| text("registry", reader));
    let username = text("username", reader);
    let (password, file) = (text("password", reader), text("password_file", reader));
    let place = fields.place;
    match (&password, file) {
        (None, Some(file)) => secrets.push(SecretSource {
            name: "password_file".into(),
            file,
            targets: vec![SecretTarget::RegistryPassword],
            line: place.line,
            column: place.column,
        }),
        (Some(_), None) => {}
        _ => reader.error(place, "credentials: give either `password` or `password_file`"),
    }
    let (Some(host), Some(username)) = (host, username) else {
        reader.error(place, "credentials: `host` and `username` are needed");
        return None;
    };
    reader.check(place, rules::credentials_host(&host));
    let password = Secret::new(password.unwrap_or_default());
    Some(Credentials { host, username: Secret::new(username), password })
}

fn read_secrets(node: &Node, reader: &mut Reader) -> Vec<SecretSource> {
    let mut secrets: Vec<SecretSource> = Vec::new();
    for item in reader.list(node, "secrets") {
        let fields = reader.fields(item, "secrets", &["name", "file", "env", "mount"]);
        let (name, file) = (fields.require("name", reader), fields.require("file", reader));
        let name = name.and_then(|node| Some((node.place, reader.text(node, "name")?.to_owned())));
        let file = file.and_then(|node| reader.text(node, "file").map(str::to_owned));
        let mut targets = Vec::new();
        if let Some(node) = fields.get("env")
            && let Some(env) = reader.text(node, "env")
        {
            reader.check(node.place, rules::env_name(env));
            targets.push(SecretTarget::Env(env.to_owned()));
        }
        if let Some(node) = fields.get("mount")
            && let Some(path) = reader.text(node, "mount")
        {
            reader.check(node.place, rules::mount(path));
            targets.push(SecretTarget::File(path.to_owned()));
        }
        let (Some((place, name)), Some(file)) = (name, file) else { continue };
        reader.check(place, rules::label(&name));
        if secrets.iter().any(|known| known.name == name) {
            reader.error(place, format!("secrets: `{name}` stands twice"));
        }
        if targets.is_empty() {
            targets.push(SecretTarget::File(format!("/run/secrets/{name}")));
        }
        let clash = |known: &SecretSource| known.targets.iter().any(|target| targets.contains(target));
        if secrets.iter().any(clash) {
            reader.error(place, format!("secrets: `{name}` goes where another secret goes already"));
        }
        secrets.push(SecretSource { name, file, targets, line: item.place.line, column: item.place.column });
    }
    if secrets.len() > MAX_SECRETS {
        reader.error(node.place, format!("secrets: at most {MAX_SECRETS}"));
    }
    secrets
}

fn params(node: &Node, reader: &mut Reader) -> Vec<Mount> {
    let fields = reader.fields(node, "params", &["storage", "permissions"]);
    if let Some(node) = fields.get("permissions") {
        reader.error(
            node.place,
            "params: `permissions` would let the workload read its own lease from the provider; that is not offered here",
        );
    }
    let Some(storage) = fields.get("storage") else { return Vec::new() };
    let mut mounts = Vec::new();
    for (key, node) in reader.entries(storage, "params.storage") {
        reader.check(key.place, rules::label(&key.name));
        let fields =
            reader.fields(node, &format!("params.storage.{}", shown(&key.name)), &["mount", "readOnly"]);
        let path = fields.get("mount").and_then(|node| {
            let path = reader.text(node, "mount")?;
            reader.check(node.place, rules::mount(path));
            Some(path.to_owned())
        });
        let read_only = fields.get("readOnly").and_then(|node| reader.boolean(node, "readOnly"));
        mounts.push(Mount {
            name: key.name.clone(),
            place: key.place,
            path,
            read_only: read_only.unwrap_or(false),
        });
    }
    mounts
}
