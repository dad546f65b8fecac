//! Rules for names and values that hold for a file that a tenant writes and for bytes that a stranger sends alike.

use crate::lease::{Expose, HttpOptions, LeaseManifest, Protocol, Service, Volume, VolumeKind};
use crate::limits::{
    MAX_ARGS, MAX_ENDPOINTS, MAX_ENV, MAX_GPUS, MAX_HOSTS, MAX_PORTS, MAX_REPLICAS, MAX_SECRETS,
    MAX_SERVICES, MAX_TEXT_BYTES, MAX_VOLUMES,
};
use iono_primitives::{GpuModel, Group};

type Rule = Result<(), String>;

/// An RFC 1123 label: services, volumes, secrets.
pub(crate) fn label(name: &str) -> Rule {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if name.is_empty()
        || name.len() > 63
        || !name.bytes().all(inner)
        || name.starts_with('-')
        || name.ends_with('-')
    {
        return Err(format!(
            "`{name}` is no name: use up to 63 of a-z, 0-9 and -, not at the ends (RFC 1123)"
        ));
    }
    Ok(())
}

/// Endpoint names; Akash's may have underscores.
pub(crate) fn endpoint(name: &str) -> Rule {
    label(&name.replace('_', "-"))
        .map_err(|_| format!("`{name}` is no endpoint name: use up to 63 of a-z, 0-9, - and _"))
}

/// A name of an environment variable.
pub(crate) fn env_name(name: &str) -> Rule {
    let first = |b: u8| b.is_ascii_alphabetic() || matches!(b, b'_' | b'-' | b'.');
    let inner = |b: u8| first(b) || b.is_ascii_digit();
    let bytes = name.as_bytes();
    if bytes.len() > 255 || !bytes.first().is_some_and(|b| first(*b)) || !bytes.iter().all(|b| inner(*b)) {
        return Err(format!(
            "`{name}` is no name of an environment variable: letters, digits, _, - and ., no digit first"
        ));
    }
    Ok(())
}

/// Free text that becomes an argument or a value.
pub(crate) fn text(text: &str) -> Rule {
    if text.len() > MAX_TEXT_BYTES {
        return Err(format!("{} bytes are too long, the most is {MAX_TEXT_BYTES}", text.len()));
    }
    if text.contains('\0') {
        return Err("a NUL character cannot be passed to a program".into());
    }
    Ok(())
}

/// An image reference: `[host[:port]/]path[:tag][@sha256:digest]`.
pub(crate) fn image(reference: &str) -> Rule {
    let bad = |why: &str| Err(format!("`{reference}` is no image reference: {why}"));
    if reference.is_empty() || reference.len() > 512 {
        return bad("it must have 1 to 512 characters");
    }
    let (rest, digest) = match reference.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (reference, None),
    };
    if let Some(digest) = digest {
        let hex = digest.strip_prefix("sha256:").unwrap_or("");
        if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return bad("after @ comes sha256: and 64 hexadecimal digits");
        }
    }
    let slash = rest.rfind('/').map_or(0, |place| place + 1);
    let (path, tag) = match rest[slash..].rfind(':') {
        Some(colon) => (&rest[..slash + colon], Some(&rest[slash + colon + 1..])),
        None => (rest, None),
    };
    if let Some(tag) = tag {
        let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        if tag.is_empty() || tag.len() > 128 || !tag.bytes().all(inner) || tag.starts_with(['.', '-']) {
            return bad("the tag after : has up to 128 letters, digits, _, . and -");
        }
    }
    let mut parts: Vec<&str> = path.split('/').collect();
    if parts.len() > 1 && (parts[0].contains(['.', ':']) || parts[0] == "localhost") {
        let host = parts.remove(0);
        let (name, port) = host.split_once(':').unwrap_or((host, "443"));
        let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
        if name.is_empty() || !name.bytes().all(inner) || port.parse::<u16>().is_err() {
            return bad("the registry before the first / is a host name with an optional port");
        }
    }
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.' | b'-');
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let good = |part: &&str| {
        part.bytes().all(inner) && edge(part.as_bytes().first()) && edge(part.as_bytes().last())
    };
    if parts.iter().all(good) { Ok(()) } else { bad("its path has lower-case letters, digits, _, . and -") }
}

/// Where a volume or a secret may appear in a container.
pub(crate) fn mount(path: &str) -> Rule {
    let bad = |why: &str| Err(format!("`{path}` cannot be a mount: {why}"));
    if !path.starts_with('/') || path == "/" || path.len() > 255 {
        return bad("use an absolute path of up to 255 characters, not the root");
    }
    let mut parts = path[1..].trim_end_matches('/').split('/');
    if parts.any(|part| part.is_empty() || part == "." || part == "..") {
        return bad("no empty part, . or .. in it");
    }
    if path.chars().any(|c| c.is_control() || matches!(c, ':' | ',' | '"' | '\\')) {
        return bad("no control characters, colons, commas, quotes or backslashes in it");
    }
    let under =
        |root: &str| path == root || path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'));
    if under("/proc") || under("/sys") || (under("/dev") && !under("/dev/shm")) {
        return bad("/proc, /sys and /dev belong to the system (/dev/shm is allowed)");
    }
    Ok(())
}

/// A host name that the router shall accept.
pub(crate) fn host(name: &str) -> Rule {
    let name = name.strip_suffix('.').unwrap_or(name);
    let labels = name.split('.').all(|part| label(part).is_ok());
    if name.len() > 253 || !name.contains('.') || !labels {
        return Err(format!("`{name}` is no host name such as shop.example.com (lower case)"));
    }
    Ok(())
}

/// Bounds of what a tenant may ask of the router.
pub(crate) fn http_options(options: &HttpOptions) -> Rule {
    const HOUR: u32 = 3_600_000;
    const CASES: [&str; 11] =
        ["error", "timeout", "500", "502", "503", "504", "403", "404", "429", "off", "invalid_header"];
    if options.max_body_size > 16 << 30 {
        return Err("`max_body_size` is at most 16 GiB".into());
    }
    if options.read_timeout > HOUR || options.send_timeout > HOUR || options.next_timeout > HOUR {
        return Err("timeouts are in milliseconds, at most an hour (3600000)".into());
    }
    if options.next_tries > 16 {
        return Err("`next_tries` is at most 16".into());
    }
    if let Some(case) = options.next_cases.iter().find(|case| !CASES.contains(&case.as_str())) {
        return Err(format!("`{case}` is no case for another replica; known are {}", CASES.join(", ")));
    }
    if options.next_cases.len() > CASES.len() {
        return Err("`next_cases` repeats itself".into());
    }
    if options.next_cases.len() > 1 && options.next_cases.iter().any(|case| case == "off") {
        return Err("`off` stands alone in `next_cases`".into());
    }
    Ok(())
}

/// All rules on a whole manifest. The texts name the service, as there is no line to point at.
pub(crate) fn check(manifest: &LeaseManifest) -> Rule {
    if manifest.services.is_empty() || manifest.services.len() > MAX_SERVICES {
        return Err(format!("a manifest has 1 to {MAX_SERVICES} services"));
    }
    if manifest.endpoints.len() > MAX_ENDPOINTS {
        return Err(format!("a manifest has at most {MAX_ENDPOINTS} endpoints"));
    }
    manifest.endpoints.iter().try_for_each(|name| endpoint(name))?;
    if !manifest.services.is_sorted_by(|a, b| a.name < b.name) {
        return Err("services are sorted by name, each once".into());
    }
    if !manifest.endpoints.is_sorted_by(|a, b| a < b) {
        return Err("endpoints are sorted by name, each once".into());
    }
    for service in &manifest.services {
        check_service(service, manifest).map_err(|why| format!("service `{}`: {why}", service.name))?;
    }
    Ok(())
}

fn check_service(service: &Service, manifest: &LeaseManifest) -> Rule {
    label(&service.name)?;
    image(&service.image)?;
    if service.command.len() > MAX_ARGS || service.args.len() > MAX_ARGS {
        return Err(format!("a command has at most {MAX_ARGS} words"));
    }
    service.command.iter().chain(&service.args).try_for_each(|word| text(word))?;
    if service.env.len() > MAX_ENV {
        return Err(format!("at most {MAX_ENV} environment variables"));
    }
    for (name, value) in &service.env {
        env_name(name)?;
        text(value.expose()).map_err(|why| format!("{name}: {why}"))?;
    }
    if let Some(credentials) = &service.credentials {
        credentials_host(&credentials.host)?;
        [&credentials.username, &credentials.password]
            .into_iter()
            .try_for_each(|part| text(part.expose()))?;
    }
    if service.count == 0 || service.count > MAX_REPLICAS {
        return Err(format!("1 to {MAX_REPLICAS} replicas"));
    }
    check_resources(service)?;
    check_mounts(service)?;
    check_ports(&service.expose)?;
    for expose in &service.expose {
        if let Some(name) = expose.to.iter().find(|name| manifest.service(name).is_none()) {
            return Err(format!("port {} is exposed to `{name}`, which is no service", expose.port));
        }
        if let Some(ip) = expose.ip.as_ref().filter(|ip| !manifest.endpoints.contains(ip)) {
            return Err(format!("port {} uses the endpoint `{ip}`, which is not listed", expose.port));
        }
    }
    Ok(())
}

/// Host of a registry's login.
pub(crate) fn credentials_host(host: &str) -> Rule {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':' | b'/');
    if host.is_empty() || host.len() > 255 || !host.bytes().all(inner) {
        return Err(format!("`{host}` is no registry such as ghcr.io or docker.io"));
    }
    Ok(())
}

fn check_resources(service: &Service) -> Rule {
    let resources = &service.resources;
    if resources.cpu == 0 || resources.memory == 0 || resources.ephemeral == 0 {
        return Err("CPU, memory and ephemeral storage are above zero".into());
    }
    let group = service.group();
    let most = [group.cpu, group.memory, group.ephemeral, group.persistent].into_iter().max().unwrap_or(0);
    if most > Group::FIELD_MAX {
        return Err("CPU, memory or storage is beyond what an order can hold (16,777 CPUs, 16 TiB)".into());
    }
    if let Some(gpu) = &resources.gpu {
        if gpu.count == 0 || gpu.count > MAX_GPUS {
            return Err(format!("1 to {MAX_GPUS} GPUs"));
        }
        if !matches!(gpu.vendor.as_str(), "" | "nvidia" | "amd") {
            return Err(format!("`{}` is no GPU vendor; known are nvidia and amd", gpu.vendor));
        }
        let parsed: GpuModel = gpu.model.parse().map_err(|why| format!("{why}"))?;
        if parsed.as_str() != gpu.model {
            return Err("GPU models are in lower case".into());
        }
    }
    Ok(())
}

fn check_mounts(service: &Service) -> Rule {
    if service.volumes.len() > MAX_VOLUMES || service.files.len() > MAX_SECRETS {
        return Err(format!("at most {MAX_VOLUMES} volumes and {MAX_SECRETS} secrets"));
    }
    let mut mounts: Vec<&str> = Vec::new();
    for volume in &service.volumes {
        label(&volume.name)?;
        mount(&volume.mount)?;
        mounts.push(&volume.mount);
    }
    let mut names: Vec<&str> = service.volumes.iter().map(|volume| volume.name.as_str()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err("a volume's name stands twice".into());
    }
    if service.volumes.iter().any(|volume| volume.size == 0) {
        return Err("a volume has no size".into());
    }
    check_shared_memory(&service.volumes, service.resources.memory)?;
    for file in &service.files {
        mount(&file.path)?;
        if file.bytes().is_none() {
            return Err(format!(
                "the secret at {} is no base64 of at most {MAX_TEXT_BYTES} bytes",
                file.path
            ));
        }
        mounts.push(&file.path);
    }
    mounts.sort_unstable();
    match mounts.windows(2).find(|pair| pair[0].trim_end_matches('/') == pair[1].trim_end_matches('/')) {
        Some(pair) => Err(format!("`{}` is mounted twice", pair[0])),
        None => Ok(()),
    }
}

/// Shared memory counts within the memory limit, so it cannot be larger.
pub(crate) fn check_shared_memory(volumes: &[Volume], memory: u32) -> Rule {
    let ram =
        volumes.iter().filter(|volume| volume.kind == VolumeKind::Ram).map(|volume| u64::from(volume.size));
    let ram: u64 = ram.sum();
    if ram > u64::from(memory) {
        return Err(format!(
            "{ram} MiB of shared memory are more than the {memory} MiB of memory that they count within"
        ));
    }
    Ok(())
}

fn check_ports(ports: &[Expose]) -> Rule {
    if ports.len() > MAX_PORTS {
        return Err(format!("at most {MAX_PORTS} ports"));
    }
    for expose in ports {
        if expose.port == 0 || expose.external == 0 {
            return Err("ports are 1 to 65535".into());
        }
        if expose.accept.len() > MAX_HOSTS {
            return Err(format!("a port accepts at most {MAX_HOSTS} host names"));
        }
        if expose.to.len() > MAX_SERVICES {
            return Err("a port names a service twice".into());
        }
        expose.accept.iter().try_for_each(|name| host(name))?;
        http_options(&expose.http_options)?;
        if expose.protocol == Protocol::Http && !expose.global {
            return Err(format!("port {} is `http` but not global; use `tcp` within the lease", expose.port));
        }
        if expose.protocol != Protocol::Http && !expose.accept.is_empty() {
            return Err(format!("port {} is no HTTP port and cannot accept host names", expose.port));
        }
    }
    clash(ports).map_or(Ok(()), |(_, why)| Err(why))
}

/// The first port that takes another's place, and why.
pub(crate) fn clash(ports: &[Expose]) -> Option<(usize, String)> {
    for (place, expose) in ports.iter().enumerate() {
        for earlier in &ports[..place] {
            let udp = |expose: &Expose| expose.protocol == Protocol::Udp;
            if earlier.external == expose.external && udp(earlier) == udp(expose) && earlier.ip == expose.ip {
                return Some((place, format!("port {} is exposed twice", expose.external)));
            }
            if earlier.protocol == Protocol::Http && expose.protocol == Protocol::Http {
                return Some((place, "a service has one HTTP port; expose the other as `tcp`".into()));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "web-1", "0"] {
            assert_eq!(label(good), Ok(()), "{good}");
        }
        for bad in ["", "Web", "-a", "a-", "a_b", "a.b", &"x".repeat(64)] {
            assert!(label(bad).is_err(), "{bad}");
        }
        assert!(endpoint("uniq_name_endpoint").is_ok());
        assert!(env_name("NEO4J_server.x-y").is_ok());
        assert!(env_name("1A").is_err() && env_name("").is_err() && env_name("A B").is_err());
        assert!(host("shop.example.com").is_ok() && host("localhost").is_err() && host("A.b").is_err());
    }

    #[test]
    fn images() {
        let digest = format!("vllm/vllm-openai:v0.6.2@sha256:{}", "a".repeat(64));
        for good in ["wordpress", "ghcr.io/a/b:1.0", "localhost:5000/x", "a/b_c__d-e", digest.as_str()] {
            assert_eq!(image(good), Ok(()), "{good}");
        }
        for bad in ["", "A/b", "a b", "a:", "a@sha256:12", "-x", "http://a/b", "a//b", "a/b:-x", "x.y:z/a"] {
            assert!(image(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn mounts() {
        for good in ["/data", "/dev/shm", "/a/b c", "/development"] {
            assert_eq!(mount(good), Ok(()), "{good}");
        }
        for bad in
            ["", "/", "data", "/a/../b", "/a//b", "/proc/1", "/sys", "/dev/mem", "/a:b", "/a,ro", "/./a"]
        {
            assert!(mount(bad).is_err(), "{bad}");
        }
    }
}
