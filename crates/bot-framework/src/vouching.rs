//! Lists the channels that vouch for the identity and the tenant of a person. A *channel* is a service that
//! connects people with the bot, such as Teams.
//!
//! An activity can contain a tenant, and a person's object id in Entra. A channel *vouches* for these values
//! if its own service writes the values. Web Chat, Direct Line and other channels pass on the values that the
//! client (the person's chat program) wrote.

use platform::{Settings, SettingsError};

use crate::auth_mode::AuthMode;

/// The channels that vouch for `conversation.tenantId`, `channelData.tenant.id` and `from.aadObjectId`. If
/// such a channel sends the activity `deleteUserData` (a person wants to be forgotten), the bot forgets all
/// conversations of the person except groups. On other channels, the bot forgets at most the conversation
/// that the activity `deleteUserData` names.
const VOUCHING_CHANNELS: [&str; 1] = ["msteams"];

/// Whether the channel, and not its client, sets the tenant of a conversation and the identity of the sender.
pub fn vouches_for_identity(channel_id: &str) -> bool {
    VOUCHING_CHANNELS.contains(&channel_id)
}

/// The channels whose clients choose the id of a person. Exception: if the client's Direct Line token
/// contains an id, the client cannot choose another id ([`BOUND_ID_PREFIX`]).
const CHANNELS_WITH_CLIENT_IDS: [&str; 3] = ["webchat", "directline", "directlinespeech"];

/// Whether the clients of a channel choose the id of a person. The bot ignores the tenant and the object id
/// of a person on such a channel, so a forged activity can do little harm. Therefore, a signing key without
/// `endorsements` (the list of channels for which a key signs) is allowed to sign for such a channel. The
/// details are in `docs/decisions/0005-inbound-tokens.md`.
pub(crate) fn clients_choose_ids(channel_id: &str) -> bool {
    CHANNELS_WITH_CLIENT_IDS.contains(&channel_id)
}

/// The prefix of an id that Direct Line has bound to the client's token. The client cannot use another id.
/// Source: <https://learn.microsoft.com/azure/bot-service/bot-builder-security-enhanced>.
const BOUND_ID_PREFIX: &str = "dl_";

/// The variable `unboundusers`: whether an *unbound* id identifies a person. An id is unbound if the client
/// can choose the id, and no token binds the client to the id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnboundUsers {
    /// An unbound id identifies no person, because a client could use another person's id and read that
    /// person's alerts.
    #[default]
    Refuse,
    /// An unbound id identifies a person. The operator of the bot accepts the risk.
    Allow,
}

impl UnboundUsers {
    /// Reads the variable `unboundusers`. If the variable is empty, the value is `allow` in anonymous mode,
    /// and `refuse` with `authmode=required`.
    pub fn read(settings: &impl Settings, mode: AuthMode) -> Result<Self, SettingsError> {
        let words = match mode {
            AuthMode::Required => [("refuse", Self::Refuse), ("allow", Self::Allow)],
            AuthMode::Anonymous => [("allow", Self::Allow), ("refuse", Self::Refuse)],
        };
        settings.choice("unboundusers", &words)
    }

    /// Whether the id `user_id` on the channel `channel_id` identifies a person.
    pub fn admit(self, channel_id: &str, user_id: &str) -> bool {
        self == Self::Allow || !clients_choose_ids(channel_id) || user_id.starts_with(BOUND_ID_PREFIX)
    }
}

#[cfg(test)]
mod tests {
    use platform::testing::FakeHost;

    use super::*;

    #[test]
    fn identity_is_vouched_for_by_teams_only() {
        assert!(vouches_for_identity("msteams"));
        for channel_id in
            ["", "webchat", "directline", "emulator", "email", "msteams2", "msteams/x", "xmsteams"]
        {
            assert!(!vouches_for_identity(channel_id), "{channel_id}");
        }
        for channel_id in CHANNELS_WITH_CLIENT_IDS {
            assert!(
                !vouches_for_identity(channel_id),
                "{channel_id} must not vouch, because a signing key without endorsements can sign for it"
            );
        }
    }

    #[test]
    fn user_id_that_a_client_chose_identifies_a_person_only_with_unboundusers_allow() {
        for (channel_id, user_id, expected) in [
            ("webchat", "dl_4f1a", true),
            ("directline", "dl_4f1a", true),
            ("webchat", "ann", false),
            ("directline", "29:ann", false),
            ("directline", "DL_ann", false),
            ("directlinespeech", "ann", false),
            ("webchat", "", false),
            ("msteams", "29:ann", true),
            ("telegram", "4217", true),
        ] {
            assert_eq!(UnboundUsers::Refuse.admit(channel_id, user_id), expected, "{channel_id} {user_id}");
            assert!(UnboundUsers::Allow.admit(channel_id, user_id));
        }
        for (mode, word, expected) in [
            (AuthMode::Required, "", Ok(UnboundUsers::Refuse)),
            (AuthMode::Anonymous, "", Ok(UnboundUsers::Allow)),
            (AuthMode::Required, "allow", Ok(UnboundUsers::Allow)),
            (AuthMode::Anonymous, "refuse", Ok(UnboundUsers::Refuse)),
            (AuthMode::Required, "yes", Err("unboundusers".to_owned())),
        ] {
            let host = FakeHost::with_settings([("unboundusers", word)]);
            let read = UnboundUsers::read(&host, mode).map_err(|error| error.name);
            assert_eq!(read, expected, "{mode:?} {word:?}");
        }
    }
}
