//! What is taken from and added to the headers of a request that passes: which host it is for, hop-by-hop fields
//! (RFC 9110, 7.6.1), and who the client is.

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Uri};

use crate::table::host_key;

/// The host that a request is for.
///
/// # Errors
/// A reason for the client when there is none, several, or one that is no host name.
pub(crate) fn host_of<B>(request: &Request<B>) -> Result<String, &'static str> {
    let mut fields = request.headers().get_all(header::HOST).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err("more than one Host header");
    }
    let named =
        field.map(|value| value.to_str().map_err(|_| "the Host header is no host name")).transpose()?;
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    // In absolute form the target wins over the field (RFC 9112, 3.2.2); that they differ is never honest.
    let text = match (authority, named) {
        (Some(target), Some(field)) if !target.eq_ignore_ascii_case(field) => {
            return Err("the Host header differs from the request's target");
        }
        (Some(text), _) | (None, Some(text)) => text,
        (None, None) => return Err("no Host header"),
    };
    let host = match text.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => text,
    };
    let valid = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.' || b == b'_';
    if host.is_empty() || host.len() > 253 || !host.bytes().all(valid) {
        return Err("the Host header is no host name");
    }
    Ok(host_key(host))
}

const HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Takes away what concerns one connection only.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        // A client may not have the fields removed that say how long the body is or who it is for.
        .filter(|name| *name != header::CONTENT_LENGTH && *name != header::HOST)
        .collect();
    for name in listed.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// The protocol that the client wants to change to, if it does (RFC 9110, 7.8).
pub(crate) fn upgrade_of(headers: &HeaderMap) -> Option<HeaderValue> {
    let asks = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|name| name.trim().eq_ignore_ascii_case("upgrade"));
    if asks { headers.get(header::UPGRADE).cloned() } else { None }
}

/// Says who the client is. What the client says about that itself is dropped: this router is the first hop.
pub(crate) fn set_forwarded(headers: &mut HeaderMap, client: IpAddr, host: &str, tls: bool) {
    headers.remove(header::FORWARDED);
    let mut set = |name: &'static str, value: &str| {
        let value = HeaderValue::from_str(value).expect("addresses and host names are visible ASCII");
        headers.insert(HeaderName::from_static(name), value);
    };
    let client = client.to_canonical().to_string();
    set("x-forwarded-for", &client);
    set("x-real-ip", &client);
    set("x-forwarded-host", host);
    set("x-forwarded-proto", if tls { "https" } else { "http" });
    headers.remove("x-forwarded-port");
}

/// The target in the form for a replica.
pub(crate) fn replica_uri(ip: IpAddr, port: u16, uri: &Uri) -> Result<Uri, http::Error> {
    let authority = std::net::SocketAddr::new(ip, port).to_string();
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    Uri::builder().scheme("http").authority(authority).path_and_query(path).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("/", &["App.Example."], Ok("app.example"))]
    #[case("/", &["app.example:8080"], Ok("app.example"))]
    #[case("http://app.example/x", &["app.example"], Ok("app.example"))]
    #[case("http://app.example/x", &["other.example"], Err(()))]
    #[case("/", &["a.example", "b.example"], Err(()))]
    #[case("/", &[], Err(()))]
    #[case("/", &["a b"], Err(()))]
    #[case("/", &["../x"], Err(()))]
    #[case("/", &[":80"], Err(()))]
    fn finds_the_host(#[case] uri: &str, #[case] fields: &[&str], #[case] expected: Result<&str, ()>) {
        let mut request = Request::builder().uri(uri);
        for field in fields {
            request = request.header("host", *field);
        }
        let host = host_of(&request.body(()).unwrap());
        assert_eq!(host.as_deref().map_err(|_| ()), expected);
    }

    #[test]
    fn strips_what_concerns_one_connection() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, x-secret, content-length"),
            ("x-secret", "1"),
            ("content-length", "5"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("x-kept", "1"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        strip_hop_by_hop(&mut headers);
        let left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["content-length", "x-kept"]);
    }

    #[test]
    fn replaces_what_the_client_claims() {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", HeaderValue::from_static("1.1.1.1"));
        headers.append("x-forwarded-for", HeaderValue::from_static("2.2.2.2"));
        set_forwarded(&mut headers, [9, 9, 9, 9].into(), "a.example", true);
        assert_eq!(headers.get_all("x-forwarded-for").iter().count(), 1);
        assert_eq!(headers["x-forwarded-for"], "9.9.9.9");
        assert_eq!(headers["x-forwarded-proto"], "https");
    }
}
