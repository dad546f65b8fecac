//! As much of the OCI distribution protocol as asking for a digest needs: one `HEAD`, with a login or a token if the
//! registry wants one.

use std::sync::Arc;

use http::header::{ACCEPT, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, StatusCode};
use reqwest::{Client, RequestBuilder, Response, Url};
use serde_json::Value;

use super::reach::{Internet, Reach, redirects, refuse_inside};

/// Docker's registry, as images without a registry's name mean it, and where it really is.
const DOCKER: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];
/// Kinds of manifest that nodes understand: for one platform, and lists for several.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                         application/vnd.docker.distribution.manifest.list.v2+json, \
                         application/vnd.docker.distribution.manifest.v2+json";
/// Most bytes of an answer that are read: tokens are a few thousand.
const MOST: usize = 64 * 1024;
/// Most characters of a registry's words that are passed on.
const WORDS: usize = 300;

/// An image's name in its parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reference {
    host: String,
    path: String,
    /// Tag or digest.
    which: String,
}

impl Reference {
    /// The manifest's check has let only well-formed names through.
    pub(super) fn of(image: &str) -> Self {
        let (rest, digest) =
            image.split_once('@').map_or((image, None), |(rest, digest)| (rest, Some(digest)));
        let slash = rest.rfind('/').map_or(0, |place| place + 1);
        let (name, tag) = match rest[slash..].rfind(':') {
            Some(colon) => (&rest[..slash + colon], &rest[slash + colon + 1..]),
            None => (rest, "latest"),
        };
        let is_host = |part: &str| part.contains(['.', ':']) || part == "localhost";
        let (host, path) =
            name.split_once('/').filter(|(host, _)| is_host(host)).unwrap_or((DOCKER[0], name));
        let which = digest.unwrap_or(tag).to_owned();
        if DOCKER.contains(&host) {
            let path = if path.contains('/') { path.to_owned() } else { format!("library/{path}") };
            return Self { host: DOCKER[2].to_owned(), path, which };
        }
        Self { host: host.to_owned(), path: path.to_owned(), which }
    }

    /// The registry, as images name it.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Whether a login for `host` is one for this image's registry. It must go to no other.
    pub(super) fn is_of(&self, host: &str) -> bool {
        let host = host.split_once("://").map_or(host, |(_, rest)| rest);
        let host = host.split('/').next().unwrap_or(host);
        host == self.host || (DOCKER.contains(&host) && self.host == DOCKER[2])
    }

    fn is_local(&self) -> bool {
        let name = self.host.split(':').next().unwrap_or_default();
        name == "localhost" || name.starts_with("127.")
    }
}

/// Who asks.
#[derive(Clone, Copy)]
pub(super) struct Login<'a> {
    pub(super) user: &'a str,
    pub(super) password: &'a str,
}

/// What a registry said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The image's digest.
    Digest(String),
    /// There is none, or none for this login: its words.
    Refused(String),
    /// Nothing follows from what it said.
    Unknown(String),
}

/// How a registry wants to know who asks.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

enum Proof<'a> {
    None,
    Basic(Login<'a>),
    Bearer(String),
}

/// A registry, asked about one image.
pub(super) struct Registry<'a> {
    client: Client,
    reference: &'a Reference,
    login: Option<Login<'a>>,
    reach: Reach,
}

impl<'a> Registry<'a> {
    /// `reach` says where it may be; the token server that it names, and whatever leads elsewhere, is bound by it as well.
    pub(super) fn new(
        reference: &'a Reference,
        login: Option<Login<'a>>,
        reach: Reach,
    ) -> reqwest::Result<Self> {
        let client = Client::builder().user_agent("ionosphere");
        let client = match reach {
            Reach::Anywhere => client,
            Reach::Internet => client.dns_resolver(Arc::new(Internet)).redirect(redirects()),
        };
        Ok(Self { client: client.build()?, reference, login, reach })
    }

    pub(super) async fn ask(&self) -> reqwest::Result<Answer> {
        let address = Url::parse(&format!("https://{}/", self.reference.host));
        if let Some(answer) = address.ok().and_then(|url| self.out_of_reach(&url)) {
            return Ok(answer);
        }
        let first = self.send(Method::HEAD, &Proof::None).await?;
        if first.status() != StatusCode::UNAUTHORIZED {
            return self.judge(first, &Proof::None).await;
        }
        let proof = match challenge(first.headers()) {
            Some(Challenge::Basic) => self.login.map_or(Proof::None, Proof::Basic),
            Some(Challenge::Bearer { realm, service }) => match self.token(&realm, service.as_deref()).await?
            {
                Ok(token) => Proof::Bearer(token),
                Err(answer) => return Ok(answer),
            },
            None => return Ok(Answer::Refused("it asks for a login of an unknown kind".to_owned())),
        };
        let second = self.send(Method::HEAD, &proof).await?;
        self.judge(second, &proof).await
    }

    fn out_of_reach(&self, url: &Url) -> Option<Answer> {
        match self.reach {
            Reach::Anywhere => None,
            Reach::Internet => refuse_inside(url).err().map(|inside| Answer::Refused(inside.to_string())),
        }
    }

    async fn send(&self, method: Method, proof: &Proof<'_>) -> reqwest::Result<Response> {
        let Reference { host, path, which } = self.reference;
        let scheme = if self.reference.is_local() { "http" } else { "https" };
        let url = format!("{scheme}://{host}/v2/{path}/manifests/{which}");
        let request = self.client.request(method, url);
        prove(request.header(ACCEPT, MANIFESTS), proof).send().await
    }

    async fn judge(&self, answer: Response, proof: &Proof<'_>) -> reqwest::Result<Answer> {
        match answer.status() {
            StatusCode::OK => Ok(match digest(answer.headers()) {
                Some(digest) => Answer::Digest(digest),
                None => Answer::Unknown("the registry tells no digest".to_owned()),
            }),
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) => {
                // The answer to a HEAD has no words.
                let words = words(self.send(Method::GET, proof).await?).await?;
                Ok(Answer::Refused(format!("the registry says {status}{words}")))
            }
            status => Ok(Answer::Unknown(format!("the registry says {status}"))),
        }
    }

    /// A token for pulling, from whom the registry trusts for that; what that one said if it gives none.
    async fn token(&self, realm: &str, service: Option<&str>) -> reqwest::Result<Result<String, Answer>> {
        let unknown = |why: &str| Ok(Err(Answer::Unknown(why.to_owned())));
        let Ok(mut url) = Url::parse(realm) else {
            return unknown("the registry's token server has no address that makes sense");
        };
        // A login goes over no open line.
        if url.scheme() != "https" && !self.reference.is_local() {
            return unknown("the registry's token server is not on HTTPS");
        }
        if let Some(answer) = self.out_of_reach(&url) {
            return Ok(Err(answer));
        }
        let scope = format!("repository:{}:pull", self.reference.path);
        let service = service.map(|service| ("service", service));
        url.query_pairs_mut().append_pair("scope", &scope).extend_pairs(service);
        let proof = self.login.map_or(Proof::None, Proof::Basic);
        let answer = prove(self.client.get(url), &proof).send().await?;
        match answer.status() {
            StatusCode::OK => {
                let text: Value = serde_json::from_slice(&body(answer).await?).unwrap_or_default();
                let token = ["token", "access_token"].iter().find_map(|name| text.get(name)?.as_str());
                match token {
                    Some(token) => Ok(Ok(token.to_owned())),
                    None => unknown("the registry's token server gives no token"),
                }
            }
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                let words = words(answer).await?;
                Ok(Err(Answer::Refused(format!("the registry's token server says {status}{words}"))))
            }
            status => unknown(&format!("the registry's token server says {status}")),
        }
    }
}

fn prove(request: RequestBuilder, proof: &Proof<'_>) -> RequestBuilder {
    match proof {
        Proof::None => request,
        Proof::Basic(login) => request.basic_auth(login.user, Some(login.password)),
        Proof::Bearer(token) => request.bearer_auth(token),
    }
}

/// The first challenge that is known here: `Bearer realm="…",service="…"` or `Basic …`.
fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    headers.get_all(WWW_AUTHENTICATE).iter().find_map(|value| {
        let (kind, rest) = value.to_str().ok()?.trim().split_once(' ')?;
        if kind.eq_ignore_ascii_case("basic") {
            return Some(Challenge::Basic);
        }
        let parameter = |name: &str| {
            let start = rest.find(&format!("{name}=\""))? + name.len() + 2;
            Some(rest[start..].split('"').next()?.to_owned())
        };
        kind.eq_ignore_ascii_case("bearer").then_some(())?;
        Some(Challenge::Bearer { realm: parameter("realm")?, service: parameter("service") })
    })
}

/// The digest in an answer, if it is one: it becomes part of an image's name.
fn digest(headers: &HeaderMap) -> Option<String> {
    let digest = headers.get("docker-content-digest")?.to_str().ok()?;
    let hex = digest.strip_prefix("sha256:")?;
    let is_hex = hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    is_hex.then(|| digest.to_owned())
}

/// The beginning of an answer.
async fn body(mut answer: Response) -> reqwest::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk[..chunk.len().min(MOST - body.len())]);
        if body.len() == MOST {
            break;
        }
    }
    Ok(body)
}

/// The message of an error, after a colon; empty if there is none.
async fn words(answer: Response) -> reqwest::Result<String> {
    let text: Value = serde_json::from_slice(&body(answer).await?).unwrap_or_default();
    let message =
        ["/errors/0/message", "/details", "/message"].iter().find_map(|at| text.pointer(at)?.as_str());
    Ok(message.map_or_else(String::new, |message| {
        format!(": {}", message.chars().filter(|c| !c.is_control()).take(WORDS).collect::<String>())
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(host: &str, path: &str, which: &str) -> Reference {
        Reference { host: host.to_owned(), path: path.to_owned(), which: which.to_owned() }
    }

    #[test]
    fn names_are_taken_apart() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (image, host, path, which) in [
            ("nginx", DOCKER[2], "library/nginx", "latest"),
            ("docker.io/nginx:1", DOCKER[2], "library/nginx", "1"),
            ("me/app:1.2", DOCKER[2], "me/app", "1.2"),
            ("ghcr.io/me/app", "ghcr.io", "me/app", "latest"),
            ("localhost:5000/app:x", "localhost:5000", "app", "x"),
            (&format!("ghcr.io/app:1@{digest}"), "ghcr.io", "app", &digest),
        ] {
            assert_eq!(Reference::of(image), reference(host, path, which), "{image}");
        }
    }

    #[test]
    fn a_login_goes_to_its_own_registry_alone() {
        let of = |image, host| Reference::of(image).is_of(host);
        assert!(of("me/app", "docker.io") && of("me/app", "https://index.docker.io/v1/"));
        assert!(of("ghcr.io/me/app", "ghcr.io") && of("ghcr.io/me/app", "ghcr.io/me"));
        assert!(!of("evil.example/app", "ghcr.io") && !of("me/app", "ghcr.io"));
        assert!(!of("ghcr.io:444/app", "ghcr.io"));
    }

    #[test]
    fn challenges_are_read() {
        let read = |text: &str| challenge(&HeaderMap::from_iter([(WWW_AUTHENTICATE, text.parse().unwrap())]));
        assert_eq!(read("Basic realm=\"x\""), Some(Challenge::Basic));
        let bearer =
            Challenge::Bearer { realm: "https://t.example/a".to_owned(), service: Some("r".to_owned()) };
        assert_eq!(read("Bearer realm=\"https://t.example/a\",service=\"r\",scope=\"s\""), Some(bearer));
        assert_eq!(read("Negotiate abc"), None);
        assert_eq!(read("Bearer"), None);
    }
}
