//! Whom we talk to. A bot posts, with its token, to whatever `serviceUrl` it was told; whoever can plant one there
//! receives a token that is good for every conversation of the bot. So a `serviceUrl` is a claim, until a policy has made
//! a [`ServiceUrl`] of it.

use std::fmt;

use platform::{Settings, SettingsError};
use thiserror::Error;
use url::{Host, Url};

use crate::auth_mode::AuthMode;
use crate::cloud::Cloud;
use crate::identity::is_loopback;

/// The address of a Connector that a [`TrustPolicy`] has agreed to. There is no other way to make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceUrl {
    base: String,
    takes_token: bool,
}

impl ServiceUrl {
    /// The base to which paths are *appended*: it has a path of its own on Teams (`/amer/`), which joining would lose.
    /// Without a slash at its end.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Whether the bot's token may be sent there: never to what anonymous mode has agreed to.
    pub(crate) fn takes_token(&self) -> bool {
        self.takes_token
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

/// Why a `serviceUrl` is not trusted. The texts do not repeat it: it is a stranger's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotTrusted {
    /// Not a plain absolute URL: no host, a user, a query, a fragment, or characters that parsers disagree about.
    #[error("serviceUrl: expected an absolute URL without user, query and fragment")]
    NotAUrl,
    /// Anonymous mode talks to this machine only.
    #[error("serviceUrl: the host is not loopback; authmode=anonymous sends to loopback only")]
    NotLoopback,
    /// A token travels over https only, on its default port.
    #[error("serviceUrl: expected https on its default port")]
    NotSecure,
    /// An address is nobody's name.
    #[error("serviceUrl: expected a host name, found an IP address")]
    IpLiteral,
    /// The host is on no list.
    #[error("serviceUrl: the host is not trusted; to trust this host, add it to servicehosts")]
    UnknownHost,
}

/// The rule by which a `serviceUrl` is trusted. Applied when an address is captured, and again when something is sent.
#[derive(Debug, Clone)]
pub enum TrustPolicy {
    /// `authmode=anonymous`: loopback only, and nothing is ever sent with a token.
    Anonymous,
    /// `authmode=required`: the cloud's Connectors, and what `servicehosts` adds.
    Listed {
        /// The cloud whose Connectors are trusted.
        cloud: Cloud,
        /// More hosts.
        extra: ServiceHosts,
    },
}

/// The variable `servicehosts`: more trusted Connectors, comma separated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceHosts {
    /// Exact host names, lower case: https, default port.
    hosts: Vec<String>,
    /// Whole loopback origins, for tests: `http://127.0.0.1:9200`.
    loopback_origins: Vec<String>,
}

impl ServiceHosts {
    /// Reads the variable. Each entry is an exact host name, or a whole loopback origin.
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

    /// Whether a loopback origin is among them, which deserves a warning: it is for tests.
    pub fn trusts_loopback(&self) -> bool {
        !self.loopback_origins.is_empty()
    }
}

/// A name with at least two labels of letters, digits and `-`, the last of which is not a number (that would be an IP).
fn is_host_name(text: &str) -> bool {
    let labels: Vec<_> = text.split('.').collect();
    let is_label =
        |label: &&str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    labels.len() > 1
        && labels.iter().all(is_label)
        && labels.last().is_some_and(|label| !label.bytes().all(|b| b.is_ascii_digit()))
}

impl TrustPolicy {
    /// The policy of a mode, with what the variables `channelservice` and `servicehosts` say.
    pub fn read(mode: AuthMode, settings: &impl Settings) -> Result<Self, SettingsError> {
        Ok(match mode {
            AuthMode::Anonymous => Self::Anonymous,
            AuthMode::Required => {
                Self::Listed { cloud: Cloud::read(settings)?, extra: ServiceHosts::read(settings)? }
            }
        })
    }

    /// Decides on one `serviceUrl`.
    pub fn check(&self, service_url: &str) -> Result<ServiceUrl, NotTrusted> {
        // Characters that one parser drops, another takes for a slash, and a third for part of the name.
        if service_url
            .bytes()
            .any(|byte| !(0x21..=0x7e).contains(&byte) || matches!(byte, b'\\' | b'@' | b'?' | b'#'))
        {
            return Err(NotTrusted::NotAUrl);
        }
        // Before parsing: what is behind a percent sign need not be ASCII, for which `idna_adapter` has an assertion.
        // And the parser finds a host behind one slash, three, or none, where nothing literal could be compared with it.
        let (scheme, after_scheme) = service_url.split_once("://").ok_or(NotTrusted::NotAUrl)?;
        let literal_host = after_scheme.split('/').next().unwrap_or_default();
        let is_web = ["https", "http"].iter().any(|web| scheme.eq_ignore_ascii_case(web));
        if !is_web || literal_host.is_empty() || literal_host.contains('%') {
            return Err(NotTrusted::NotAUrl);
        }
        let url = Url::parse(service_url).map_err(|_| NotTrusted::NotAUrl)?;
        // What the parser took for the host has to stand there literally: no `0x7f.1` for 127.0.0.1.
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

    /// Whether `servicehosts` makes it trust this machine with the bot's token, which deserves a warning.
    pub fn trusts_loopback(&self) -> bool {
        matches!(self, Self::Listed { extra, .. } if extra.trusts_loopback())
    }

    /// Decides on the address of Direct Line, to which its secret is sent: the cloud's, and not just any Connector.
    pub fn check_direct_line(&self, endpoint: &str) -> Result<ServiceUrl, NotTrusted> {
        let url = self.check(endpoint)?;
        // Over http it is loopback, which has been agreed to by name.
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

    /// The Connector of GCC tenants, for a conversation whose own Connector answers that it lives in another cloud.
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
                if extra.loopback_origins.contains(&url.origin().ascii_serialization()) =>
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
