use std::sync::{Arc, Mutex};

use iono_runtime::{Credentials, Secret};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::*;

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
/// `user:pass` as a header has it.
const BASIC: &str = "authorization: Basic dXNlcjpwYXNz";

/// A registry that answers each request's head with what `answer` makes of it; its address, and all that was asked.
async fn registry(
    answer: impl Fn(&str, &str) -> String + Send + Sync + 'static,
) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let (asked, address) = (Arc::new(Mutex::new(Vec::new())), host.clone());
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).await.unwrap() > 0 {}
            seen.lock().unwrap().push(head.clone());
            let text = answer(&head, &address);
            drop(stream.write_all(text.as_bytes()).await);
        }
    });
    (host, asked)
}

fn reply(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

fn service(host: &str, login: Option<&str>) -> Service {
    let mut service = Service::new("app", format!("{host}/me/app:1"));
    service.credentials = login.map(|host| Credentials {
        host: host.to_owned(),
        username: Secret::new("user"),
        password: Secret::new("pass"),
    });
    service
}

async fn pinned(service: &Service) -> Result<Option<String>, RuntimeError> {
    let host = service.image.split('/').next().unwrap().to_owned();
    Ok(pin(vec![service], &BTreeSet::from([host])).await?.remove("app"))
}

#[tokio::test]
async fn what_is_on_a_private_network_is_not_asked_unless_the_owner_says_so() {
    let (host, asked) = registry(|_, _| reply("200 OK", "", "")).await;
    let refused = pin(vec![&service(&host, None)], &BTreeSet::new()).await.unwrap_err();
    assert!(refused.to_string().contains("127.0.0.1 is on a private network"), "{refused}");
    for inside in ["localhost:5000", "10.0.0.1", "169.254.169.254:80"] {
        let refused = pin(vec![&service(inside, None)], &BTreeSet::new()).await.unwrap_err();
        assert!(matches!(refused, RuntimeError::ImageUnavailable { .. }), "{inside}");
    }
    assert_eq!(asked.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn a_token_is_fetched_with_the_login_and_shown() {
    let (host, asked) = registry(|head, host| {
        let found = format!("docker-content-digest: {DIGEST}\r\n");
        match head.split(' ').nth(1).unwrap() {
            path if path.starts_with("/token?") => reply("200 OK", "", r#"{"token":"t0"}"#),
            _ if head.contains("authorization: Bearer t0") => reply("200 OK", &found, ""),
            _ => reply(
                "401 Unauthorized",
                &format!("www-authenticate: Bearer realm=\"http://{host}/token\",service=\"s\"\r\n"),
                "",
            ),
        }
    })
    .await;
    let image = format!("{host}/me/app:1@{DIGEST}");
    assert_eq!(pinned(&service(&host, Some(&host))).await, Ok(Some(image)));
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 3);
    assert!(asked[0].starts_with("HEAD /v2/me/app/manifests/1 ") && !asked[0].contains("authorization"));
    assert!(asked[1].starts_with("GET /token?scope=repository%3Ame%2Fapp%3Apull&service=s "), "{}", asked[1]);
    assert!(asked[1].contains(BASIC) && !asked[2].contains(BASIC));
}

#[tokio::test]
async fn what_is_refused_is_said_in_the_registrys_words() {
    let body = r#"{"errors":[{"code":"DENIED","message":"not for\nyou"}]}"#;
    let (host, asked) = registry(move |head, _| match head.starts_with("HEAD") {
        true => reply("403 Forbidden", "", ""),
        false => reply("403 Forbidden", "", body),
    })
    .await;
    let refused = pinned(&service(&host, Some("other.example"))).await.unwrap_err();
    let RuntimeError::ImageUnavailable { image, reason } = refused else { panic!("{refused}") };
    assert_eq!(image, format!("{host}/me/app:1"));
    assert_eq!(reason, "the registry says 403 Forbidden: not foryou");
    assert!(!asked.lock().unwrap().concat().contains(BASIC), "the login of another registry");
}

/// Nothing follows from them, so the tag stays; none of them takes long.
#[tokio::test]
async fn answers_that_say_nothing_keep_the_tag() {
    for answer in [
        reply("500 Internal Server Error", "", ""),
        reply("429 Too Many Requests", "", ""),
        reply("200 OK", "docker-content-digest: sha256:../../x\r\n", ""),
        reply("200 OK", "", ""),
        "no HTTP at all\r\n\r\n".to_owned(),
        // A login must not go over an open line, nor anywhere that is no address.
        reply("401 Unauthorized", "www-authenticate: Bearer realm=\"nowhere\"\r\n", ""),
    ] {
        let shown = answer.clone();
        let (host, _) = registry(move |_, _| answer.clone()).await;
        assert_eq!(pinned(&service(&host, None)).await, Ok(None), "{shown}");
    }
    assert_eq!(pinned(&service("127.0.0.1:1", None)).await, Ok(None), "nobody there");
}

#[tokio::test]
async fn an_answer_without_end_is_cut() {
    let (host, _) = registry(|head, _| match head.starts_with("HEAD") {
        true => reply("404 Not Found", "", ""),
        // Longer than anybody sends: reading all of it would end in an error, for it breaks off.
        false => {
            format!("HTTP/1.1 404 Not Found\r\ncontent-length: 9000000000\r\n\r\n{}", "x".repeat(1 << 20))
        }
    })
    .await;
    let refused = pinned(&service(&host, None)).await.unwrap_err();
    assert!(refused.to_string().contains("404 Not Found"), "{refused}");
}

#[tokio::test]
async fn what_must_not_be_pulled_is_not_asked_for() {
    let (host, asked) = registry(|_, _| reply("404 Not Found", "", "")).await;
    let never = Service { pull: PullPolicy::Never, ..service(&host, None) };
    assert_eq!(pinned(&never).await, Ok(None));
    assert_eq!(asked.lock().unwrap().len(), 0);
}
