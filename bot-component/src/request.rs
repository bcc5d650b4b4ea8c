//! What every route asks of a request.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

use crate::rejection::Rejection;

/// The body has to be JSON, by its Content-Type.
pub(crate) fn expect_json(headers: &HeaderMap) -> Result<(), Rejection> {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") { Ok(()) } else { Err(Rejection::NotJson) }
}
