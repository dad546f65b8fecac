//! Errors as the interface answers them: a stable code, what failed, and how to mend it.

use std::borrow::Cow;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use iono_identity::Refusal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The body of every answer that is not a success; also the last line of a stream that broke off, as `{"error": …}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// Stable name for programs.
    #[schema(value_type = String, example = "expired")]
    pub code: Cow<'static, str>,
    /// What failed and why.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

impl std::fmt::Display for ErrorBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        if !self.hint.is_empty() {
            write!(f, "; {}", self.hint)?;
        }
        Ok(())
    }
}

/// An error with its HTTP status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{body}")]
pub struct ApiError {
    /// The status.
    pub status: StatusCode,
    /// What the caller reads.
    pub body: ErrorBody,
    /// Seconds after which trying again makes sense.
    pub retry_after: Option<u32>,
}

impl ApiError {
    /// An error in the provider's own words.
    #[must_use]
    pub fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        let body = ErrorBody { code: code.into(), message: message.into(), hint: hint.into() };
        Self { status, body, retry_after: None }
    }

    /// 400: the request cannot be understood.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message, "see /v1/openapi.json")
    }

    /// 404: a service, replica or path that is not there.
    #[must_use]
    pub fn not_found(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message, hint)
    }

    /// 409: the lease is in no state for this.
    #[must_use]
    pub fn conflict(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message, hint)
    }

    /// 422: well-formed, but against the rules or the chain.
    #[must_use]
    pub fn unprocessable(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message, hint)
    }

    /// 503: something behind the provider does not answer; trying again in `seconds` may help.
    #[must_use]
    pub fn unavailable(code: &'static str, message: impl Into<String>, seconds: u32) -> Self {
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message, "try again in a few seconds");
        Self { retry_after: Some(seconds), ..error }
    }

    /// 500: a fault of the provider; its cause goes to the provider's log alone.
    #[must_use]
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "lease API request failed");
        let message = "the provider failed; its log has the cause";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message, "try again, or tell the provider")
    }

    /// The provider is about to stop; what runs goes on.
    pub(crate) fn draining() -> Self {
        Self::unavailable("draining", "this provider is restarting; the workload goes on", 5)
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::UNAUTHORIZED);
        let error = Self::new(status, refusal.code(), refusal.to_string(), refusal.hint());
        Self { retry_after: refusal.is_transient().then_some(2), ..error }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
