//! The settings of this component. First, the bot reads [`CallerSettings`], which decide whether the bot
//! accepts the caller. For an accepted caller, the bot then reads [`BotSettings`].

use std::time::Duration;

use bot_framework::outbound::seal_keys;
use bot_framework::{
    AuthMode, BotCredentials, BotIdentity, Credential, InboundAuth, Tenants, Tokens, TrustPolicy,
    UnboundUsers,
};
use envelope::SealKey;
use platform::{Deadline, Host, Joined, Level, Settings, SettingsError};
use serde_json::json;
use state::ledger::Allowance;
use state::runs::Withdrawals;
use state::{Conversations, Tables};
use storage_account::STORAGE_SCOPE;
use storage_queue::QueueSettings;

use crate::kick::Kick;
use crate::rejection::Rejection;

/// The longest time for getting the token for the storage account. The bot stores the token, and gets a new
/// token once an hour.
const TOKEN_WITHIN: Duration = Duration::from_secs(4);

/// The groups of variables. The bot reads each group with one call to the Spin host. For an activity without
/// a valid token, the bot reads only the group `inbound`. For an API call without a valid API key, the bot
/// reads the group `alerts`. If the API call has a token instead of an API key, the bot also reads `inbound`.
pub const JOINED: [Joined; 3] = [
    Joined { variable: "alerts", names: &["alertkey", "alertkeys"] },
    Joined {
        variable: "inbound",
        names: &[
            "authmode",
            "microsoftappid",
            "microsoftapptype",
            "microsoftapptenantid",
            "tenants",
            "channelservice",
            "openidmetadata",
            "loginendpoint",
            "emulatortokens",
        ],
    },
    Joined {
        variable: "outbound",
        names: &[
            "microsoftapppassword",
            "federatedtoken",
            "certificate",
            "servicehosts",
            "storageconnection",
            "queuename",
            "tableprefix",
            "unboundusers",
            "sealkey",
            "unsealedtriggers",
            "triggername",
            "subscriptions",
            "kick",
            "repliesperminute",
            "callbackhosts",
            "callbacksecret",
            "replies",
            "hookkey",
            "publicurl",
        ],
    },
];

/// The settings that decide whether the bot accepts a caller.
#[derive(Debug)]
pub(crate) struct CallerSettings {
    auth_mode: AuthMode,
    /// The bot's registration, and the rules for tokens. `None` in anonymous mode (`authmode=anonymous`), in
    /// which the bot checks no tokens.
    registered: Option<(BotIdentity, InboundAuth)>,
    /// The tenants that the bot serves.
    tenants: Tenants,
}

impl CallerSettings {
    pub(crate) fn read(settings: &impl Settings) -> Result<Self, SettingsError> {
        let auth_mode = AuthMode::read(settings)?;
        let registered = match auth_mode {
            AuthMode::Anonymous => None,
            AuthMode::Required => {
                let identity = BotIdentity::read(settings)?;
                let inbound = InboundAuth::read(settings, &identity)?;
                Some((identity, inbound))
            }
        };
        let tenants = Tenants::read(settings, registered.as_ref().map(|(identity, _)| identity))?;
        Ok(Self { auth_mode, registered, tenants })
    }

    /// The rules for tokens. `None` in anonymous mode.
    pub(crate) fn inbound(&self) -> Option<&InboundAuth> {
        self.registered.as_ref().map(|(_, inbound)| inbound)
    }
}

/// The settings for the request of an accepted caller.
#[derive(Debug)]
pub(crate) struct BotSettings {
    pub(crate) trust: TrustPolicy,
    /// The tenants that the bot serves and alerts.
    pub(crate) tenants: Tenants,
    /// Whether an API call is allowed to name a person by a user id that the person's chat client chose.
    pub(crate) unbound_users: UnboundUsers,
    /// The bot's identity and credential. `None` in anonymous mode.
    pub(crate) bot: Option<BotCredentials>,
    pub(crate) seal_key: Option<SealKey>,
    pub(crate) queue: QueueSettings,
    /// The tables, in the storage account of the queue.
    pub(crate) tables: Tables,
    /// Whether a person needs a code for the command `subscribe`.
    pub(crate) subscriptions: Subscriptions,
    /// The kick (the call to the poller after the bot has put a message on the queue). `None` with
    /// `kick=off`.
    pub(crate) kick: Option<Kick>,
    /// The most replies that the bot sends to a conversation in a minute.
    pub(crate) allowance: Allowance,
    /// Where the poller sends a person's text (see [`Replies`]).
    pub(crate) replies: Replies,
}

/// The variable `replies`: where the poller sends a person's text that is neither a command nor an answer to
/// a question. The name `replies` means the texts of people here, not the replies of the bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replies {
    /// The poller sends the text back to the person, as a bot of Microsoft's "proactive bot" template of 2017
    /// did.
    Echo,
    /// The poller puts the text on the queue `<queuename>-replies`. A program reads the text from this queue.
    Queue,
}

impl Replies {
    pub(crate) fn read(settings: &impl Settings) -> Result<Self, SettingsError> {
        settings.choice("replies", &[("echo", Self::Echo), ("queue", Self::Queue)])
    }
}

/// The variable `subscriptions`: whether a person needs a code for the command `subscribe`. By this command,
/// a person subscribes the conversation to a *tag*, which is a name to which programs send alerts. The people
/// who send the alerts give out the codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subscriptions {
    /// Every person who knows the tag is allowed to subscribe.
    Open,
    /// The command `subscribe` needs a code. Without a code, only a back end can subscribe a conversation, by
    /// a call to the API.
    Closed,
}

impl Subscriptions {
    pub(crate) fn read(settings: &impl Settings, mode: AuthMode) -> Result<Self, SettingsError> {
        let mut choices = [("closed", Self::Closed), ("open", Self::Open)];
        // The first choice is the default.
        if mode == AuthMode::Anonymous {
            choices.reverse();
        }
        settings.choice("subscriptions", &choices)
    }
}

impl BotSettings {
    pub(crate) fn read(settings: &impl Settings, caller: CallerSettings) -> Result<Self, SettingsError> {
        let bot = match caller.registered {
            Some((identity, _)) => Some(BotCredentials { identity, credential: Credential::read(settings)? }),
            None => None,
        };
        let queue = QueueSettings::read(settings)?;
        Ok(Self {
            seal_key: SealKey::of(&seal_keys(settings, bot.as_ref(), queue.name.as_str())?),
            trust: TrustPolicy::read(caller.auth_mode, settings)?,
            subscriptions: Subscriptions::read(settings, caller.auth_mode)?,
            kick: Kick::read(settings, bot.as_ref(), &queue.name)?,
            tables: Tables::read(settings)?,
            unbound_users: UnboundUsers::read(settings, caller.auth_mode)?,
            tenants: caller.tenants,
            allowance: Allowance::read(settings)?,
            replies: Replies::read(settings)?,
            queue,
            bot,
        })
    }

    /// Reads the settings, and gets a token for the storage account if needed (see
    /// [`BotSettings::with_storage_token`]).
    pub(crate) async fn open<H: Host>(host: &H, caller: CallerSettings) -> Result<Self, Rejection> {
        Self::read(host, caller)?.with_storage_token(host).await
    }

    /// Gets the bot's own token for the storage account, if the connection string has neither an account key
    /// nor a SAS.
    pub(crate) async fn with_storage_token<H: Host>(mut self, host: &H) -> Result<Self, Rejection> {
        if !self.queue.account.needs_token() {
            return Ok(self);
        }
        let wrong = |problem: &str| SettingsError::new("storageconnection", problem);
        let bot = self.bot.as_ref();
        let bot = bot.ok_or_else(|| {
            wrong("expected AccountKey or SharedAccessSignature, because authmode=anonymous gets no token")
        })?;
        let tokens = Tokens::for_scope(host, bot, STORAGE_SCOPE);
        let token = tokens.bearer(Deadline::after(host, TOKEN_WITHIN)).await.map_err(|error| {
            host.event(Level::Error, "storage.no-token", json!({"reason": error.to_string()}));
            Rejection::StateUnavailable
        })?;
        let account = self.queue.account.clone();
        self.queue.account = account.with_token(token).map_err(|error| wrong(&error.to_string()))?;
        Ok(self)
    }

    /// The stored conversations. Table calls end at `deadline` at the latest.
    pub(crate) fn conversations<'a, H: Host>(
        &'a self,
        host: &'a H,
        deadline: Deadline,
    ) -> Conversations<'a, H> {
        Conversations::new(host, &self.queue.account, &self.tables, deadline)
            .with_unbound_users(self.unbound_users)
    }

    /// Makes a client for the recent *withdrawals*. A withdrawal is a row that tells the poller about an
    /// event, for example that an alert was cancelled, or that a person sent `stop`. Table calls end at
    /// `deadline` at the latest.
    pub(crate) fn withdrawals<'a, H: Host>(&'a self, host: &'a H, deadline: Deadline) -> Withdrawals<'a, H> {
        Withdrawals::new(host, &self.queue.account, &self.tables, self.queue.name.as_str(), deadline)
    }
}

#[cfg(test)]
mod tests {
    use platform::testing::{FakeHost, response, run};

    use super::*;

    /// The variables of a bot whose connection string has neither an account key nor a SAS.
    const WITHOUT_KEY: [(&str, &str); 6] = [
        ("authmode", "required"),
        ("microsoftappid", "app"),
        ("microsoftapppassword", "secret"),
        ("microsoftapptenantid", "11111111-2222-3333-4444-555555555555"),
        ("storageconnection", "AccountName=contoso"),
        ("queuename", "bot-queue"),
    ];

    fn open(host: &FakeHost) -> Result<BotSettings, Rejection> {
        run(BotSettings::open(host, CallerSettings::read(host)?))
    }

    #[test]
    fn storage_account_without_key_and_sas_gets_the_bots_own_token() {
        let host = FakeHost::with_settings(WITHOUT_KEY);
        host.then_status(200, r#"{"token_type":"Bearer","expires_in":3600,"access_token":"t.o.k"}"#);
        let settings = open(&host).unwrap();
        let sent = host.sent.borrow();
        let form = std::str::from_utf8(sent[0].body()).unwrap();
        assert!(form.contains("scope=https%3A%2F%2Fstorage.azure.com%2F.default"), "{form}");
        drop(sent);
        // The second `open` makes no HTTP call, because the first `open` has stored the token in the
        // key-value store. The bot then sends the token to the table service.
        let settings_again = open(&host).unwrap();
        assert_eq!(
            (host.sent.borrow().len(), settings_again.queue.account),
            (1, settings.queue.account.clone()),
            "HTTP calls, and the account with the token"
        );
        host.then(Ok(response(403, "")));
        let key = state::ConversationKey::parse("0123456789abcdef0123456789abcdef").unwrap();
        let deadline = Deadline::after(&host, TOKEN_WITHIN);
        run(settings.conversations(&host, deadline).get(&key)).expect_err("the table service returned 403");
        let sent = host.sent.borrow();
        assert_eq!(sent[1].uri().host(), Some("contoso.table.core.windows.net"));
        assert_eq!(sent[1].headers()["authorization"], "Bearer t.o.k");
    }

    #[test]
    fn subscriptions_are_closed_by_default_except_in_anonymous_mode() {
        for (mode, value, expected) in [
            ("required", "", Some(Subscriptions::Closed)),
            ("required", "open", Some(Subscriptions::Open)),
            ("anonymous", "", Some(Subscriptions::Open)),
            ("anonymous", "closed", Some(Subscriptions::Closed)),
            ("required", "perhaps", None),
        ] {
            let host = FakeHost::with_settings(WITHOUT_KEY);
            host.settings.borrow_mut().insert("authmode".into(), mode.into());
            host.settings.borrow_mut().insert("subscriptions".into(), value.into());
            let read = BotSettings::read(&host, CallerSettings::read(&host).unwrap());
            assert_eq!(read.map(|settings| settings.subscriptions).ok(), expected, "{mode} {value:?}");
        }
    }

    #[test]
    fn refusal_of_the_storage_token_is_logged_with_the_reason() {
        let host = FakeHost::with_settings(WITHOUT_KEY);
        host.then_status(401, r#"{"error":"invalid_client","error_codes":[7000222]}"#);
        assert!(matches!(open(&host), Err(Rejection::StateUnavailable)));
        let reason = host.events("storage.no-token")[0]["reason"].to_string();
        assert!(reason.contains("AADSTS7000222"), "{reason}");
        let host = FakeHost::with_settings(WITHOUT_KEY);
        host.settings.borrow_mut().insert("authmode".into(), "anonymous".into());
        let error = open(&host).expect_err("anonymous mode gets no token").to_string();
        assert!(error.contains("storageconnection"), "{error}");
    }
}
