//! The clouds in which the Bot Framework runs, with the hosts, issuers and tenants of each cloud.

use platform::{Settings, SettingsError};

/// A cloud, selected by the variable `channelservice`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    /// The public cloud. A bot in GCC (a part of Teams for US authorities) also has this value, although GCC
    /// has its own Connector.
    Public,
    /// US Government: GCC High and DoD.
    UsGov,
    /// China, operated by 21Vianet.
    China,
}

impl Cloud {
    /// Reads the variable `channelservice`.
    pub fn read(settings: &impl Settings) -> Result<Self, SettingsError> {
        match settings.setting("channelservice")?.trim().trim_end_matches('/') {
            "" => Ok(Self::Public),
            "https://botframework.azure.us" => Ok(Self::UsGov),
            "https://botframework.azure.cn" => Ok(Self::China),
            _ => Err(SettingsError::new(
                "channelservice",
                "must be empty (public cloud), `https://botframework.azure.us` or `https://botframework.azure.cn`",
            )),
        }
    }

    /// The claim `iss` (the issuer) of a token from a channel. A channel is a service that connects people
    /// with the bot, such as Teams.
    pub fn channel_issuer(self) -> &'static str {
        match self {
            Self::Public => "https://api.botframework.com",
            Self::UsGov => "https://api.botframework.us",
            Self::China => "https://api.botframework.azure.cn",
        }
    }

    /// The URL of the OpenID metadata for the channels' tokens. OpenID metadata is JSON that names the URL of
    /// the signing keys.
    pub fn channel_metadata(self) -> &'static str {
        match self {
            Self::Public => "https://login.botframework.com/v1/.well-known/openidconfiguration",
            Self::UsGov => "https://login.botframework.azure.us/v1/.well-known/openidconfiguration",
            Self::China => "https://login.botframework.azure.cn/v1/.well-known/openidconfiguration",
        }
    }

    /// The path of the OpenID metadata for Entra's tokens. The URL is the login endpoint, followed by this
    /// path.
    pub fn entra_metadata_path(self) -> &'static str {
        match self {
            Self::Public => "/common/v2.0/.well-known/openid-configuration",
            Self::UsGov => "/cab8a31a-1906-4287-a0d8-4eef66b95f6e/v2.0/.well-known/openid-configuration",
            Self::China => "/a55a4d5b-9241-49b1-b4ff-befa8db00269/.well-known/openid-configuration",
        }
    }

    /// The URL of the host where Entra issues tokens.
    pub fn login_endpoint(self) -> &'static str {
        match self {
            Self::Public => "https://login.microsoftonline.com",
            Self::UsGov => "https://login.microsoftonline.us",
            Self::China => "https://login.partner.microsoftonline.cn",
        }
    }

    /// The claim `iss` of a token of version 1 that Entra issued for `tenant`.
    pub fn entra_issuer_v1(self, tenant: &str) -> String {
        match self {
            Self::Public | Self::UsGov => format!("https://sts.windows.net/{tenant}/"),
            Self::China => format!("https://sts.chinacloudapi.cn/{tenant}/"),
        }
    }

    /// The claim `iss` of a token of version 2 that Entra issued for `tenant`.
    pub fn entra_issuer_v2(self, tenant: &str) -> String {
        format!("{}/{tenant}/v2.0", self.login_endpoint())
    }

    /// Whether `host` (in lower case) is one of the two login hosts of this cloud: the host of
    /// [`Cloud::channel_metadata`] or of [`Cloud::login_endpoint`]. OpenID metadata names the URL of the
    /// signing keys. The bot accepts a URL on a login host, even if the metadata is on another host.
    pub(crate) fn has_login_host(self, host: &str) -> bool {
        [self.channel_metadata(), self.login_endpoint()].iter().any(|url| url.split('/').nth(2) == Some(host))
    }

    /// The ids of the Bot Framework's own tenants. A multi-tenant bot requests its own tokens from these
    /// tenants. The claim `iss` of such a token contains the id of one of the tenants.
    pub(crate) fn multi_tenant_issuers(self) -> impl Iterator<Item = &'static str> {
        const SERVICES: &str = "f8cdef31-a31e-4b4a-93e4-5f571e91255a";
        let tenants: &[_] = match self {
            Self::Public => &["d6d49420-f39b-4df7-a1dc-d59a935871db", SERVICES],
            Self::UsGov => &["cab8a31a-1906-4287-a0d8-4eef66b95f6e", SERVICES],
            Self::China => &["a55a4d5b-9241-49b1-b4ff-befa8db00269"],
        };
        tenants.iter().copied()
    }

    /// The domain name of the tenant from which a multi-tenant bot requests its tokens.
    pub fn multi_tenant(self) -> &'static str {
        match self {
            Self::Public => "botframework.com",
            Self::UsGov => "MicrosoftServices.onmicrosoft.us",
            Self::China => "microsoftservices.partner.onmschina.cn",
        }
    }

    /// The `scope` with which the bot requests a token for the Connector. Without `/.default`, this text is
    /// the audience of the token.
    pub fn connector_scope(self) -> &'static str {
        match self {
            Self::Public => "https://api.botframework.com/.default",
            Self::UsGov => "https://api.botframework.us/.default",
            Self::China => "https://api.botframework.azure.cn/.default",
        }
    }

    /// The URL of the Connector of Teams. The bot uses this URL if no activity of the conversation has named
    /// a `serviceUrl` (the URL of the conversation's Connector). The result is `None` if Microsoft documents
    /// no URL for this cloud. Source:
    /// <https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/send-proactive-messages>.
    pub fn teams_connector(self) -> Option<&'static str> {
        match self {
            Self::Public => Some("https://smba.trafficmanager.net/teams/"),
            Self::UsGov => Some("https://smba.infra.gov.teams.microsoft.us/teams/"),
            Self::China => None,
        }
    }

    /// The host of Direct Line, Microsoft's HTTP API with which programs talk to bots. Each region of Direct
    /// Line has a subdomain, e.g. `europe.directline.botframework.com`.
    pub fn direct_line_host(self) -> &'static str {
        match self {
            Self::Public => "directline.botframework.com",
            Self::UsGov => "directline.botframework.azure.us",
            Self::China => "directline.botframework.azure.cn",
        }
    }

    /// Whether `host` (in lower case) is the host of a Connector of this cloud.
    ///
    /// `smba.trafficmanager.net` must match exactly, because any Azure customer can register a name under
    /// `trafficmanager.net`.
    pub fn has_connector(self, host: &str) -> bool {
        // A label is a part of the host name between dots. At least one label must come before the suffix,
        // and each label must consist of letters, digits and `-`. The code checks the characters, because the
        // crate `url` also accepts characters that are not valid in DNS.
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        let below =
            |suffix: &str| host.strip_suffix(suffix).is_some_and(|labels| labels.split('.').all(is_label));
        match self {
            Self::Public => {
                host == "smba.trafficmanager.net"
                    || below(".botframework.com")
                    || (host.starts_with("smba.") && below(".teams.microsoft.com"))
            }
            Self::UsGov => {
                matches!(host, "smba.infra.gov.teams.microsoft.us" | "smba.infra.dod.teams.microsoft.us")
                    || below(".botframework.azure.us")
            }
            Self::China => below(".botframework.azure.cn"),
        }
    }
}
