//! What an answer of the Connector means: one pure function over status, headers, body and transport error.
//!
//! The table is the one of "Status code responses" on
//! <https://learn.microsoft.com/microsoftteams/platform/bots/build-conversational-capability>: what is not listed there as
//! retryable must not be retried. "Possibly delivered" is kept apart from "failed", because repeating it can double. The
//! status is enough: an answer whose body was lost says what it says with an empty one.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use platform::TransportError;
use serde_json::Value;

use crate::outbound::TokenError;
use crate::retry_after;

/// The Connector's codes by which nobody is there: <https://learn.microsoft.com/microsoftteams/platform/bots/build-conversational-capability>
/// and the service's own `ErrorCode` list. Any other code may be an incident of the service, and pauses nobody.
const DESTINATION_GONE_CODES: [&str; 7] = [
    "BotDisabledByAdmin",
    "BotNotInConversationRoster",
    "ConversationBlockedByUser",
    "ConversationNotFound",
    "ForbiddenOperationException",
    "MessageWritesBlocked",
    "NotEnoughPermissions",
];

/// What became of a message, as far as the Connector's answer tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The Connector took it.
    Accepted,
    /// Too much at once (429): later, and nobody's fault.
    Throttled,
    /// Surely not delivered, and it may work later (412, 503, nothing was sent).
    Unavailable,
    /// A gateway answered for a service that may have taken it (408, 502, 504). It may be repeated, as the Connector's guidance
    /// says, and may then double.
    GatewayFailed,
    /// Nobody knows (500, the answer was lost): repeating may double it.
    PossiblyDelivered,
    /// The bot's token was not taken (401; a 403 that names no reason, until a fresh token has been tried), or the login
    /// host refuses to give one.
    Unauthorized,
    /// There is no token, or no Direct Line conversation, for now: nothing was sent, and no message is to blame.
    NoToken,
    /// The conversation is in another cloud (`InvalidBotApiHost`): GCC has a host of its own.
    WrongCloud,
    /// The person, the conversation or the installation is gone (403, 404 or 410 with a code of a closed list).
    DestinationGone,
    /// It will never work (400, 413, everything else). A 404 of a gateway is among these: it says nothing about the person.
    Permanent,
}

/// [`Class`], and what to tell about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What it means.
    pub class: Class,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// Why, for people: the Connector's error code, or what broke. Never the body.
    pub reason: String,
    /// How long the Connector asked to be left alone.
    pub retry_after: Option<Duration>,
    /// The id that the channel gave the message.
    pub activity_id: Option<String>,
}

impl Verdict {
    /// An id of the address is no segment of a path: nothing was sent.
    pub(crate) fn unusable_address() -> Self {
        Self {
            class: Class::Permanent,
            status: None,
            reason: "address: an id is empty or has only dots".into(),
            retry_after: None,
            activity_id: None,
        }
    }

    /// The same once the token is not to blame. A 403 that names no reason is then about this message or this conversation
    /// (a gateway's filter, say): if it stopped the run, one message could hold up everybody's for ever.
    pub(crate) fn token_ruled_out(mut self) -> Self {
        if self.class == Class::Unauthorized && self.status == Some(403) {
            self.class = Class::Permanent;
        }
        self
    }
}

impl From<TokenError> for Verdict {
    fn from(error: TokenError) -> Self {
        let (class, retry_after) = match &error {
            TokenError::Refused(_) => (Class::Unauthorized, None),
            TokenError::Unavailable { retry_after, .. } => (Class::NoToken, *retry_after),
        };
        Self { class, status: None, reason: error.to_string(), retry_after, activity_id: None }
    }
}

/// Says what an answer, or its absence, means. `now` is for a `Retry-After` that is a date.
pub fn classify(answer: &Result<http::Response<Bytes>, TransportError>, now: DateTime<Utc>) -> Verdict {
    let (status, headers, body, lost) = match answer {
        Ok(response) => (response.status(), response.headers(), response.body().as_ref(), None),
        Err(TransportError::BodyLost(lost)) => (lost.status, &lost.headers, &[][..], Some(lost.problem)),
        Err(error) => {
            let class = if error.may_have_arrived() { Class::PossiblyDelivered } else { Class::Unavailable };
            return Verdict {
                class,
                status: None,
                reason: error.to_string(),
                retry_after: None,
                activity_id: None,
            };
        }
    };
    let status = status.as_u16();
    // Gateways answer with HTML or nothing at all: the status counts, the code refines it.
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let code = error_code(&body);
    let class = match (status, code.as_deref()) {
        (200..=299, _) => Class::Accepted,
        (401, _) | (403, None) => Class::Unauthorized,
        (403, Some("InvalidBotApiHost")) => Class::WrongCloud,
        (403 | 404 | 410, Some(code)) if DESTINATION_GONE_CODES.contains(&code) => Class::DestinationGone,
        (429, _) => Class::Throttled,
        (412 | 503, _) => Class::Unavailable,
        (408 | 502 | 504, _) => Class::GatewayFailed,
        (500, _) => Class::PossiblyDelivered,
        _ => Class::Permanent,
    };
    let reason = match (code, lost) {
        (Some(code), _) => format!("{status} {code}"),
        (None, Some(problem)) => format!("{status}, and its body was lost: {problem}"),
        (None, None) => status.to_string(),
    };
    Verdict {
        class,
        status: Some(status),
        reason,
        retry_after: retry_after::of_answer(headers, &body, now),
        activity_id: body["id"].as_str().map(Into::into),
    }
}

/// `error.code`; or Teams' odd shape `{"errorCode":209,"message":"<JSON text with subCode>"}`.
fn error_code(body: &Value) -> Option<String> {
    let odd = || {
        body.get("errorCode")?;
        let nested: Value = serde_json::from_str(body["message"].as_str()?).ok()?;
        find_sub_code(&nested, 4)
    };
    let code = body["error"]["code"].as_str().map(Into::into).or_else(odd)?;
    // It is written to logs and to the poison queue: a word, or nothing.
    let is_word =
        !code.is_empty() && code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_word.then_some(code)
}

fn find_sub_code(value: &Value, depth: u8) -> Option<String> {
    let object = value.as_object()?;
    if let Some(code) = object.get("subCode").and_then(Value::as_str) {
        return Some(code.to_owned());
    }
    if depth == 0 { None } else { object.values().find_map(|inner| find_sub_code(inner, depth - 1)) }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use http::header::RETRY_AFTER;
    use http::{HeaderMap, HeaderValue, StatusCode};
    use platform::BodyProblem;

    use super::*;

    fn at_ten() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 11, 23, 22, 0, 0).unwrap()
    }

    fn answer(status: u16, body: &str, retry_after: Option<&str>) -> Verdict {
        let mut builder = http::Response::builder().status(status);
        if let Some(value) = retry_after {
            builder = builder.header("retry-after", value);
        }
        classify(&Ok(builder.body(Bytes::copy_from_slice(body.as_bytes())).unwrap()), at_ten())
    }

    fn coded(code: &str) -> String {
        format!(
            r#"{{"error":{{"code":"{code}","message":"words","innerHttpError":{{"statusCode":1,"body":null}}}}}}"#
        )
    }

    #[test]
    fn every_row_of_the_table() {
        let odd = r#"{"errorCode":209,"message":"{\r\n  \"subCode\": \"MessageWritesBlocked\",\r\n  \"details\": null\r\n}"}"#;
        let odd_nested =
            r#"{"errorCode":209,"message":"{\"error\":{\"subCode\":\"MessageWritesBlocked\"}}"}"#;
        for (status, body, class, reason) in [
            (200, r#"{"id":"1"}"#.to_owned(), Class::Accepted, "200"),
            (201, String::new(), Class::Accepted, "201"),
            (202, String::new(), Class::Accepted, "202"),
            (204, String::new(), Class::Accepted, "204"),
            (302, String::new(), Class::Permanent, "302"),
            (400, coded("BadArgument"), Class::Permanent, "400 BadArgument"),
            (400, coded("Bad Argument"), Class::Permanent, "400"),
            (400, coded("BadSyntax"), Class::Permanent, "400 BadSyntax"),
            (401, coded("BotNotRegistered"), Class::Unauthorized, "401 BotNotRegistered"),
            (401, String::new(), Class::Unauthorized, "401"),
            (
                403,
                coded("BotNotInConversationRoster"),
                Class::DestinationGone,
                "403 BotNotInConversationRoster",
            ),
            (
                403,
                coded("ConversationBlockedByUser"),
                Class::DestinationGone,
                "403 ConversationBlockedByUser",
            ),
            (403, coded("MessageWritesBlocked"), Class::DestinationGone, "403 MessageWritesBlocked"),
            (403, odd.to_owned(), Class::DestinationGone, "403 MessageWritesBlocked"),
            (403, odd_nested.to_owned(), Class::DestinationGone, "403 MessageWritesBlocked"),
            (
                403,
                coded("ForbiddenOperationException"),
                Class::DestinationGone,
                "403 ForbiddenOperationException",
            ),
            (403, coded("BotDisabledByAdmin"), Class::DestinationGone, "403 BotDisabledByAdmin"),
            (403, coded("NotEnoughPermissions"), Class::DestinationGone, "403 NotEnoughPermissions"),
            (403, coded("InvalidBotApiHost"), Class::WrongCloud, "403 InvalidBotApiHost"),
            (403, String::new(), Class::Unauthorized, "403"),
            (403, "<html>Forbidden</html>".to_owned(), Class::Unauthorized, "403"),
            (403, r#"{"errorCode":209,"message":"not JSON"}"#.to_owned(), Class::Unauthorized, "403"),
            (404, coded("ConversationNotFound"), Class::DestinationGone, "404 ConversationNotFound"),
            (
                404,
                coded("ActivityNotFoundInConversation"),
                Class::Permanent,
                "404 ActivityNotFoundInConversation",
            ),
            (404, coded("ServiceError"), Class::Permanent, "404 ServiceError"),
            (404, String::new(), Class::Permanent, "404"),
            (404, "<html>Not found</html>".to_owned(), Class::Permanent, "404"),
            (403, coded("ServiceError"), Class::Permanent, "403 ServiceError"),
            (403, coded("conversationnotfound"), Class::Permanent, "403 conversationnotfound"),
            (405, String::new(), Class::Permanent, "405"),
            (408, String::new(), Class::GatewayFailed, "408"),
            (409, String::new(), Class::Permanent, "409"),
            (410, coded("ConversationNotFound"), Class::DestinationGone, "410 ConversationNotFound"),
            (410, String::new(), Class::Permanent, "410"),
            (412, coded("PreconditionFailed"), Class::Unavailable, "412 PreconditionFailed"),
            (413, coded("MessageSizeTooBig"), Class::Permanent, "413 MessageSizeTooBig"),
            (429, coded("Throttled"), Class::Throttled, "429 Throttled"),
            (429, String::new(), Class::Throttled, "429"),
            (500, coded("ServiceError"), Class::PossiblyDelivered, "500 ServiceError"),
            (500, String::new(), Class::PossiblyDelivered, "500"),
            (501, String::new(), Class::Permanent, "501"),
            (502, "<html>Bad gateway</html>".to_owned(), Class::GatewayFailed, "502"),
            (503, String::new(), Class::Unavailable, "503"),
            (504, coded("GatewayTimeout"), Class::GatewayFailed, "504 GatewayTimeout"),
        ] {
            let verdict = answer(status, &body, None);
            assert_eq!((verdict.class, verdict.reason.as_str()), (class, reason), "{status} {body}");
            assert_eq!(verdict.status, Some(status));
        }
    }

    #[test]
    fn without_an_answer_it_matters_whether_the_request_arrived() {
        for (error, class) in [
            (TransportError::Denied, Class::Unavailable),
            (TransportError::NotSent("the connection was refused".into()), Class::Unavailable),
            (TransportError::AnswerLost("no answer in time".into()), Class::PossiblyDelivered),
        ] {
            assert_eq!(classify(&Err(error.clone()), at_ten()).class, class, "{error}");
        }
    }

    #[test]
    fn without_its_body_an_answer_says_what_its_head_says() {
        let problems = [BodyProblem::Broken, BodyProblem::TooLong { limit_bytes: 1 }, BodyProblem::OutOfTime];
        for (status, class) in [
            (200, Class::Accepted),
            (201, Class::Accepted),
            (302, Class::Permanent),
            (400, Class::Permanent),
            (401, Class::Unauthorized),
            (403, Class::Unauthorized),
            (404, Class::Permanent),
            (412, Class::Unavailable),
            (429, Class::Throttled),
            (500, Class::PossiblyDelivered),
            (503, Class::Unavailable),
        ] {
            for problem in problems {
                let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("7"))]);
                let status_code = StatusCode::from_u16(status).unwrap();
                let lost = TransportError::body_lost(status_code, headers, problem);
                let verdict = classify(&Err(lost), at_ten());
                assert_eq!((verdict.class, verdict.status), (class, Some(status)), "{problem}");
                assert_eq!(verdict.reason, format!("{status}, and its body was lost: {problem}"));
                assert_eq!(verdict.retry_after, Some(Duration::from_secs(7)), "{status}");
            }
        }
    }

    #[test]
    fn any_status_may_ask_for_a_pause_in_its_head_or_body() {
        assert_eq!(answer(503, "", Some("9")).retry_after, Some(Duration::from_secs(9)));
        assert_eq!(answer(429, r#"{"retryAfter":9}"#, None).retry_after, Some(Duration::from_secs(9)));
        assert_eq!(answer(429, "", None).retry_after, None);
    }

    #[test]
    fn a_code_is_a_word_before_it_is_repeated() {
        for code in ["with space", "<script>", "new\\nline", &"x".repeat(65)] {
            assert_eq!(answer(400, &coded(code), None).reason, "400");
        }
    }
}
