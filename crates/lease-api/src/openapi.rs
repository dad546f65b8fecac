//! The interface for machines: `/v1/openapi.json`, the same as `openapi.json` beside this crate's manifest.

use std::sync::LazyLock;

use axum::response::{IntoResponse as _, Response};
use http::header;
use utoipa::OpenApi as _;

use crate::handlers;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Ionosphere lease API",
        version = "1",
        description = "A lease's interface at its provider. Callers show a client certificate that a wallet authorised; docs/lease-api.md says how one is made.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers(),
    paths(
        handlers::provider, handlers::bid, handlers::put_manifest, handlers::get_manifest, handlers::status,
        handlers::logs, handlers::events, handlers::shell, handlers::quote, handlers::restart, handlers::copy_in,
        handlers::copy_out,
    ),
    tags(
        (name = "public", description = "For everybody"),
        (name = "lease", description = "For the wallet's owner and delegates")
    )
)]
struct Document;

static TEXT: LazyLock<String> = LazyLock::new(|| {
    let mut text = Document::openapi().to_pretty_json().expect("the document is plain data");
    text.push('\n');
    text
});

/// The OpenAPI document as JSON text.
#[must_use]
pub fn text() -> &'static str {
    &TEXT
}

pub(crate) fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text()).into_response()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    /// `UPDATE=1 cargo test -p iono-lease-api openapi` writes it anew.
    #[test]
    fn the_committed_document_is_the_served_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, super::text()).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(path).unwrap(),
            super::text(),
            "run it with UPDATE=1 and review the diff"
        );
    }
}
