//! Classifies a response of the Connector by its HTTP status, headers and body. If there is no response, the
//! transport error (e.g. a refused connection) decides the class.
//!
//! The source is the table "Status code responses" on
//! <https://learn.microsoft.com/microsoftteams/platform/bots/build-conversational-capability>. The table says
//! for each status whether a bot can send the message again.
//!
//! [`Class::Unavailable`] means that the message was certainly not delivered. [`Class::PossiblyDelivered`] is
//! a separate class, because a second send of a possibly delivered message can deliver the message twice.
//!
//! If the body of a response was lost, the class is the same as for an empty body with the same status.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use platform::{TransportError, value_of};
use serde_json::Value;

use crate::outbound::TokenError;
use crate::retry_after;

/// The Connector's error codes for a person, a conversation or an installation of the bot that can no longer
/// be reached. Sources:
/// <https://learn.microsoft.com/microsoftteams/platform/bots/build-conversational-capability> and the
/// Connector's own `ErrorCode` list.
///
/// If a response has one of these codes and the status 403, 404 or 410, the poller moves the message to the
/// poison queue, and *pauses* the conversation (sends no alerts to the conversation for up to a day). With
/// any other code, the fault can be in the service itself, so the poller does not pause the conversation.
///
/// Exception: if a 404 for a personal chat on Teams has one of these codes, the poller first tries to send
/// the alert to a new chat.
const DESTINATION_GONE_CODES: [&str; 7] = [
    "BotDisabledByAdmin",
    "BotNotInConversationRoster",
    "ConversationBlockedByUser",
    "ConversationNotFound",
    "ForbiddenOperationException",
    "MessageWritesBlocked",
    "NotEnoughPermissions",
];

/// The result of a call that sends, changes or deletes a message, as the Connector's response shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The Connector accepted the message.
    Accepted,
    /// The service limits the rate (429). The message and the conversation are not at fault, so the message
    /// can be sent later.
    Throttled,
    /// The message was certainly not delivered, and a later try can succeed (412, 503, or the request was not
    /// sent).
    Unavailable,
    /// A gateway returned an error (408, 502, 504). Perhaps the service behind the gateway has accepted the
    /// message. Microsoft's documentation of the Connector allows a second send, although a second send can
    /// deliver the message twice.
    GatewayFailed,
    /// It is unknown whether the message was delivered (500, or the response was lost). A second send can
    /// deliver the message twice.
    PossiblyDelivered,
    /// The Connector refused the bot's token (401, or 403 without an error code). Or the login host (the host
    /// that issues tokens) refused the bot. If the call had a fresh token or no token, the token cannot be
    /// the reason of a 403 without an error code. Such a 403 has the class [`Class::Permanent`].
    Unauthorized,
    /// The message was not delivered, for one of three reasons. The login host issued no token this time,
    /// but did not refuse the bot. Or the time limit of the call passed before the token arrived. Or no
    /// conversation could be started through Direct Line (another API for the delivery of alerts). The fault
    /// concerns all messages, not only this message. A later try can succeed.
    NoToken,
    /// The conversation is in another cloud of Microsoft (error code `InvalidBotApiHost`). Usually, this
    /// cloud is GCC (a part of Teams for US authorities). The Connector of GCC has another host.
    WrongCloud,
    /// The person, the conversation or the installation can no longer be reached (403, 404 or 410, with one
    /// of `DESTINATION_GONE_CODES`).
    DestinationGone,
    /// The conversation no longer shows the message that the client wanted to change or delete.
    MessageGone,
    /// The channel supports no changes and no deletions of messages.
    NotChangeable,
    /// No later try will succeed (400, 413, 403 with any other error code, and every status that no other
    /// class names). A 404 or 410 without one of `DESTINATION_GONE_CODES` is also in this class. Such a
    /// response can come from a gateway, so perhaps the person and the conversation still exist.
    Permanent,
}

/// A [`Class`], with the details of the response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The class of the response.
    pub class: Class,
    /// The HTTP status, if there was a response.
    pub status: Option<u16>,
    /// The reason, for the log: the status and the Connector's error code, or the transport error. The reason
    /// never contains the body.
    pub reason: String,
    /// The pause that the Connector asked for.
    pub retry_after: Option<Duration>,
    /// The id that the channel assigned to the message.
    pub activity_id: Option<String>,
}

impl Verdict {
    /// The verdict if the id of a conversation, a message or a member is empty or has only dots. Such an id
    /// cannot be a segment of the URL's path, so the client sends nothing.
    pub(crate) fn unusable_address() -> Self {
        Self {
            class: Class::Permanent,
            status: None,
            reason: "address: an id is empty or has only dots".into(),
            retry_after: None,
            activity_id: None,
        }
    }

    /// Corrects the class of a 403 without an error code: [`Class::Unauthorized`] becomes
    /// [`Class::Permanent`]. The client calls this method after a try with a fresh token, and after a call
    /// without a token.
    ///
    /// In both cases, the token is not the reason of the 403. So the 403 concerns only this message or this
    /// conversation. For example, the filter of a gateway can refuse a message. [`Class::Unauthorized`] would
    /// stop the run (one execution of the poller), so one refused message could block all messages for ever.
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

/// The verdict of a call to the Connector, with the error code and the body of the response.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) verdict: Verdict,
    /// The Connector's error code; `None` if there is no response or no code.
    pub(crate) code: Option<String>,
    /// The body; `null` if there is no response, or the body is not JSON.
    pub(crate) body: Value,
}

impl Response {
    /// Applies [`Verdict::token_ruled_out`].
    pub(crate) fn token_ruled_out(self) -> Self {
        Self { verdict: self.verdict.token_ruled_out(), ..self }
    }
}

impl From<Verdict> for Response {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, code: None, body: Value::Null }
    }
}

impl From<TokenError> for Response {
    fn from(error: TokenError) -> Self {
        Verdict::from(error).into()
    }
}

/// Classifies the response of a call, or the transport error if there is no response. If `Retry-After` is a
/// date, the pause is the time from `now` to this date.
pub fn classify(response: &Result<http::Response<Bytes>, TransportError>, now: DateTime<Utc>) -> Verdict {
    read(response, now).verdict
}

/// Classifies like [`classify`], and returns the body and the error code, too.
pub(crate) fn read(response: &Result<http::Response<Bytes>, TransportError>, now: DateTime<Utc>) -> Response {
    let (status, headers, body, lost) = match response {
        Ok(response) => (response.status(), response.headers(), response.body().as_ref(), None),
        Err(TransportError::BodyLost(lost)) => (lost.status, &lost.headers, &[][..], Some(lost.problem)),
        Err(error) => {
            let class = if error.may_have_arrived() { Class::PossiblyDelivered } else { Class::Unavailable };
            let (status, reason) = (None, error.to_string());
            return Verdict { class, status, reason, retry_after: None, activity_id: None }.into();
        }
    };
    let status = status.as_u16();
    // The response of a gateway is HTML or empty, without an error code. So the status decides the class, and
    // an error code can only choose between the classes of this status.
    let body = value_of(body).unwrap_or_default();
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
    let reason = match (&code, lost) {
        (Some(code), _) => format!("{status} {code}"),
        (None, Some(problem)) => format!("{status}, and its body was lost: {problem}"),
        (None, None) => status.to_string(),
    };
    let verdict = Verdict {
        class,
        status: Some(status),
        reason,
        retry_after: retry_after::of_response(headers, &body, now),
        activity_id: body["id"].as_str().map(Into::into),
    };
    Response { verdict, code, body }
}

/// Returns the error code of a body. Usually, the code is in the field `error.code`. Teams also sends bodies
/// of the form `{"errorCode":209,"message":"<JSON>"}`. In this form, `message` is a text with JSON inside,
/// and the code is in a field `subCode` of this inner JSON.
pub(crate) fn error_code(body: &Value) -> Option<String> {
    let sub_code = || {
        body.get("errorCode")?;
        let nested = value_of(body["message"].as_str()?.as_bytes())?;
        find_sub_code(&nested, 4)
    };
    let code = body["error"]["code"].as_str().map(Into::into).or_else(sub_code)?;
    // The code goes to the log and to the poison queue, so the function returns only a plain word.
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

    fn fixed_now() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 11, 23, 22, 0, 0).unwrap()
    }

    fn response(status: u16, body: &str, retry_after: Option<&str>) -> Verdict {
        let mut builder = http::Response::builder().status(status);
        if let Some(value) = retry_after {
            builder = builder.header("retry-after", value);
        }
        classify(&Ok(builder.body(Bytes::copy_from_slice(body.as_bytes())).unwrap()), fixed_now())
    }

    fn coded(code: &str) -> String {
        format!(
            r#"{{"error":{{"code":"{code}","message":"words","innerHttpError":{{"statusCode":1,"body":null}}}}}}"#
        )
    }

    #[test]
    fn classify_returns_the_class_for_a_status_and_an_error_code() {
        let sub_code = r#"{"errorCode":209,"message":"{\r\n  \"subCode\": \"MessageWritesBlocked\",\r\n  \"details\": null\r\n}"}"#;
        let sub_code_nested =
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
            (403, sub_code.to_owned(), Class::DestinationGone, "403 MessageWritesBlocked"),
            (403, sub_code_nested.to_owned(), Class::DestinationGone, "403 MessageWritesBlocked"),
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
            let verdict = response(status, &body, None);
            assert_eq!((verdict.class, verdict.reason.as_str()), (class, reason), "{status} {body}");
            assert_eq!(verdict.status, Some(status));
        }
    }

    #[test]
    fn classify_without_a_response_depends_on_whether_the_request_may_have_arrived() {
        for (error, class) in [
            (TransportError::Denied, Class::Unavailable),
            (TransportError::NotSent("the connection was refused".into()), Class::Unavailable),
            (TransportError::ResponseLost("no response in time".into()), Class::PossiblyDelivered),
        ] {
            assert_eq!(classify(&Err(error.clone()), fixed_now()).class, class, "{error}");
        }
    }

    #[test]
    fn classify_with_a_lost_body_uses_status_and_headers() {
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
                let verdict = classify(&Err(lost), fixed_now());
                assert_eq!((verdict.class, verdict.status), (class, Some(status)), "{problem}");
                assert_eq!(verdict.reason, format!("{status}, and its body was lost: {problem}"));
                assert_eq!(verdict.retry_after, Some(Duration::from_secs(7)), "{status}");
            }
        }
    }

    #[test]
    fn retry_after_in_headers_or_body_is_read() {
        assert_eq!(response(503, "", Some("9")).retry_after, Some(Duration::from_secs(9)));
        assert_eq!(response(429, r#"{"retryAfter":9}"#, None).retry_after, Some(Duration::from_secs(9)));
        assert_eq!(response(429, "", None).retry_after, None);
    }

    #[test]
    fn error_code_that_is_not_a_word_is_left_out_of_the_reason() {
        for code in ["with space", "<script>", "new\\nline", &"x".repeat(65)] {
            assert_eq!(response(400, &coded(code), None).reason, "400");
        }
    }
}
