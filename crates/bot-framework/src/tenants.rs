//! The variable `tenants`: the Entra tenants (organizations) whose people are allowed to send messages to the
//! bot and to receive alerts.
//!
//! Any tenant can install a Teams app with this bot's id. Teams then sends the bot activities from this
//! tenant. Each of these activities has a valid token, but the token does not name the sender's tenant. So
//! the bot must look at the tenant in the activity.

use platform::{Settings, SettingsError, excerpt};
use thiserror::Error;

use crate::activity::Activity;
use crate::identity::{BotIdentity, is_guid};
use crate::reference::ConversationReference;
use crate::vouching::vouches_for_identity;

/// The tenants that the bot serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tenants {
    /// The bot serves every tenant.
    Any,
    /// The bot serves only these tenants.
    Only(Vec<String>),
}

/// The reason why the bot refuses an activity.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TenantRefused {
    /// The activity names a tenant that the bot does not serve. The value is an excerpt of the tenant's id.
    #[error(
        "tenant {0}: not in `tenants`; add the id there (if `tenants` is empty, only the id in \
         `microsoftapptenantid` is served)"
    )]
    NotListed(String),
    /// The activity names no tenant, although the activities of its channel always name a tenant.
    #[error(
        "activity: names no tenant; the bot accepts only activities of the tenants that it serves (`tenants`)"
    )]
    Missing,
}

impl Tenants {
    /// Reads the variable `tenants`. If the variable is empty:
    ///
    /// - A single-tenant bot serves its own tenant.
    /// - A multi-tenant bot serves every tenant.
    /// - In anonymous mode (`authmode=anonymous`, without `identity`), the bot serves every tenant.
    pub fn read(settings: &impl Settings, identity: Option<&BotIdentity>) -> Result<Self, SettingsError> {
        let text = settings.setting("tenants")?;
        match (text.trim(), identity) {
            ("any", _) | ("", None) => Ok(Self::Any),
            ("", Some(identity)) => match &identity.tenant_id {
                Some(own) if !identity.is_multi_tenant() => Ok(Self::Only(vec![own.clone()])),
                _ => Ok(Self::Any),
            },
            (list, _) => {
                let problem = "must be `any`, or tenant ids separated by commas, such as \
                               00000000-0000-0000-0000-000000000001";
                let ids: Vec<_> = list.split(',').map(|id| id.trim().to_owned()).collect();
                if !ids.iter().all(|id| is_guid(id)) {
                    return Err(SettingsError::new("tenants", problem));
                }
                Ok(Self::Only(ids))
            }
        }
    }

    /// Decides whether the bot accepts an activity. An activity can name a tenant in two places,
    /// `conversation` and `channelData`. If the bot serves only some tenants, the bot refuses an activity
    /// that names a tenant outside the list, and an activity that names no tenant. The check applies to
    /// Teams, which sets the tenant itself. On other channels, the client chooses the tenant, so there is no
    /// check.
    pub fn admit(&self, activity: &Activity) -> Result<(), TenantRefused> {
        let Self::Only(_) = self else { return Ok(()) };
        if !activity.channel_id.as_deref().is_some_and(vouches_for_identity) {
            return Ok(());
        }
        let named = [activity.conversation.tenant_id(), activity.channel_tenant_id()];
        let mut is_named = false;
        for tenant in named.into_iter().flatten() {
            if !self.lists(tenant) {
                return Err(TenantRefused::NotListed(excerpt(tenant).to_string()));
            }
            is_named = true;
        }
        if is_named { Ok(()) } else { Err(TenantRefused::Missing) }
    }

    /// Whether the bot is allowed to send an alert to a conversation. `reference` is the address of the
    /// conversation. The rules are:
    ///
    /// - If the address is on Teams and names a tenant, the address is allowed only if the bot serves this
    ///   tenant.
    /// - If the address is on Teams and names no tenant, the address is allowed. Activities of Teams always
    ///   name the tenant. So this address comes from a program of the operator, e.g. by a call to
    ///   `POST /api/alerts`. The operator decides to whom this program sends.
    /// - On every other channel, the address is allowed. There, the client can choose the tenant, so a check
    ///   of the tenant would show nothing.
    pub fn allow(&self, reference: &ConversationReference) -> bool {
        reference.vouched_tenant().is_none_or(|tenant| self.lists(tenant))
    }

    fn lists(&self, tenant: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Only(ids) => ids.iter().any(|id| id.eq_ignore_ascii_case(tenant)),
        }
    }
}

#[cfg(test)]
mod tests {
    use platform::testing::FakeHost;
    use serde_json::{Value, json};

    use super::*;
    use crate::json::Fields;

    const OWN: &str = "11111111-2222-3333-4444-55555555555a";
    const OTHER: &str = "99999999-2222-3333-4444-555555555555";

    fn read(kind: &str, own: &str, tenants: &str) -> Result<Tenants, String> {
        let host = FakeHost::with_settings([
            ("microsoftappid", "app"),
            ("microsoftapptype", kind),
            ("microsoftapptenantid", own),
            ("tenants", tenants),
        ]);
        let identity = BotIdentity::read(&host).unwrap();
        Tenants::read(&host, Some(&identity)).map_err(|error| error.name)
    }

    #[test]
    fn tenants_variable_is_any_or_a_list_and_its_default_depends_on_the_kind_of_bot() {
        let only = |ids: &[&str]| Ok(Tenants::Only(ids.iter().map(|id| (*id).to_owned()).collect()));
        for (kind, own, tenants, expected) in [
            ("SingleTenant", OWN, "", only(&[OWN])),
            ("", OWN, " ", only(&[OWN])),
            // In the next row, the variables are valid, but the bot serves no tenant. The reason: an activity
            // names its tenant by the id, never by a domain.
            ("SingleTenant", "contoso.com", "", only(&["contoso.com"])),
            ("SingleTenant", "contoso.com", OTHER, only(&[OTHER])),
            ("MultiTenant", "", "", Ok(Tenants::Any)),
            ("MultiTenant", OWN, "", Ok(Tenants::Any)),
            ("MultiTenant", "", OWN, only(&[OWN])),
            ("SingleTenant", OWN, "any", Ok(Tenants::Any)),
            ("SingleTenant", OWN, &format!("{OWN}, {OTHER}"), only(&[OWN, OTHER])),
            ("SingleTenant", OWN, "Any", Err("tenants".into())),
            ("SingleTenant", OWN, "*", Err("tenants".into())),
            ("SingleTenant", OWN, "contoso.com", Err("tenants".into())),
            ("SingleTenant", OWN, &format!("{OWN},"), Err("tenants".into())),
            ("SingleTenant", OWN, &format!("{OWN} {OTHER}"), Err("tenants".into())),
        ] {
            assert_eq!(read(kind, own, tenants), expected, "{kind} {own} {tenants:?}");
        }
        for (tenants, expected) in [("", Ok(Tenants::Any)), (OWN, only(&[OWN])), ("x", Err("tenants".into()))]
        {
            let host = FakeHost::with_settings([("tenants", tenants)]);
            let read = Tenants::read(&host, None).map_err(|error| error.name);
            assert_eq!(read, expected, "anonymous, {tenants:?}");
        }
    }

    fn activity(channel_id: &str, conversation: &Value, channel_data: &Value) -> Activity {
        let json = json!({
            "type": "message", "channelId": channel_id, "conversation": {"id": "c", "tenantId": conversation},
            "channelData": {"tenant": {"id": channel_data}},
        });
        Activity::parse(json.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn activity_that_names_an_unlisted_tenant_or_no_tenant_is_refused() {
        let only = Tenants::Only(vec![OWN.to_owned()]);
        let (own, other, none) = (json!(OWN), json!(OTHER), Value::Null);
        for (conversation, channel_data, expected) in [
            (&own, &own, true),
            (&own, &none, true),
            (&none, &own, true),
            (&json!(OWN.to_uppercase()), &own, true),
            (&other, &other, false),
            (&other, &none, false),
            (&none, &other, false),
            (&own, &other, false),
            (&other, &own, false),
            (&none, &none, false),
            (&json!(""), &json!(""), false),
            (&json!(7), &json!({"id": OWN}), false),
        ] {
            let admitted = only.admit(&activity("msteams", conversation, channel_data)).is_ok();
            assert_eq!(admitted, expected, "{conversation} {channel_data}");
            assert_eq!(Tenants::Any.admit(&activity("msteams", conversation, channel_data)), Ok(()));
            // On this channel the client chooses the tenant, so the bot ignores the tenant.
            assert_eq!(only.admit(&activity("webchat", conversation, channel_data)), Ok(()));
        }
        let without_channel_data = r#"{"type":"message","channelId":"MSTeams","conversation":{"id":"c"}}"#;
        let activity = Activity::parse(without_channel_data.as_bytes()).unwrap();
        assert_eq!(only.admit(&activity), Err(TenantRefused::Missing));
    }

    #[test]
    fn tenant_refusal_with_a_long_tenant_shows_an_excerpt() {
        let long = json!("ü".repeat(1000));
        let refused =
            Tenants::Only(Vec::new()).admit(&activity("msteams", &long, &long)).expect_err("refused");
        assert_eq!(refused, TenantRefused::NotListed(format!("{}…", "ü".repeat(64))));
    }

    #[test]
    fn alert_to_a_teams_conversation_in_another_tenant_is_not_allowed() {
        let only = Tenants::Only(vec![OWN.to_owned()]);
        for (channel_id, tenant, expected) in [
            ("msteams", json!(OWN), true),
            ("msteams", json!(OTHER), false),
            ("msteams", json!(null), true),
            ("webchat", json!(OTHER), true),
        ] {
            let json = json!({
                "channelId": channel_id, "serviceUrl": "https://x/", "conversation": {"id": "c", "tenantId": tenant},
            });
            let fields = Fields::parse(json.to_string().as_bytes()).unwrap();
            let reference = ConversationReference::from_fields(fields).unwrap();
            assert_eq!(only.allow(&reference), expected, "{json}");
            assert!(Tenants::Any.allow(&reference));
        }
    }
}
