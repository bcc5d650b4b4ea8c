//! Checks of the request headers `Host` and `Content-Type`. Several routes make these checks.

use bot_framework::AuthMode;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use platform::Settings;

use crate::rejection::Rejection;

/// Checks the header `Host`. With `authmode=anonymous`, the header must name this machine. With
/// `authmode=required`, the header can name any host.
pub(crate) fn expect_own_host(settings: &impl Settings, headers: &HeaderMap) -> Result<(), Rejection> {
    Ok(AuthMode::read(settings)?.check_host(headers)?)
}

/// Checks the header `Content-Type`: the body must be JSON.
pub(crate) fn expect_json(headers: &HeaderMap) -> Result<(), Rejection> {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") { Ok(()) } else { Err(Rejection::NotJson) }
}
