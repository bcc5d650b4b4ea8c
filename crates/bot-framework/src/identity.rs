//! Reads the bot's registration in Entra from the variables of the Spin application.

use platform::{Settings, SettingsError};
use url::Url;

use crate::cloud::Cloud;

/// The bot's registration in Entra, read from the variables.
#[derive(Debug, Clone)]
pub struct BotIdentity {
    /// `microsoftappid`: the app id. A token that the bot accepts has this id as its audience (claim `aud`).
    pub app_id: String,
    /// The cloud in which the bot is registered.
    pub cloud: Cloud,
    /// `microsoftapptenantid`: the bot's own tenant. A single-tenant bot (`microsoftapptype`) needs this
    /// variable. For a multi-tenant bot, the variable can be empty.
    pub tenant_id: Option<String>,
    /// The tenant from which the bot requests the access tokens for its own calls to the Connector: the Bot
    /// Framework's tenant for a multi-tenant bot, and the bot's own tenant for a single-tenant bot.
    pub token_tenant: String,
    /// The URL of the login host, without a slash at the end: the value of `loginendpoint`, or the default of
    /// the cloud.
    pub login_endpoint: String,
}

impl BotIdentity {
    /// Reads the variables that `authmode=required` needs.
    pub fn read(settings: &impl Settings) -> Result<Self, SettingsError> {
        let app_id = settings.setting("microsoftappid")?.trim().to_owned();
        if app_id.is_empty() {
            let problem =
                "must be set to the bot's app id; for a local test without an app id, set authmode=anonymous";
            return Err(SettingsError::new("microsoftappid", problem));
        }
        let cloud = Cloud::read(settings)?;
        let tenant_id =
            Some(settings.setting("microsoftapptenantid")?.trim().to_owned()).filter(|id| !id.is_empty());
        if tenant_id.as_deref().is_some_and(|id| !is_tenant(id)) {
            let problem = "must be a tenant id or domain name; only letters, digits, `-` and `.` are allowed";
            return Err(SettingsError::new("microsoftapptenantid", problem));
        }
        let token_tenant = match (settings.setting("microsoftapptype")?.trim(), &tenant_id) {
            ("" | "SingleTenant", Some(own)) => own.clone(),
            ("" | "SingleTenant", None) => {
                let problem = "must be set to the bot's tenant id, because microsoftapptype is SingleTenant";
                return Err(SettingsError::new("microsoftapptenantid", problem));
            }
            ("MultiTenant", _) => cloud.multi_tenant().to_owned(),
            _ => {
                return Err(SettingsError::new(
                    "microsoftapptype",
                    "must be `SingleTenant` or `MultiTenant`",
                ));
            }
        };
        let login_endpoint = endpoint_override(settings, "loginendpoint")?;
        Ok(Self {
            app_id,
            cloud,
            tenant_id,
            token_tenant,
            login_endpoint: login_endpoint.unwrap_or_else(|| cloud.login_endpoint().to_owned()),
        })
    }

    /// Whether the bot requests its access tokens from the Bot Framework's tenant.
    pub(crate) fn is_multi_tenant(&self) -> bool {
        self.token_tenant == self.cloud.multi_tenant()
    }
}

fn is_tenant(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

/// Whether the text has the form of an id in Entra: groups of 8-4-4-4-12 hexadecimal digits.
pub fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Reads a variable with a URL that replaces a default URL. `name` is the name of the variable. Returns the
/// URL without slashes at the end, or `None` if the variable is empty. The URL must be https. Only a loopback
/// URL can be http, e.g. for a local test.
pub fn endpoint_override(settings: &impl Settings, name: &str) -> Result<Option<String>, SettingsError> {
    let text = settings.setting(name)?;
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let error = || {
        SettingsError::new(
            name,
            "must be an https URL (http for loopback only) without user, query and fragment",
        )
    };
    let url = Url::parse(text).map_err(|_| error())?;
    let secure = url.scheme() == "https"
        || (url.scheme() == "http" && url.host().is_some_and(|host| is_loopback(&host)));
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if secure && plain { Ok(Some(text.trim_end_matches('/').to_owned())) } else { Err(error()) }
}

/// Whether a host is `localhost` or a loopback address.
pub(crate) fn is_loopback<S: AsRef<str>>(host: &url::Host<S>) -> bool {
    match host {
        url::Host::Domain(name) => name.as_ref() == "localhost",
        url::Host::Ipv4(address) => address.is_loopback(),
        url::Host::Ipv6(address) => address.is_loopback(),
    }
}
