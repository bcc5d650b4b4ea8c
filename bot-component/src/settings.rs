//! What this component reads from its variables, in the order in which it needs it.

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

/// How long the token for the storage account may take: it is fetched once an hour.
const TOKEN_WITHIN: Duration = Duration::from_secs(4);

/// The variables that are read together: one call of the host each. An activity that brings no valid token costs `inbound`
/// only. A caller of the alert routes without a key costs `alerts` only, or `inbound` too where it brings a token.
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
            "answersperminute",
        ],
    },
];

/// What decides whether a caller is let in.
#[derive(Debug)]
pub(crate) struct CallerSettings {
    auth_mode: AuthMode,
    /// The bot's registration, and whom it lets in; `None` in anonymous mode.
    registered: Option<(BotIdentity, InboundAuth)>,
    /// Whose people are let in.
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

    /// Whom the bot lets in; `None` in anonymous mode.
    pub(crate) fn inbound(&self) -> Option<&InboundAuth> {
        self.registered.as_ref().map(|(_, inbound)| inbound)
    }
}

/// What a request needs whose caller is let in.
#[derive(Debug)]
pub(crate) struct BotSettings {
    pub(crate) trust: TrustPolicy,
    /// Whose people may talk to the bot, and be alerted.
    pub(crate) tenants: Tenants,
    /// Whether people are found by ids that their clients chose.
    pub(crate) unbound_users: UnboundUsers,
    /// Who the bot is; `None` in anonymous mode.
    pub(crate) bot: Option<BotCredentials>,
    pub(crate) seal_key: Option<SealKey>,
    pub(crate) queue: QueueSettings,
    /// The tables, in the storage account of the queue.
    pub(crate) tables: Tables,
    /// Whether people may subscribe to a tag by a word.
    pub(crate) subscriptions: Subscriptions,
    /// How the poller is called; `None` with `kick=off`.
    pub(crate) kick: Option<Kick>,
    /// How many messages of a conversation are answered in a minute.
    pub(crate) allowance: Allowance,
}

/// `subscriptions`: whether people may subscribe to a tag by a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subscriptions {
    /// Everybody who knows the tag.
    Open,
    /// Only people whom the senders of alerts let in: by the API, or by a code.
    Closed,
}

impl Subscriptions {
    pub(crate) fn read(settings: &impl Settings, mode: AuthMode) -> Result<Self, SettingsError> {
        let mut choices = [("closed", Self::Closed), ("open", Self::Open)];
        // The first one is the default.
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
            queue,
            bot,
        })
    }

    /// Reads them, and gets what opens the storage account: where its connection string holds neither key nor SAS, that is a
    /// token of the bot's own.
    pub(crate) async fn open<H: Host>(host: &H, caller: CallerSettings) -> Result<Self, Rejection> {
        let mut settings = Self::read(host, caller)?;
        if !settings.queue.account.needs_token() {
            return Ok(settings);
        }
        let wrong = |problem: &str| SettingsError::new("storageconnection", problem);
        let bot = settings.bot.as_ref();
        let bot =
            bot.ok_or_else(|| wrong("needs AccountKey or SharedAccessSignature with authmode=anonymous"))?;
        let tokens = Tokens::for_scope(host, bot, STORAGE_SCOPE);
        let token = tokens.bearer(Deadline::after(host, TOKEN_WITHIN)).await.map_err(|error| {
            host.event(Level::Error, "storage.no-token", json!({"reason": error.to_string()}));
            Rejection::StateUnavailable
        })?;
        let account = settings.queue.account.clone();
        settings.queue.account = account.with_token(token).map_err(|error| wrong(&error.to_string()))?;
        Ok(settings)
    }

    /// The address book. Its calls take until `deadline` at most.
    pub(crate) fn conversations<'a, H: Host>(
        &'a self,
        host: &'a H,
        deadline: Deadline,
    ) -> Conversations<'a, H> {
        Conversations::new(host, &self.queue.account, &self.tables, deadline)
            .with_unbound_users(self.unbound_users)
    }

    /// What the poller is told about alerts that it may have in hand. Calls take until `deadline` at most.
    pub(crate) fn withdrawals<'a, H: Host>(&'a self, host: &'a H, deadline: Deadline) -> Withdrawals<'a, H> {
        Withdrawals::new(host, &self.queue.account, &self.tables, self.queue.name.as_str(), deadline)
    }
}

#[cfg(test)]
mod tests {
    use platform::testing::{FakeHost, response, run};

    use super::*;

    /// The connection string names the account, and nothing that opens it.
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
    fn an_account_without_key_and_sas_is_opened_by_the_bots_own_token() {
        let host = FakeHost::with_settings(WITHOUT_KEY);
        host.then_status(200, r#"{"token_type":"Bearer","expires_in":3600,"access_token":"t.o.k"}"#);
        let settings = open(&host).unwrap();
        let sent = host.sent.borrow();
        let form = std::str::from_utf8(sent[0].body()).unwrap();
        assert!(form.contains("scope=https%3A%2F%2Fstorage.azure.com%2F.default"), "{form}");
        drop(sent);
        // The second request finds the token in key-value, and the table service gets it.
        let settings_again = open(&host).unwrap();
        assert_eq!(
            (host.sent.borrow().len(), settings_again.queue.account),
            (1, settings.queue.account.clone())
        );
        host.then(Ok(response(403, "")));
        let key = state::ConversationKey::parse("0123456789abcdef0123456789abcdef").unwrap();
        let deadline = Deadline::after(&host, TOKEN_WITHIN);
        run(settings.conversations(&host, deadline).get(&key)).expect_err("it was refused");
        let sent = host.sent.borrow();
        assert_eq!(sent[1].uri().host(), Some("contoso.table.core.windows.net"));
        assert_eq!(sent[1].headers()["authorization"], "Bearer t.o.k");
    }

    #[test]
    fn subscriptions_are_closed_unless_nobody_is_verified_anyway() {
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
    fn without_a_token_nothing_is_stored_and_the_log_says_why() {
        let host = FakeHost::with_settings(WITHOUT_KEY);
        host.then_status(401, r#"{"error":"invalid_client","error_codes":[7000222]}"#);
        assert!(matches!(open(&host), Err(Rejection::StateUnavailable)));
        let reason = host.events("storage.no-token")[0]["reason"].to_string();
        assert!(reason.contains("AADSTS7000222"), "{reason}");
        let host = FakeHost::with_settings(WITHOUT_KEY);
        host.settings.borrow_mut().insert("authmode".into(), "anonymous".into());
        let error = open(&host).expect_err("nobody's token").to_string();
        assert!(error.contains("storageconnection"), "{error}");
    }
}
