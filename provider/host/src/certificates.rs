//! The certificates of the HTTPS listener: the owner's for `*.domain`, and those of tenants' own host names. Whoever
//! renews them only writes the files; they are read again when they change. One that cannot be read leaves the one
//! before in use, and a host without any is served and announced over plain HTTP.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use iono_identity::unix_now;
use iono_router::{Certificate, Certificates};

use crate::config::Config;

/// Seconds before its end from which on a certificate is complained about: whoever renews has failed by then.
const LATE: u64 = 2 * 24 * 3_600;

/// One pair of files.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pair<'a> {
    /// The name that it is for; `None` for the provider's own domain.
    host: Option<&'a str>,
    /// A name that it must cover.
    name: String,
    chain: &'a Path,
    key: &'a Path,
}

/// What one pair of files holds, or what is wrong with it.
#[derive(Debug, Clone)]
pub struct Found {
    /// The name that it is for.
    pub name: String,
    /// In words: until when it is good, or what is wrong and what to do.
    pub state: Result<String, String>,
}

fn pairs(config: &Config) -> Vec<Pair<'_>> {
    let public = &config.public;
    let own = public.certificate.as_deref().zip(public.certificate_key.as_deref());
    let own = own.map(|(chain, key)| Pair { host: None, name: format!("*.{}", public.domain), chain, key });
    let hosts = config.certificates.iter().map(|table| Pair {
        host: Some(&table.host),
        name: table.host.clone(),
        chain: &table.chain,
        key: &table.key,
    });
    own.into_iter().chain(hosts).collect()
}

/// Whether any certificate is configured, so that HTTPS is to be served.
#[must_use]
pub fn any(config: &Config) -> bool {
    !pairs(config).is_empty()
}

/// Looks at all configured certificates without using them.
#[must_use]
pub fn inspect(config: &Config) -> Vec<Found> {
    let look = |pair: Pair<'_>| Found {
        state: read(&pair).and_then(|certificate| judge(&pair.name, &certificate, unix_now())),
        name: pair.name,
    };
    pairs(config).into_iter().map(look).collect()
}

/// Reads all configured certificates and uses those that can be read; gives what is wrong.
pub fn load(config: &Config, certificates: &Certificates) -> Vec<String> {
    let pairs = pairs(config);
    certificates.retain(&pairs.iter().filter_map(|pair| pair.host).collect::<Vec<_>>());
    let mut wrong = Vec::new();
    for pair in pairs {
        match read(&pair) {
            Ok(certificate) => {
                wrong.extend(judge(&pair.name, &certificate, unix_now()).err());
                match pair.host {
                    Some(host) => certificates.set(host, certificate),
                    None => certificates.set_default(certificate),
                }
            }
            Err(why) => wrong.push(why),
        }
    }
    wrong
}

fn read(pair: &Pair<'_>) -> Result<Certificate, String> {
    let bytes = |path: &Path| {
        std::fs::read(path).map_err(|error| format!("{}: cannot read {}: {error}", pair.name, path.display()))
    };
    let (chain, key) = (bytes(pair.chain)?, bytes(pair.key)?);
    let name = |error| format!("{}: {}: {error}", pair.name, pair.chain.display());
    Certificate::parse(&chain, &key).map_err(name)
}

/// Whether a certificate is for `name` and good at `now`; `*.domain` stands for any name one level below.
fn judge(name: &str, certificate: &Certificate, now: u64) -> Result<String, String> {
    let covered = certificate.covers(&name.replacen('*', "any", 1));
    let left = certificate.not_after().saturating_sub(now);
    let days = left / (24 * 3_600);
    match left {
        _ if !covered => Err(format!("{name}: the certificate does not name it; clients will refuse it")),
        0 => Err(format!("{name}: the certificate has expired; renew it")),
        left if left < LATE => {
            Err(format!("{name}: the certificate expires in {} h; renew it", left / 3_600))
        }
        _ => Ok(format!("{name}: good for {days} days")),
    }
}

/// When the files were changed last; another value means that they are to be read again.
#[must_use]
pub fn stamp(config: &Config) -> Vec<(PathBuf, Option<(SystemTime, u64)>)> {
    let stamp = |path: &Path| {
        let data = std::fs::metadata(path).ok();
        (path.to_owned(), data.and_then(|data| Some((data.modified().ok()?, data.len()))))
    };
    pairs(config).iter().flat_map(|pair| [stamp(pair.chain), stamp(pair.key)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Role;
    use crate::config::template::TEMPLATE;

    fn write(folder: &Path, stem: &str, name: &str, year: i32) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        std::fs::write(folder.join(format!("{stem}.crt")), params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(folder.join(format!("{stem}.key")), key.serialize_pem()).unwrap();
    }

    fn config(folder: &Path) -> Config {
        let at = folder.display();
        let text = format!(
            "{TEMPLATE}\n[[certificate]]\nhost = 'shop.test'\nchain = '{at}/shop.crt'\nkey = '{at}/shop.key'\n"
        );
        let set = [
            "public.domain=apps.test".to_owned(),
            format!("public.certificate={at}/own.crt"),
            format!("public.certificate_key={at}/own.key"),
        ];
        Config::parse(Role::Provider, "test", &text, [], &set).unwrap()
    }

    #[test]
    fn what_is_wrong_is_named_and_the_rest_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let (config, certificates) = (config(folder), Certificates::default());
        let wrong = load(&config, &certificates);
        assert!(wrong.len() == 2 && wrong[0].starts_with("*.apps.test: cannot read"), "{wrong:?}");
        write(folder, "own", "*.apps.test", 2_090);
        write(folder, "shop", "other.test", 2_090);
        let wrong = load(&config, &certificates);
        assert_eq!(wrong, ["shop.test: the certificate does not name it; clients will refuse it"]);
        assert!(certificates.covers("web-1.apps.test") && !certificates.covers("shop.test"));
        write(folder, "shop", "shop.test", 2_000);
        let wrong = load(&config, &certificates);
        assert_eq!(wrong, ["shop.test: the certificate has expired; renew it"]);
        write(folder, "shop", "shop.test", 2_090);
        assert_eq!(load(&config, &certificates), Vec::<String>::new());
        assert!(certificates.covers("shop.test"));

        // Half written: the one before goes on.
        std::fs::write(folder.join("shop.key"), "").unwrap();
        let wrong = load(&config, &certificates);
        assert!(wrong.len() == 1 && wrong[0].contains("no private key"), "{wrong:?}");
        assert!(certificates.covers("shop.test"));

        // No longer configured: gone.
        let without = Config { certificates: Vec::new(), ..config };
        assert_eq!(load(&without, &certificates), Vec::<String>::new());
        assert!(!certificates.covers("shop.test"));
    }

    #[test]
    fn the_end_is_announced() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "own", "*.apps.test", 2_090);
        let config = config(folder.path());
        let own = &pairs(&config)[0];
        let certificate = read(own).unwrap();
        let at = |before: u64| judge(&own.name, &certificate, certificate.not_after() - before);
        assert_eq!(at(30 * 24 * 3_600), Ok("*.apps.test: good for 30 days".to_owned()));
        assert!(at(LATE - 1).unwrap_err().contains("expires in 47 h"));
        assert!(at(0).unwrap_err().contains("expired"));
    }

    #[test]
    fn a_changed_file_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let before = stamp(&config);
        write(folder.path(), "own", "*.apps.test", 2_090);
        let after = stamp(&config);
        assert_ne!(before, after);
        assert_eq!(after, stamp(&config));
    }
}
