//! Which channels vouch for who a person is, and where they belong.
//!
//! An activity's tenant and object id are facts only where the channel's own service writes them. Web Chat, Direct Line and
//! others pass on what the client wrote.

use platform::{Settings, SettingsError};

use crate::auth_mode::AuthMode;

/// The channels that vouch for `conversation.tenantId`, `channelData.tenant.id`, `from.aadObjectId` and `deleteUserData`.
/// Nothing else says which channels do.
const VOUCHING_CHANNELS: [&str; 1] = ["msteams"];

/// Whether the channel, and not its client, says to which tenant a conversation belongs and who speaks in it.
pub fn vouches_for_identity(channel_id: &str) -> bool {
    VOUCHING_CHANNELS.contains(&channel_id)
}

/// The channels whose clients choose a person's id, unless the token that they were given binds one.
const CHANNELS_OF_CLIENTS: [&str; 3] = ["webchat", "directline", "directlinespeech"];

/// Whether a channel's clients choose who they are. Nothing that such a channel says of a person is a fact, so a signing key
/// without `endorsements` may speak for it: `docs/decisions/0005-inbound-tokens.md`.
pub(crate) fn is_channel_of_clients(channel_id: &str) -> bool {
    CHANNELS_OF_CLIENTS.contains(&channel_id)
}

/// How an id begins that Direct Line has bound to its token:
/// <https://learn.microsoft.com/azure/bot-service/bot-builder-security-enhanced>.
const BOUND: &str = "dl_";

/// Whether a person is found by an id that the client chose: the variable `unboundusers`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnboundUsers {
    /// Anybody could take the id of another, and read that person's alerts.
    #[default]
    Refuse,
    /// Whoever runs the bot takes that upon them.
    Allow,
}

impl UnboundUsers {
    /// Reads the variable; empty means `allow` in anonymous mode, else `refuse`.
    pub fn read(settings: &impl Settings, mode: AuthMode) -> Result<Self, SettingsError> {
        let words = match mode {
            AuthMode::Required => [("refuse", Self::Refuse), ("allow", Self::Allow)],
            AuthMode::Anonymous => [("allow", Self::Allow), ("refuse", Self::Refuse)],
        };
        settings.choice("unboundusers", &words)
    }

    /// Whether a person is found by this id.
    pub fn admit(self, channel_id: &str, user_id: &str) -> bool {
        self == Self::Allow || !is_channel_of_clients(channel_id) || user_id.starts_with(BOUND)
    }
}

#[cfg(test)]
mod tests {
    use platform::testing::FakeHost;

    use super::*;

    #[test]
    fn only_teams_vouches_for_identity() {
        assert!(vouches_for_identity("msteams"));
        for channel_id in
            ["", "webchat", "directline", "emulator", "email", "msteams2", "msteams/x", "xmsteams"]
        {
            assert!(!vouches_for_identity(channel_id), "{channel_id}");
        }
        for channel_id in CHANNELS_OF_CLIENTS {
            assert!(
                !vouches_for_identity(channel_id),
                "{channel_id}: a key without endorsements speaks for it"
            );
        }
    }

    #[test]
    fn ids_that_a_client_of_direct_line_chose_find_nobody_unless_allowed() {
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
