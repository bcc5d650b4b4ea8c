//! The id of a channel, as everything in here spells it.
//!
//! A channel's id is part of a conversation's name, of its person's index and of the rules of trust. So there is one spelling:
//! upper case is made lower case where the id is read, and nowhere else.

use crate::json::{FieldError, Fields};

/// The longest that the Bot Framework has is `skypeforbusiness`.
const MAX_LENGTH: usize = 64;
const EXPECTED: &str = "a channel id of 1 to 64 ASCII letters, digits, `-`, `_`, `.` or `:`";

/// A channel's id in its one spelling; `None` if the text cannot be one.
pub fn channel_id(text: &str) -> Option<String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    let is_one = (1..=MAX_LENGTH).contains(&text.len()) && text.bytes().all(fits);
    is_one.then(|| text.to_ascii_lowercase())
}

/// Takes `channelId`. An empty one counts as absent.
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
    fn channel_ids_have_one_spelling() {
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
            // Capitals of other scripts, one of which is a `k` or an `s` in lower case.
            ("\u{212a}ik", None),
            ("m\u{17f}teams", None),
            ("mѕteams", None),
        ] {
            assert_eq!(channel_id(text).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_channel_id_is_taken_in_its_one_spelling_or_refused() {
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
