//! Responds to invokes, and recognizes messages that come from a press of a button. An *invoke* is an
//! activity of the type `invoke`. The client, for example the Teams app, shows the person the HTTP response
//! to the invoke.

use bot_framework::Activity;
use bytes::Bytes;
use http::{Response, StatusCode};
use platform::{Host, Level, excerpt, response};
use serde_json::{Value, json};

pub(crate) const CODE: &str = "NotSupported";
pub(crate) const MESSAGE: &str =
    "invoke: the bot does not support this invoke activity; send a message instead";

/// Makes the response to an invoke that the bot does not support. The bot supports only one kind of invoke: a
/// press of a button that the bot made. The module `pressing` handles such a press.
///
/// The HTTP status is 200, and the error is in the body. After any other HTTP status, the client shows that
/// the bot is broken. Adaptive Cards of version 1.4 or later send an invoke with the name
/// `adaptiveCard/action`. The response to such an invoke needs another form of error.
pub(crate) fn error_response(host: &impl Host, activity: &Activity) -> Response<Bytes> {
    let name = activity.rest.get("name").and_then(Value::as_str).unwrap_or_default();
    host.event(Level::Info, "invoke.not-supported", json!({"name": excerpt(name)}));
    let error = json!({"code": CODE, "message": MESSAGE});
    let body = match name {
        "adaptiveCard/action" => {
            json!({"statusCode": 400, "type": "application/vnd.microsoft.error", "value": error})
        }
        _ => json!({"error": error}),
    };
    response::json(StatusCode::OK, &body)
}

/// Whether a message without text comes from a press of a button. Such a message has one of two forms. The
/// first form has a `value`. The second form has a `replyToId`, and no attachments. Teams sends the second
/// form for a button of the type `Action.Submit` on a card, if the member `data` of the button is a string.
pub(crate) fn is_press_without_text(activity: &Activity) -> bool {
    let has = |name: &str| match activity.rest.get(name) {
        None | Some(Value::Null) => false,
        Some(Value::Array(items)) => !items.is_empty(),
        Some(_) => true,
    };
    has("value") || has("replyToId") && !has("attachments")
}

#[cfg(test)]
mod tests {
    use platform::testing::FakeHost;

    use super::*;

    fn activity(change: &Value) -> Activity {
        let mut json = json!({"type": "message", "conversation": {"id": "c"}});
        json.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        Activity::parse(json.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn response_to_an_invoke_is_200_and_the_name_of_the_invoke_decides_the_form_of_the_error() {
        for (name, pointer) in [
            (json!("adaptiveCard/action"), "/value/code"),
            (json!("task/fetch"), "/error/code"),
            (json!(7), "/error/code"),
        ] {
            let answer =
                error_response(&FakeHost::default(), &activity(&json!({"type": "invoke", "name": name})));
            let body: Value = serde_json::from_slice(answer.body()).unwrap();
            assert_eq!(answer.status(), 200);
            assert_eq!(body.pointer(pointer), Some(&json!(CODE)), "{name}: {body}");
        }
    }

    #[test]
    fn button_press_is_recognized_by_a_value_or_by_a_replytoid_without_attachments() {
        for (change, expected) in [
            (json!({}), false),
            (json!({"value": "yes"}), true),
            (json!({"value": {"a": 1}}), true),
            (json!({"value": null}), false),
            (json!({"replyToId": "7"}), true),
            (json!({"replyToId": "7", "attachments": []}), true),
            (json!({"replyToId": "7", "attachments": [{"contentType": "image/png"}]}), false),
        ] {
            assert_eq!(is_press_without_text(&activity(&change)), expected, "{change}");
        }
    }
}
