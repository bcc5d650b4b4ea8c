//! Reads the variable `authmode`. In anonymous mode, the module also checks the header `Host` of a request.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::HOST;
use platform::{Settings, SettingsError};
use thiserror::Error;

/// Whether a caller has to prove its identity. In Microsoft's SDKs, an empty app id turns the check of
/// callers off. In this project, only `authmode=anonymous` turns this check off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMode {
    /// Every call needs a valid token.
    Required,
    /// For local tests: callers need no token. The bot sends messages only to loopback (the same machine),
    /// and without its token for the Connector.
    Anonymous,
}

/// Error: in anonymous mode, the header `Host` of a request does not name this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "Host: expected a name of this machine, because authmode=anonymous serves no other machine; \
     call localhost or 127.0.0.1"
)]
pub struct ForeignHost;

impl ForeignHost {
    /// The error code, which programs read and which never changes.
    pub const CODE: &str = "HostNotAllowed";
}

impl AuthMode {
    /// Reads the variable `authmode`.
    pub fn read(settings: &impl Settings) -> Result<Self, SettingsError> {
        match settings.setting("authmode")?.trim() {
            "required" => Ok(Self::Required),
            "anonymous" => Ok(Self::Anonymous),
            _ => Err(SettingsError::new("authmode", "must be `required` or `anonymous`")),
        }
    }

    /// Checks the header `Host`. In anonymous mode, the header must name this machine. With
    /// `authmode=required`, every value is accepted.
    ///
    /// The check stops an attack from a web page (DNS rebinding). A developer tests the bot, and opens the
    /// attacker's page in a browser on the same machine. The attacker makes the host name of the page resolve
    /// to loopback, so the page can call the bot. But the page cannot change the header `Host`, which still
    /// contains the host name of the page.
    pub fn check_host(self, headers: &HeaderMap) -> Result<(), ForeignHost> {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        if self == Self::Required || is_this_machine(host_of_authority(host)) {
            Ok(())
        } else {
            Err(ForeignHost)
        }
    }
}

/// Returns the host of an authority (the value of `Host`): `host`, `host:port` or `[IPv6 address]:port`.
fn host_of_authority(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// Whether the name means this machine: `localhost`, a loopback address, or a name that ends with
/// `.spin.internal`. The components of a Spin application call each other by such names (local service
/// chaining). No web page of an attacker can have such a name, because no person can register a name under
/// `internal`.
fn is_this_machine(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        || name.strip_suffix(".spin.internal").is_some_and(|component| !component.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_in_anonymous_mode_must_name_this_machine() {
        for (host, expected) in [
            ("127.0.0.1:3000", true),
            ("127.0.0.1", true),
            ("127.9.9.9:80", true),
            ("localhost:3000", true),
            ("LocalHost", true),
            ("[::1]:3000", true),
            ("[::1]", true),
            ("poller.spin.internal", true),
            ("evil.example:3000", false),
            ("evil.example", false),
            ("localhost.evil.example:3000", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.", false),
            ("evil.example:127.0.0.1", false),
            ("localhost@evil.example", false),
            ("[fe80::1]:3000", false),
            ("0.0.0.0:3000", false),
            ("192.168.1.10:3000", false),
            ("10.0.0.1", false),
            ("spin.internal", false),
            (".spin.internal", false),
            ("evil.spin.internal.example", false),
            ("ü", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(HOST, host.parse().unwrap())]);
            assert_eq!(AuthMode::Anonymous.check_host(&headers).is_ok(), expected, "{host}");
            assert!(AuthMode::Required.check_host(&headers).is_ok(), "{host}");
        }
        assert_eq!(AuthMode::Anonymous.check_host(&HeaderMap::new()), Err(ForeignHost));
    }
}
