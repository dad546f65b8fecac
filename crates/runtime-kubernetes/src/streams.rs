//! The upgrade of a request to a connection for a command's streams.

use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use iono_runtime::RuntimeError;
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use url::form_urlencoded::Serializer;

use crate::cluster::{ask, sort};

pub(crate) type Connection = TokioIo<hyper::upgrade::Upgraded>;

/// Asks for a command in a pod.
///
/// # Errors
/// [`RuntimeError::NotFound`], [`RuntimeError::Refused`] as the API server says.
pub(crate) async fn connect(
    client: &Client,
    namespace: &str,
    pod: &str,
    command: &[String],
    tty: bool,
) -> Result<Connection, RuntimeError> {
    let query = Serializer::new(String::new())
        .extend_pairs([("stdin", "true"), ("stdout", "true")])
        .extend_pairs([("stderr", (!tty).to_string()), ("tty", tty.to_string())])
        .extend_pairs(command.iter().map(|word| ("command", word)))
        .finish();
    let request = Request::post(format!("/api/v1/namespaces/{namespace}/pods/{pod}/exec?{query}"))
        .header(http::header::CONNECTION, "Upgrade")
        .header(http::header::UPGRADE, "SPDY/3.1")
        .header("X-Stream-Protocol-Version", "v4.channel.k8s.io")
        .body(Body::empty())
        .map_err(|error| RuntimeError::Refused(error.to_string()))?;
    let answer = ask(client.send(request)).await?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        let code = answer.status().as_u16();
        let body = answer.into_body().collect().await.map_err(sort)?.to_bytes();
        let status = serde_json::from_slice::<Status>(&body).unwrap_or_else(|_| Status {
            message: String::from_utf8_lossy(&body).into_owned(),
            ..Status::failure("", "")
        });
        return Err(sort(kube::Error::Api(Box::new(Status { code, ..status }))));
    }
    let upgraded = hyper::upgrade::on(answer).await;
    upgraded.map(TokioIo::new).map_err(|error| sort(kube::Error::HyperError(error)))
}
