//! Changes and deletions of chat messages that the bot has sent. The module lists the channels (services such
//! as Teams or Web Chat) that refuse all changes and deletions. The module also classifies the Connector's
//! response to a change or a deletion.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use platform::{TransportError, value_of};

use crate::verdict::{Class, Verdict, classify, error_code};

/// The channels that refuse all changes and deletions of messages. Web Chat and Direct Line return 405:
/// <https://github.com/microsoft/botframework-sdk/issues/4734>. A sent e-mail or SMS cannot be changed.
const WITHOUT_CHANGES: [&str; 5] = ["webchat", "directline", "directlinespeech", "email", "sms"];

/// Whether the bot can try to change or delete a message on a channel. The result is `false` for the channels
/// in `WITHOUT_CHANGES`. On every other channel, the Connector's response shows whether the channel supports
/// the change or the deletion.
pub fn can_change_messages(channel_id: &str) -> bool {
    !WITHOUT_CHANGES.contains(&channel_id)
}

/// Whether a call changes the content of a sent message, or deletes the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changing {
    Content,
    Deletion,
}

/// Classifies a response to the change or the deletion of a message.
///
/// The bot can repeat a change or a deletion without harm. So this function never returns the classes
/// [`Class::PossiblyDelivered`] and [`Class::GatewayFailed`], which warn that a second try can deliver a
/// message twice. Instead, the function returns [`Class::Unavailable`].
///
/// Sources of the statuses and the error codes:
/// <https://github.com/microsoft/BotFramework-Services/issues/269> (`ActivityNotFoundInConversation`, and 403
/// `ServiceError` for a message that a person has deleted),
/// <https://github.com/MicrosoftDocs/msteams-docs/issues/399> (400 `BadArgument` for an unknown id),
/// <https://github.com/microsoft/botframework-sdk/issues/4734> (405 of Web Chat).
pub(crate) fn classify_change(
    response: &Result<http::Response<Bytes>, TransportError>,
    now: DateTime<Utc>,
    changing: Changing,
) -> Verdict {
    let verdict = classify(response, now);
    let code = response
        .as_ref()
        .ok()
        .and_then(|response| error_code(&value_of(response.body()).unwrap_or_default()));
    let class = match (verdict.status, code.as_deref(), changing) {
        (Some(405 | 501), ..) => Class::NotChangeable,
        _ if verdict.class == Class::DestinationGone => Class::DestinationGone,
        (Some(404 | 410), Some("ActivityNotFoundInConversation"), _) => Class::MessageGone,
        // The responses below do not prove that the message is missing. A change of the content gets the
        // class `MessageGone` anyway. The poller then sends the content as a new message, and the response to
        // the new message decides what happens to the alert. A deletion keeps the class `Permanent`. Perhaps
        // the message is still there, so it must not count as deleted.
        (Some(404 | 410), _, Changing::Content)
        | (Some(400), Some("BadArgument"), Changing::Content)
        | (Some(403), Some("ServiceError"), Changing::Content) => Class::MessageGone,
        _ => match verdict.class {
            Class::PossiblyDelivered | Class::GatewayFailed => Class::Unavailable,
            class => class,
        },
    };
    Verdict { class, ..verdict }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coded(code: &str) -> String {
        format!(r#"{{"error":{{"code":"{code}","message":"words"}}}}"#)
    }

    #[test]
    fn can_change_messages_is_false_on_web_chat_and_direct_line_and_true_on_teams() {
        let channels = ["msteams", "slack", "emulator", "webchat", "directline"];
        assert_eq!(channels.map(can_change_messages), [true, true, true, false, false]);
    }

    #[test]
    fn classify_change_distinguishes_a_missing_message_and_a_channel_without_changes() {
        use Changing::{Content, Deletion};
        for (status, body, changing, class) in [
            (200, r#"{"id":"1"}"#.to_owned(), Content, Class::Accepted),
            (200, String::new(), Deletion, Class::Accepted),
            (404, coded("ActivityNotFoundInConversation"), Content, Class::MessageGone),
            (404, coded("ActivityNotFoundInConversation"), Deletion, Class::MessageGone),
            (404, String::new(), Content, Class::MessageGone),
            (404, coded("NotFound"), Deletion, Class::Permanent),
            // This response has no error code. So perhaps a gateway sent it, and the message is still there.
            (404, String::new(), Deletion, Class::Permanent),
            (404, coded("ConversationNotFound"), Content, Class::DestinationGone),
            (403, coded("BotNotInConversationRoster"), Content, Class::DestinationGone),
            (403, coded("ServiceError"), Content, Class::MessageGone),
            (403, coded("ServiceError"), Deletion, Class::Permanent),
            (400, coded("BadArgument"), Content, Class::MessageGone),
            (400, coded("BadSyntax"), Content, Class::Permanent),
            (405, coded("BadArgument"), Content, Class::NotChangeable),
            (405, String::new(), Deletion, Class::NotChangeable),
            (501, String::new(), Deletion, Class::NotChangeable),
            (500, String::new(), Content, Class::Unavailable),
            (502, String::new(), Content, Class::Unavailable),
            (429, String::new(), Content, Class::Throttled),
            (401, String::new(), Content, Class::Unauthorized),
            (413, String::new(), Content, Class::Permanent),
        ] {
            let response = http::Response::builder().status(status).body(Bytes::from(body.clone())).unwrap();
            let verdict = classify_change(&Ok(response), DateTime::UNIX_EPOCH, changing);
            assert_eq!(verdict.class, class, "{status} {body} {changing:?}");
        }
        let lost = Err(TransportError::ResponseLost("cut".into()));
        assert_eq!(classify_change(&lost, DateTime::UNIX_EPOCH, Content).class, Class::Unavailable);
    }
}
