//! Decides to which URLs the bot is allowed to send messages.
//!
//! Each activity contains a `serviceUrl`: the URL of the Connector (the HTTP API that delivers messages) for
//! the conversation. The bot sends its messages and its access token to this URL. If an attacker could choose
//! the URL, the attacker would receive a token that is valid for every conversation of the bot. So a
//! [`TrustPolicy`] must first check the `serviceUrl`. Then the policy returns a [`ServiceUrl`].

use std::fmt;

use platform::{Settings, SettingsError};
use thiserror::Error;
use url::{Host, Url};

use crate::auth_mode::AuthMode;
use crate::cloud::Cloud;
use crate::identity::is_loopback;

/// A URL that a [`TrustPolicy`] has checked: the URL of a Connector, or of Direct Line (another API that
/// delivers messages). No function except [`TrustPolicy::check`] makes a value of this type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceUrl {
    base: String,
    takes_token: bool,
}

impl ServiceUrl {
    /// The URL without a slash at the end. A caller must append a path as text, because [`Url::join`] would
    /// remove the path that the URL already has (on Teams, e.g. `/amer`).
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The scheme, the host, and the first segment of the path. On Teams this segment is the region
    /// (`https://smba.trafficmanager.net/amer`). The poller records for each region whether the region is
    /// down (see *Breaker* in `docs/concepts.md`).
    pub fn region(&self) -> &str {
        let host = self.base.find("://").map_or(0, |scheme| scheme + 3);
        let mut slashes = self.base.match_indices('/').map(|(index, _)| index).filter(|index| *index > host);
        &self.base[..slashes.nth(1).unwrap_or(self.base.len())]
    }

    /// Whether the bot is allowed to send its token to this URL. The result is true if
    /// [`TrustPolicy::Listed`] checked the URL, and false if [`TrustPolicy::Anonymous`] checked the URL.
    pub(crate) fn takes_token(&self) -> bool {
        self.takes_token
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

/// The reason why a `serviceUrl` is not trusted. The error texts do not repeat the URL, because the sender of
/// a request can write any text in place of the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotTrusted {
    /// The URL has no host, has a scheme other than http and https, or has a user, a query or a fragment.
    /// This error also stands for a character or a host that different parsers read in different ways.
    #[error("serviceUrl: expected an absolute URL without user, query and fragment")]
    NotAUrl,
    /// The host is not loopback. In anonymous mode, the bot sends only to loopback (the same machine).
    #[error("serviceUrl: the host is not loopback; authmode=anonymous sends to loopback only")]
    NotLoopback,
    /// The scheme is not https, or the port is not the default port of https.
    #[error("serviceUrl: expected https on its default port")]
    NotSecure,
    /// The host is an IP address. With `authmode=required`, the only allowed IP addresses are loopback
    /// origins in `servicehosts`, e.g. `http://127.0.0.1:9200`.
    #[error("serviceUrl: expected a host name, found an IP address")]
    IpLiteral,
    /// The host is not a Connector of the bot's cloud, and `servicehosts` does not list the host. The clouds
    /// are the public cloud, US Government and China.
    #[error("serviceUrl: the host is not trusted; to trust this host, add it to servicehosts")]
    UnknownHost,
}

/// The rules that decide whether a `serviceUrl` is trusted. The rules apply before the bot stores the address
/// of a conversation, and again before the bot or the poller sends a message to this address.
#[derive(Debug, Clone)]
pub enum TrustPolicy {
    /// `authmode=anonymous`: only loopback is trusted, and no token is ever sent.
    Anonymous,
    /// `authmode=required`: the cloud's Connectors and the hosts in `servicehosts` are trusted.
    Listed {
        /// The cloud whose Connectors are trusted.
        cloud: Cloud,
        /// The hosts that `servicehosts` adds.
        extra: ServiceHosts,
    },
}

/// The variable `servicehosts`: hosts that the bot trusts in addition to the cloud's Connectors, separated by
/// commas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceHosts {
    /// Exact host names in lower case, for https on the default port.
    hosts: Vec<String>,
    /// Loopback origins (scheme, host and port) for tests, e.g. `http://127.0.0.1:9200`.
    loopback_origins: Vec<String>,
}

impl ServiceHosts {
    /// Reads the variable `servicehosts`. Each entry is an exact host name or a loopback origin.
    pub fn read(settings: &impl Settings) -> Result<Self, SettingsError> {
        let mut read = Self::default();
        for entry in
            settings.setting("servicehosts")?.split(',').map(str::trim).filter(|entry| !entry.is_empty())
        {
            let origin =
                Url::parse(entry).ok().filter(|url| url.host().is_some_and(|host| is_loopback(&host)));
            if let Some(origin) = origin.filter(|url| url.path() == "/" && url.scheme() == "http") {
                read.loopback_origins.push(origin.origin().ascii_serialization());
            } else if is_host_name(entry) {
                read.hosts.push(entry.to_ascii_lowercase());
            } else {
                let problem = "must be host names separated by commas (no scheme, no port, no `*`), \
                               or for tests whole loopback origins such as http://127.0.0.1:9200";
                return Err(SettingsError::new("servicehosts", problem));
            }
        }
        Ok(read)
    }

    /// Whether the list has a loopback origin. The caller should log a warning, because such an origin is
    /// only for tests.
    pub fn trusts_loopback(&self) -> bool {
        !self.loopback_origins.is_empty()
    }
}

/// Whether the text has at least two labels (parts between dots) of letters, digits and `-`. If the last
/// label is a number, the text is an IP address, and the result is false.
fn is_host_name(text: &str) -> bool {
    let labels: Vec<_> = text.split('.').collect();
    let is_label =
        |label: &&str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    labels.len() > 1
        && labels.iter().all(is_label)
        && labels.last().is_some_and(|label| !label.bytes().all(|b| b.is_ascii_digit()))
}

impl TrustPolicy {
    /// Reads the policy of a mode from the variables `channelservice` and `servicehosts`.
    pub fn read(mode: AuthMode, settings: &impl Settings) -> Result<Self, SettingsError> {
        Ok(match mode {
            AuthMode::Anonymous => Self::Anonymous,
            AuthMode::Required => {
                Self::Listed { cloud: Cloud::read(settings)?, extra: ServiceHosts::read(settings)? }
            }
        })
    }

    /// Checks a `serviceUrl` by the rules of this policy. The check makes no HTTP call.
    pub fn check(&self, service_url: &str) -> Result<ServiceUrl, NotTrusted> {
        // Parsers do not agree on these characters. Some parsers drop such a character, some read it as a
        // slash, and some read it as a part of the host name.
        if service_url
            .bytes()
            .any(|byte| !(0x21..=0x7e).contains(&byte) || matches!(byte, b'\\' | b'@' | b'?' | b'#'))
        {
            return Err(NotTrusted::NotAUrl);
        }
        // The following checks of the text come before `Url::parse`, for two reasons:
        //
        // - `Url::parse` decodes escapes such as `%C3` in the host. If a decoded byte is not ASCII, an
        //   assertion of `idna_adapter` fails in debug builds.
        // - `Url::parse` accepts `https:h`, `https:/h` and `https:///h`, all with the host `h`. The checks
        //   refuse such a URL, because its host does not directly follow `://`.
        let (scheme, after_scheme) = service_url.split_once("://").ok_or(NotTrusted::NotAUrl)?;
        let literal_host = after_scheme.split('/').next().unwrap_or_default();
        let is_web = ["https", "http"].iter().any(|web| scheme.eq_ignore_ascii_case(web));
        if !is_web || literal_host.is_empty() || literal_host.contains('%') {
            return Err(NotTrusted::NotAUrl);
        }
        let url = Url::parse(service_url).map_err(|_| NotTrusted::NotAUrl)?;
        // The host in the text must equal the parsed host. For example, the text `0x7f.1` is refused, because
        // the parsed host is 127.0.0.1.
        let host = url.host().ok_or(NotTrusted::NotAUrl)?;
        let as_parsed = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        };
        let default_port = match url.scheme() {
            "https" => ":443",
            "http" => ":80",
            _ => return Err(NotTrusted::NotAUrl),
        };
        let literal = literal_host.to_ascii_lowercase();
        if literal != as_parsed && literal.strip_suffix(default_port) != Some(as_parsed.as_str()) {
            return Err(NotTrusted::NotAUrl);
        }
        self.check_host(&url, &host)?;
        Ok(ServiceUrl {
            base: url.as_str().trim_end_matches('/').to_owned(),
            takes_token: matches!(self, Self::Listed { .. }),
        })
    }

    /// Whether `servicehosts` lists a loopback origin. In this case, the bot is allowed to send its token to
    /// this machine, and the caller should log a warning.
    pub fn trusts_loopback(&self) -> bool {
        matches!(self, Self::Listed { extra, .. } if extra.trusts_loopback())
    }

    /// Checks the URL of Direct Line. Direct Line is another API through which the poller can deliver alerts.
    /// The poller sends the Direct Line secret to this URL. A Connector must not receive this secret. So with
    /// `authmode=required`, the function accepts only the Direct Line hosts of the cloud, and the entries of
    /// `servicehosts`.
    pub fn check_direct_line(&self, endpoint: &str) -> Result<ServiceUrl, NotTrusted> {
        let url = self.check(endpoint)?;
        // Loopback needs no further check. In anonymous mode, `check` accepts only loopback. With
        // `authmode=required`, `check` accepts http only for a loopback origin in `servicehosts`.
        let (Self::Listed { cloud, extra }, Some(rest)) = (self, url.base.strip_prefix("https://")) else {
            return Ok(url);
        };
        let host = rest.split('/').next().unwrap_or_default();
        let is_direct_line = host
            .strip_suffix(cloud.direct_line_host())
            .is_some_and(|region| region.is_empty() || region.ends_with('.'));
        if is_direct_line || extra.hosts.iter().any(|extra| extra == host) {
            Ok(url)
        } else {
            Err(NotTrusted::UnknownHost)
        }
    }

    /// The URL of the Connector of Teams. The bot uses this URL if no activity of the conversation has told
    /// the bot a `serviceUrl`. The result is `None` in anonymous mode, and in a cloud for which Microsoft
    /// documents no such URL.
    pub fn teams_connector(&self) -> Option<&'static str> {
        match self {
            Self::Listed { cloud, .. } => cloud.teams_connector(),
            Self::Anonymous => None,
        }
    }

    /// The Connector of GCC, a part of Teams for US authorities. If the usual Connector reports that a
    /// conversation is in another cloud, the bot or the poller repeats the call at the Connector of GCC. The
    /// result is `None` in anonymous mode, and outside the public cloud.
    pub fn gcc_connector(&self) -> Option<ServiceUrl> {
        match self {
            Self::Listed { cloud: Cloud::Public, .. } => {
                self.check("https://smba.infra.gcc.teams.microsoft.com/teams").ok()
            }
            Self::Listed { .. } | Self::Anonymous => None,
        }
    }

    fn check_host(&self, url: &Url, host: &Host<&str>) -> Result<(), NotTrusted> {
        match self {
            Self::Anonymous if is_loopback(host) => Ok(()),
            Self::Anonymous => Err(NotTrusted::NotLoopback),
            Self::Listed { extra, .. }
                if is_loopback(host)
                    && extra.loopback_origins.contains(&url.origin().ascii_serialization()) =>
            {
                Ok(())
            }
            Self::Listed { .. } if url.scheme() != "https" || url.port().is_some() => {
                Err(NotTrusted::NotSecure)
            }
            Self::Listed { cloud, extra } => match host {
                Host::Domain(name) if cloud.has_connector(name) => Ok(()),
                Host::Domain(name) if extra.hosts.iter().any(|host| host == name) => Ok(()),
                Host::Domain(_) => Err(NotTrusted::UnknownHost),
                Host::Ipv4(_) | Host::Ipv6(_) => Err(NotTrusted::IpLiteral),
            },
        }
    }
}
