//! The id of a channel, always in lower case. A channel is a service that connects people with the bot, such
//! as Teams (`msteams`).
//!
//! The bot and the poller compare channel ids, and build keys of table rows from them. For example, the bot
//! stores a conversation under a hash of the channel id and the conversation id. So the whole project needs
//! one spelling of each channel id. This module converts channel ids to lower case. No other code changes the
//! case.

use crate::json::{FieldError, Fields};

/// The maximum length of a channel id, in bytes. The longest id of the Bot Framework, `skypeforbusiness`, is
/// much shorter.
const MAX_LENGTH: usize = 64;
const EXPECTED: &str = "a channel id of 1 to 64 ASCII letters, digits, `-`, `_`, `.` or `:`";

/// Converts a channel id to lower case. Returns `None` if the text does not have the form that `EXPECTED`
/// describes.
pub fn channel_id(text: &str) -> Option<String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    let is_channel_id = (1..=MAX_LENGTH).contains(&text.len()) && text.bytes().all(fits);
    is_channel_id.then(|| text.to_ascii_lowercase())
}

/// Takes the field `channelId` out of `fields`. An empty value counts as absent.
pub(crate) fn take(fields: &mut Fields) -> Result<Option<String>, FieldError> {
    match fields.string("channelId")?.filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => channel_id(&text).map(Some).ok_or_else(|| fields.error("channelId", EXPECTED)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_id_becomes_lower_case_or_is_refused() {
        let longest = "x".repeat(64);
        for (text, expected) in [
            ("msteams", Some("msteams")),
            ("MSTeams", Some("msteams")),
            ("twilio-sms", Some("twilio-sms")),
            ("msteams:COPILOT", Some("msteams:copilot")),
            (&longest, Some(longest.as_str())),
            (&format!("{longest}x"), None),
            ("", None),
            (" msteams", None),
            ("msteams\0", None),
            ("ms/teams", None),
            // Letters that are not ASCII. The first becomes `k` in lower case, the second becomes `S` in
            // upper case, and the third looks like an `s`.
            ("\u{212a}ik", None),
            ("m\u{17f}teams", None),
            ("mѕteams", None),
        ] {
            assert_eq!(channel_id(text).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn channel_id_field_is_taken_in_lower_case_or_refused() {
        let take =
            |json: &str| take(&mut Fields::parse(json.as_bytes()).unwrap()).map_err(|error| error.path);
        assert_eq!(take(r#"{"channelId":"MsTeams"}"#), Ok(Some("msteams".into())));
        assert_eq!(take(r#"{"channelId":""}"#), Ok(None));
        assert_eq!(take("{}"), Ok(None));
        for json in [r#"{"channelId":"ms teams"}"#, r#"{"channelId":"mſteams"}"#, r#"{"channelId":7}"#] {
            assert_eq!(take(json), Err("channelId".into()), "{json}");
        }
    }
}
