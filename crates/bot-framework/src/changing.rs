//! The channels that change no messages.

/// The channels that are known to refuse the change and the deletion of a message. Web Chat and Direct Line
/// answer 405: <https://github.com/microsoft/botframework-sdk/issues/4734>. A mail or a text message cannot
/// be changed.
const WITHOUT_CHANGES: [&str; 5] = ["webchat", "directline", "directlinespeech", "email", "sms"];

/// Whether a channel may be able to change and to delete a message that was sent. For a channel that is not
/// known, the Connector's answer shows it.
pub fn can_change_messages(channel_id: &str) -> bool {
    !WITHOUT_CHANGES.contains(&channel_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_without_changes_is_known_by_its_id() {
        let channels = ["msteams", "slack", "emulator", "webchat", "directline"];
        assert_eq!(channels.map(can_change_messages), [true, true, true, false, false]);
    }
}
