//! The public URL of the bot. Other programs call the bot's routes at this URL.

use bot_framework::{AuthMode, endpoint_override};
use http::HeaderMap;
use http::header::HOST;
use platform::{Settings, SettingsError};

/// The longest `Host` header (a host name and a port) that the bot accepts, in characters.
const MAX_HOST_CHARACTERS: usize = 261;

/// The public URL of the bot, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicUrl(String);

impl PublicUrl {
    /// Reads the variable `publicurl`. Returns `None` if the variable is empty.
    pub(crate) fn read(settings: &impl Settings) -> Result<Option<Self>, SettingsError> {
        Ok(endpoint_override(settings, "publicurl")?.map(Self))
    }

    /// Returns the variable `publicurl`. If the variable is empty, returns a URL with the host in the header
    /// `Host` of the request. Returns `None` if `Host` is missing, or is no valid host (see [`is_host`]).
    ///
    /// The bot calls this function only after it has verified the caller of the route. A verified caller, for
    /// example Teams, calls the bot at the bot's public URL. So `Host` names the host of this URL.
    ///
    /// The bot ignores `X-Forwarded-Host` and `Forwarded`. Without a proxy that replaces these headers, a
    /// caller can set them to any host. If a reverse proxy changes `Host`, the operator has to set
    /// `publicurl`.
    pub(crate) fn of(settings: &impl Settings, headers: &HeaderMap) -> Result<Option<Self>, SettingsError> {
        if let Some(set) = Self::read(settings)? {
            return Ok(Some(set));
        }
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).filter(|host| is_host(host));
        Ok(host.map(|host| {
            // A caller uses https for a public bot, and http for a bot on the caller's own machine.
            let is_local = AuthMode::Anonymous.check_host(headers).is_ok();
            Self(format!("{}://{host}", if is_local { "http" } else { "https" }))
        }))
    }

    /// The webhook address with this token. A *webhook address* is a URL of the bot: if a program posts to
    /// this URL, a conversation gets the post as an alert.
    pub(crate) fn webhook_address(&self, token: &str) -> String {
        format!("{}/api/hooks/{token}", self.0)
    }
}

/// Whether the text has only characters of a host name, an IP address and a port. Other characters would be
/// dangerous, because the bot writes the text into a shell command (`curl`). The bot shows this shell command
/// to a person who sends the chat command `webhook`.
fn is_host(text: &str) -> bool {
    (1..=MAX_HOST_CHARACTERS).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use platform::testing::FakeHost;

    use super::*;

    fn webhook_address(variable: &str, headers: &[(&'static str, &str)]) -> Result<Option<String>, String> {
        let settings = FakeHost::with_settings([("publicurl", variable)]);
        let header = |(name, value): &(&'static str, &str)| {
            (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        let headers = headers.iter().map(header).collect();
        let url = PublicUrl::of(&settings, &headers).map_err(|error| error.name)?;
        Ok(url.map(|url| url.webhook_address("TOKEN")))
    }

    #[test]
    fn url_has_the_host_of_publicurl_or_of_the_host_header() {
        for (variable, host, expected) in [
            ("", "bot.example.com", Some("https://bot.example.com/api/hooks/TOKEN")),
            ("", "bot.example.com:8443", Some("https://bot.example.com:8443/api/hooks/TOKEN")),
            ("", "localhost:3978", Some("http://localhost:3978/api/hooks/TOKEN")),
            ("", "127.0.0.1:3978", Some("http://127.0.0.1:3978/api/hooks/TOKEN")),
            ("", "[::1]:3978", Some("http://[::1]:3978/api/hooks/TOKEN")),
            ("https://door.example/bot/", "inner", Some("https://door.example/bot/api/hooks/TOKEN")),
            ("", "evil.example/'; rm", None),
            ("", "user@evil.example", None),
            ("", "", None),
        ] {
            assert_eq!(
                webhook_address(variable, &[("host", host)]),
                Ok(expected.map(str::to_owned)),
                "{variable} {host}"
            );
        }
        assert_eq!(webhook_address("http://bot.example.com", &[]), Err("publicurl".into()));
    }

    #[test]
    fn forwarded_headers_of_a_caller_do_not_change_the_url() {
        let headers = [
            ("host", "bot.example.com"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-proto", "http"),
            ("forwarded", "host=evil.example;proto=http"),
        ];
        assert_eq!(webhook_address("", &headers), Ok(Some("https://bot.example.com/api/hooks/TOKEN".into())));
        assert_eq!(webhook_address("", &headers[1..]), Ok(None));
    }
}
