//! Which channels vouch for who a person is, and where they belong.
//!
//! An activity's tenant and object id are facts only where the channel's own service writes them. Web Chat, Direct Line and
//! others pass on what the client wrote.

/// The channels that vouch for `conversation.tenantId`, `channelData.tenant.id`, `from.aadObjectId` and `deleteUserData`.
/// Nothing else says which channels do.
const VOUCHING_CHANNELS: [&str; 1] = ["msteams"];

/// Whether the channel, and not its client, says to which tenant a conversation belongs and who speaks in it.
pub fn vouches_for_identity(channel_id: &str) -> bool {
    VOUCHING_CHANNELS.contains(&channel_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_teams_vouches_for_identity() {
        assert!(vouches_for_identity("msteams"));
        for channel_id in
            ["", "webchat", "directline", "emulator", "email", "msteams2", "msteams/x", "xmsteams"]
        {
            assert!(!vouches_for_identity(channel_id), "{channel_id}");
        }
    }
}
