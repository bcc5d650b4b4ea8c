//! The scopes of tags. A *tag* is a name to which conversations subscribe. A *scope* is a set of
//! conversations, for example the conversations in one tenant. An alert to a tag goes only to the subscribed
//! conversations in one scope. A *code*, by which a person subscribes a conversation to a tag, is also valid
//! only in one scope.

use bot_framework::ConversationReference;
use bot_framework::json::FieldError;
use state::{Subscribers, Tag, tenant_of};

use crate::settings::BotSettings;

/// If the member `tenant` of an API call has this value, the call means the conversations in no tenant. This
/// value cannot be the id of a tenant.
pub(crate) const NONE: &str = "none";

const NO_HOME: &str =
    "the id of a tenant, or `none` for conversations in no tenant, because the bot has no tenant of its own";

/// A scope: a set of conversations, selected by tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TagScope {
    /// The conversations in the bot's own tenant, and the conversations in no tenant.
    Home {
        /// The bot's own tenant. `None` in anonymous mode, where the bot has no tenant.
        own: Option<String>,
    },
    /// One tenant, by its id in lower case.
    Tenant(String),
    /// The conversations in no tenant, for example conversations in Web Chat.
    NoTenant,
}

impl TagScope {
    /// Returns the scope of an API call. `tenant` is the value of the field at `path`. If `tenant` is `None`,
    /// returns [`TagScope::Home`], or an error if the bot is registered for many tenants.
    pub(crate) fn named(
        tenant: Option<&str>,
        path: &str,
        settings: &BotSettings,
    ) -> Result<Self, FieldError> {
        match tenant {
            Some(NONE) => Ok(Self::NoTenant),
            Some(id) => Ok(Self::Tenant(id.to_lowercase())),
            None => {
                Self::home(settings).ok_or_else(|| FieldError { path: path.to_owned(), expected: NO_HOME })
            }
        }
    }

    /// Returns the scope of an API call without a tenant. Returns `None` if the bot is registered for many
    /// tenants, because the bot cannot know which tenant the call means.
    fn home(settings: &BotSettings) -> Option<Self> {
        match &settings.bot {
            None => Some(Self::Home { own: None }),
            Some(bot) => {
                let own = bot.identity.tenant_id.as_ref()?;
                Some(Self::Home { own: Some(own.to_lowercase()) })
            }
        }
    }

    /// Returns every scope that contains the conversation at `address`.
    pub(crate) fn all_of(address: &ConversationReference, settings: &BotSettings) -> Vec<Self> {
        let own = match tenant_of(address) {
            Some(tenant) => Self::Tenant(tenant.to_lowercase()),
            None => Self::NoTenant,
        };
        let home = Self::home(settings).filter(|home| match (home, &own) {
            (Self::Home { own }, Self::Tenant(tenant)) => own.as_ref() == Some(tenant),
            _ => true,
        });
        home.into_iter().chain([own]).collect()
    }

    /// The subscribers of a tag in this scope.
    pub(crate) fn subscribers(&self, tag: Tag) -> Subscribers {
        let tenants = match self {
            Self::Home { own } => own.iter().cloned().map(Some).chain([None]).collect(),
            Self::Tenant(id) => vec![Some(id.clone())],
            Self::NoTenant => vec![None],
        };
        Subscribers { tag, tenants }
    }

    /// Returns the name of the scope. The name goes into the HMAC of a code. Two scopes of the same bot never
    /// have the same name. Scopes of two bots can have the same name. The codes of two bots still differ,
    /// because the HMAC also covers the bot's app id.
    pub(crate) fn name(&self) -> [&str; 2] {
        match self {
            Self::Home { .. } => ["home", ""],
            Self::Tenant(id) => ["tenant", id],
            Self::NoTenant => ["none", ""],
        }
    }
}

#[cfg(test)]
mod tests {
    use bot_framework::json::Fields;
    use platform::testing::FakeHost;
    use serde_json::{Value, json};

    use super::*;
    use crate::settings::CallerSettings;

    /// The settings of a bot with these variables.
    fn settings(variables: &[(&str, &str)]) -> BotSettings {
        let host = FakeHost::with_settings([
            ("microsoftappid", "app"),
            ("microsoftapppassword", "secret"),
            ("storageconnection", "UseDevelopmentStorage=true"),
            ("queuename", "bot-queue"),
        ]);
        for (name, value) in variables {
            host.settings.borrow_mut().insert((*name).into(), (*value).into());
        }
        BotSettings::read(&host, CallerSettings::read(&host).unwrap()).unwrap()
    }

    fn bots() -> [BotSettings; 3] {
        [
            settings(&[("authmode", "required"), ("microsoftapptenantid", "Own")]),
            settings(&[("authmode", "required"), ("microsoftapptype", "MultiTenant")]),
            settings(&[("authmode", "anonymous")]),
        ]
    }

    fn address(channel_id: &str, tenant: &Value) -> ConversationReference {
        let json = json!({
            "channelId": channel_id, "serviceUrl": "https://x/", "serviceUrlVerified": true,
            "conversation": {"id": "c", "tenantId": tenant},
        });
        ConversationReference::from_fields(Fields::parse(json.to_string().as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn tag_without_a_tenant_means_conversations_in_the_bots_own_tenant_or_in_no_tenant() {
        let tenants = |settings: &BotSettings, tenant| {
            let scope = TagScope::named(tenant, "to.tenant", settings).ok()?;
            Some(scope.subscribers(Tag::parse("x").unwrap()).tenants)
        };
        let some = |id: &str| Some(id.to_owned());
        let [single, multi, anonymous] = bots();
        assert_eq!(tenants(&single, None), Some(vec![some("own"), None]));
        assert_eq!(tenants(&multi, None), None, "a bot for many tenants needs a named tenant");
        assert_eq!(tenants(&anonymous, None), Some(vec![None]));
        for settings in [&single, &multi, &anonymous] {
            assert_eq!(tenants(settings, Some("Other")), Some(vec![some("other")]));
            assert_eq!(tenants(settings, Some("none")), Some(vec![None]));
        }
    }

    #[test]
    fn all_of_returns_the_home_scope_only_if_it_contains_the_conversation() {
        let teams = |tenant: &str| address("msteams", &tenant.into());
        let home = |own: Option<&str>| TagScope::Home { own: own.map(str::to_owned) };
        let tenant = |id: &str| TagScope::Tenant(id.to_owned());
        let [single, multi, anonymous] = bots();
        for (settings, address, expected) in [
            (&single, teams("OWN"), vec![home(Some("own")), tenant("own")]),
            (&single, teams("other"), vec![tenant("other")]),
            (&single, address("msteams", &Value::Null), vec![home(Some("own")), TagScope::NoTenant]),
            (&single, address("webchat", &"other".into()), vec![home(Some("own")), TagScope::NoTenant]),
            (&multi, teams("other"), vec![tenant("other")]),
            (&multi, address("webchat", &"own".into()), vec![TagScope::NoTenant]),
            (&anonymous, teams("other"), vec![tenant("other")]),
            (
                &anonymous,
                teams("other").with_service_url_verified(false),
                vec![home(None), TagScope::NoTenant],
            ),
        ] {
            assert_eq!(TagScope::all_of(&address, settings), expected, "{address:?}");
        }
    }

    #[test]
    fn different_scopes_have_different_names() {
        let scopes = ["home", "none", "tenant", ""].map(|id| TagScope::Tenant(id.to_owned()));
        let all: Vec<_> =
            scopes.into_iter().chain([TagScope::Home { own: None }, TagScope::NoTenant]).collect();
        for (index, scope) in all.iter().enumerate() {
            assert!(all[index + 1..].iter().all(|other| other.name() != scope.name()), "{scope:?}");
        }
    }
}
