//! What an activity tells about its conversation: that it is there, or that it is over.

use address_book::{AddressBook, BookError, ConversationKey, Record, Sign};
use bot_framework::{Activity, ActivityKind, ConversationReference};
use platform::{Host, Level};
use serde_json::json;

/// Keeps the address book up to date, with whether the caller's token vouched for the serviceUrl. Returns the conversation's
/// record, if it is known now. That it failed is logged and changes nothing: the person's message matters more.
pub(crate) async fn note<H: Host>(
    host: &H,
    activity: &Activity,
    service_url_verified: bool,
) -> Option<Record> {
    // One that cannot be answered cannot be alerted either.
    let reference = ConversationReference::of(activity).ok()?;
    let reference = reference.with_service_url_verified(service_url_verified);
    let book = AddressBook::new(host);
    let result = match told_by(activity) {
        Tells::Here(sign) => book.hear(&reference, sign).await,
        Tells::Over => book.forget(&ConversationKey::of(&reference)).await.map(|()| None),
        Tells::ForgetPerson => book.forget_person(&reference).await.map(|()| None),
        Tells::Nothing => return None,
    };
    log(host, result).flatten()
}

/// Notes that nobody is there any more, as far as the channel says.
pub(crate) async fn pause<H: Host>(host: &H, reference: &ConversationReference) {
    log(host, AddressBook::new(host).pause(reference).await);
}

fn log<T>(host: &impl Host, result: Result<T, BookError>) -> Option<T> {
    let error = match result {
        Ok(value) => return Some(value),
        Err(error) => error,
    };
    let (level, event) = match error {
        BookError::Store(_) => (Level::Error, "conversation.not-stored"),
        BookError::TooLarge { .. } => (Level::Warn, "conversation.too-large"),
    };
    host.event(level, event, json!({"reason": error.to_string()}));
    None
}

#[derive(Debug, PartialEq)]
enum Tells {
    Here(Sign),
    Over,
    ForgetPerson,
    Nothing,
}

fn told_by(activity: &Activity) -> Tells {
    match &activity.kind {
        ActivityKind::Message => Tells::Here(Sign::Message),
        ActivityKind::ConversationUpdate if activity.removes_the_bot() => Tells::Over,
        ActivityKind::ConversationUpdate if activity.adds_the_bot() => Tells::Here(Sign::Installed),
        ActivityKind::ConversationUpdate => Tells::Here(Sign::Update),
        // An upgrade is `remove-upgrade`, then `add-upgrade`: the conversation stays.
        ActivityKind::InstallationUpdate => match activity.action.as_deref() {
            Some("add" | "add-upgrade") => Tells::Here(Sign::Installed),
            Some("remove") => Tells::Over,
            _ => Tells::Nothing,
        },
        ActivityKind::EndOfConversation => Tells::Over,
        ActivityKind::DeleteUserData => Tells::ForgetPerson,
        ActivityKind::Invoke | ActivityKind::Event | ActivityKind::Trigger | ActivityKind::Other(_) => {
            Tells::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_an_activity_tells() {
        for (change, expected) in [
            (json!({"type": "message"}), Tells::Here(Sign::Message)),
            (json!({"type": "conversationUpdate"}), Tells::Here(Sign::Update)),
            (json!({"type": "conversationUpdate", "membersAdded": [{"id": "u"}]}), Tells::Here(Sign::Update)),
            (
                json!({"type": "conversationUpdate", "membersAdded": [{"id": "b"}]}),
                Tells::Here(Sign::Installed),
            ),
            (json!({"type": "conversationUpdate", "membersRemoved": [{"id": "b"}]}), Tells::Over),
            (
                json!({"type": "conversationUpdate", "membersRemoved": [{"id": "u"}]}),
                Tells::Here(Sign::Update),
            ),
            (json!({"type": "installationUpdate", "action": "add"}), Tells::Here(Sign::Installed)),
            (json!({"type": "installationUpdate", "action": "add-upgrade"}), Tells::Here(Sign::Installed)),
            (json!({"type": "installationUpdate", "action": "remove"}), Tells::Over),
            (json!({"type": "installationUpdate", "action": "remove-upgrade"}), Tells::Nothing),
            (json!({"type": "installationUpdate"}), Tells::Nothing),
            (json!({"type": "endOfConversation"}), Tells::Over),
            (json!({"type": "deleteUserData"}), Tells::ForgetPerson),
            (json!({"type": "invoke"}), Tells::Nothing),
            (json!({"type": "typing"}), Tells::Nothing),
        ] {
            let mut json = json!({"conversation": {"id": "c"}, "recipient": {"id": "b"}});
            json.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            let activity = Activity::parse(Value::to_string(&json).as_bytes()).unwrap();
            assert_eq!(told_by(&activity), expected, "{change}");
        }
    }
}
