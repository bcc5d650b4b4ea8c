//! The variable `callbackhosts`: the hosts to which the poller is allowed to send callbacks. A *callback* is
//! an HTTP call that tells the sender of an alert how a person has answered.

use std::fmt;

use bot_framework::AuthMode;
use platform::{Settings, SettingsError};
use thiserror::Error;
use url::{Host, Url};

const NAME: &str = "callbackhosts";

/// The hosts to which the poller is allowed to send callbacks. In anonymous mode (`authmode=anonymous`), the
/// poller is also allowed to send callbacks to every loopback address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackHosts {
    /// Exact host names in lower case.
    hosts: Vec<String>,
    allows_loopback: bool,
}

/// A URL that [`CallbackHosts::check`] has checked. `Debug` shows only the origin, because the query can hold
/// a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct CallbackUrl {
    url: String,
    origin: String,
}

impl CallbackUrl {
    /// The whole URL.
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// The origin: the scheme, the host, and the port if it is not the default port. The origin holds no
    /// secret, so the log is allowed to show it. The poller counts the failed callbacks of each origin, to
    /// find out whether a host is down.
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

impl fmt::Debug for CallbackUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CallbackUrl").field(&self.origin).finish()
    }
}

/// The reason why the poller is not allowed to send callbacks to a URL. No error text repeats the URL,
/// because the URL can hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotAllowed {
    /// The text is not an absolute http or https URL. Or the URL has a user, a fragment, or characters on
    /// which parsers of URLs disagree. Or the URL spells its host in an unusual way, such as `0x7f.1` for
    /// `127.0.0.1`.
    #[error(
        "callback: expected an absolute URL without user and fragment; ask the sender for another address"
    )]
    NotAUrl,
    /// The scheme is not https, or the port is not the default port of https.
    #[error("callback: expected https on its default port; ask the sender for another address")]
    NotSecure,
    /// The host is an IP address.
    #[error("callback: expected a host name, found an IP address; ask the sender for another address")]
    IpLiteral,
    /// The host is not in the variable `callbackhosts`.
    #[error("callback: expected a host of the variable callbackhosts; add the host, and replay the message")]
    UnknownHost,
}

impl NotAllowed {
    /// Returns the text after `expected` in the error that the sender of the alert gets. The whole error is
    /// `callback: expected <this text>`, because `callback` is the JSON member with the URL.
    pub fn expected(self) -> &'static str {
        match self {
            Self::NotAUrl => "an absolute URL without user and fragment",
            Self::NotSecure => "a URL with https on its default port",
            Self::IpLiteral => "a URL with a host name, found an IP address",
            Self::UnknownHost => "a URL whose host is in the variable callbackhosts",
        }
    }
}

impl CallbackHosts {
    /// Reads the variable `callbackhosts`: exact host names, separated by commas. Returns an error if an
    /// entry is no host name.
    pub fn read(settings: &impl Settings, mode: AuthMode) -> Result<Self, SettingsError> {
        let mut hosts = Vec::new();
        let text = settings.setting(NAME)?;
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            if !is_host_name(entry) {
                let problem = "expected host names separated by commas (no scheme, no port, no `*`)";
                return Err(SettingsError::new(NAME, problem));
            }
            hosts.push(entry.to_ascii_lowercase());
        }
        Ok(Self { hosts, allows_loopback: mode == AuthMode::Anonymous })
    }

    /// Checks whether the poller is allowed to send callbacks to the URL `address`.
    pub fn check(&self, address: &str) -> Result<CallbackUrl, NotAllowed> {
        // Parsers of URLs do not agree on these characters. For example, some parsers read `\` as a slash,
        // and others as a part of the host name. So another parser could find another host in the URL.
        if address.bytes().any(|byte| !(0x21..=0x7e).contains(&byte) || matches!(byte, b'\\' | b'@' | b'#')) {
            return Err(NotAllowed::NotAUrl);
        }
        let (_, rest) = address.split_once("://").ok_or(NotAllowed::NotAUrl)?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if authority.is_empty() || authority.contains('%') {
            return Err(NotAllowed::NotAUrl);
        }
        let url = Url::parse(address).map_err(|_| NotAllowed::NotAUrl)?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(NotAllowed::NotAUrl);
        }
        let host = url.host().ok_or(NotAllowed::NotAUrl)?;
        let is_loopback = match &host {
            Host::Domain(name) => *name == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        let parsed = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        };
        // `address` must spell the host as the parser prints it. For example, the parser prints `0x7f.1` as
        // `127.0.0.1`, so this function refuses `https://0x7f.1/`.
        let written = authority.to_ascii_lowercase();
        let default_port = if url.scheme() == "https" { ":443" } else { ":80" };
        if written != parsed && written.strip_suffix(default_port) != Some(parsed.as_str()) {
            return Err(NotAllowed::NotAUrl);
        }
        let checked =
            || CallbackUrl { url: url.as_str().to_owned(), origin: url.origin().ascii_serialization() };
        if self.allows_loopback && is_loopback {
            return Ok(checked());
        }
        let Host::Domain(name) = host else { return Err(NotAllowed::IpLiteral) };
        if url.scheme() != "https" || url.port().is_some() {
            return Err(NotAllowed::NotSecure);
        }
        if self.hosts.iter().any(|known| known == name) {
            Ok(checked())
        } else {
            Err(NotAllowed::UnknownHost)
        }
    }
}

/// Whether the text is a host name: at least two labels (the parts between the dots) of letters, digits and
/// `-`. If the last label is a number, the text is an IP address and no host name.
fn is_host_name(text: &str) -> bool {
    let labels: Vec<_> = text.split('.').collect();
    let is_label =
        |label: &&str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    labels.len() > 1
        && labels.iter().all(is_label)
        && labels.last().is_some_and(|label| !label.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use platform::testing::FakeHost;

    use super::*;

    fn hosts(list: &str, mode: AuthMode) -> CallbackHosts {
        CallbackHosts::read(&FakeHost::with_settings([(NAME, list)]), mode).unwrap()
    }

    #[test]
    fn callback_url_is_allowed_only_on_a_listed_host_over_https() {
        let hosts = hosts("ci.example.com, X.azurewebsites.net", AuthMode::Required);
        for (address, expected) in [
            ("https://ci.example.com/bot", Ok(())),
            ("https://CI.example.com:443/bot", Ok(())),
            ("https://x.azurewebsites.net/api/f?code=a%3D", Ok(())),
            ("https://ci.example.com", Ok(())),
            ("http://ci.example.com/bot", Err(NotAllowed::NotSecure)),
            ("https://ci.example.com:8443/bot", Err(NotAllowed::NotSecure)),
            ("https://evil.example.com/bot", Err(NotAllowed::UnknownHost)),
            ("https://a.ci.example.com/", Err(NotAllowed::UnknownHost)),
            ("https://ci.example.com.evil.example/", Err(NotAllowed::UnknownHost)),
            ("https://ci.example.com@evil.example/", Err(NotAllowed::NotAUrl)),
            ("https://evil.example/#ci.example.com", Err(NotAllowed::NotAUrl)),
            ("https://169.254.169.254/", Err(NotAllowed::IpLiteral)),
            ("https://10.0.0.1/", Err(NotAllowed::IpLiteral)),
            ("https://[::1]/", Err(NotAllowed::IpLiteral)),
            ("https://0x7f.1/", Err(NotAllowed::NotAUrl)),
            ("https://2130706433/", Err(NotAllowed::NotAUrl)),
            ("https://127.0.0.1/", Err(NotAllowed::IpLiteral)),
            ("http://localhost:1/", Err(NotAllowed::NotSecure)),
            ("https://ci.example.com\\@evil.example/", Err(NotAllowed::NotAUrl)),
            ("https://ci%2eexample.com/", Err(NotAllowed::NotAUrl)),
            ("https:/ci.example.com/", Err(NotAllowed::NotAUrl)),
            ("ftp://ci.example.com/", Err(NotAllowed::NotAUrl)),
            ("file:///etc/passwd", Err(NotAllowed::NotAUrl)),
            ("ci.example.com/bot", Err(NotAllowed::NotAUrl)),
            ("", Err(NotAllowed::NotAUrl)),
        ] {
            assert_eq!(hosts.check(address).map(|_| ()), expected, "{address}");
        }
        let url = hosts.check("https://x.azurewebsites.net/api/f?code=secret").unwrap();
        assert_eq!(url.origin(), "https://x.azurewebsites.net");
        assert!(!format!("{url:?}").contains("secret"));
    }

    #[test]
    fn callback_url_on_loopback_is_allowed_in_anonymous_mode_only() {
        for address in ["http://127.0.0.1:9400/x", "http://localhost:9400/x", "http://[::1]:9400/x"] {
            assert!(hosts("", AuthMode::Anonymous).check(address).is_ok(), "{address}");
            assert!(hosts("", AuthMode::Required).check(address).is_err(), "{address}");
        }
        assert_eq!(
            hosts("", AuthMode::Anonymous).check("http://169.254.169.254/"),
            Err(NotAllowed::IpLiteral),
            "a cloud's metadata service must be refused"
        );
    }

    #[test]
    fn callbackhosts_entry_that_is_no_host_name_is_refused() {
        for list in ["https://x.example", "x.example:8443", "*.example.com", "10.0.0.1", "localhost", "a b.c"]
        {
            let settings = FakeHost::with_settings([(NAME, list)]);
            let error = CallbackHosts::read(&settings, AuthMode::Required).expect_err(list);
            assert_eq!(error.name, NAME);
        }
    }
}
