//! `to`: from what a caller writes to the conversations that it means.

use address_book::{AddressBook, ConversationKey, Record, Tag, TagError};
use bot_framework::json::{FieldError, Fields};
use bot_framework::{ConversationReference, TrustPolicy};
use platform::Host;
use serde_json::Value;

use super::rejection::AlertRejection;
use crate::rejection::Rejection;

/// The most conversations that one call may alert: a call has 30 s, and each of them takes a Put.
pub(super) const MAX_TARGETS: usize = 100;

/// One element of `to`, and where it stands.
#[derive(Debug, PartialEq)]
pub(super) struct To {
    path: String,
    form: Form,
}

#[derive(Debug, PartialEq)]
enum Form {
    Conversation(String),
    User { channel_id: String, id: String },
    AadObject(String),
    Tag(Tag),
    Address(Box<ConversationReference>),
}

/// A conversation to alert.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) key: ConversationKey,
    pub(super) address: ConversationReference,
    /// Why it gets nothing now.
    pub(super) held: Option<Held>,
}

/// Why a conversation gets no alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// The person said `stop`.
    Stopped,
    /// The channel says that nobody is there.
    Paused,
    /// Its Connector is on no list: it was stored in another mode, or with other `servicehosts`.
    Untrusted,
}

impl Held {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Paused => "paused",
            Self::Untrusted => "untrusted",
        }
    }
}

/// Reads `to`: one target, or an array of them.
pub(super) fn read(fields: &mut Fields) -> Result<Vec<To>, AlertRejection> {
    let elements = match fields.as_object().get("to") {
        Some(Value::Array(_)) => {
            let elements = fields.objects("to")?;
            let paths = (0..elements.len()).map(|index| format!("to[{index}]"));
            paths.zip(elements).collect()
        }
        _ => vec![("to".to_owned(), fields.required_object("to")?)],
    };
    match elements.len() {
        0 => return Err(fields.error("to", "at least one target").into()),
        targets if targets > MAX_TARGETS => {
            return Err(AlertRejection::TooManyTargets { path: "to".into(), targets });
        }
        _ => {}
    }
    let read = |(path, element): (String, Fields)| Ok(To { form: read_form(element, &path)?, path });
    elements.into_iter().map(read).collect()
}

fn read_form(mut fields: Fields, path: &str) -> Result<Form, FieldError> {
    const FORMS: &str = "exactly one of conversation, user, tag and address";
    let whole = |expected| FieldError { path: path.into(), expected };
    let mut names = fields.as_object().keys();
    let (Some(name), None) = (names.next().cloned(), names.next()) else { return Err(whole(FORMS)) };
    match name.as_str() {
        "conversation" => Ok(Form::Conversation(fields.required_string("conversation")?)),
        "user" => {
            let user = fields.required_string("user")?;
            match user.split_once('/') {
                None => Ok(Form::AadObject(user)),
                Some((channel_id, id)) if !channel_id.is_empty() && !id.is_empty() => {
                    Ok(Form::User { channel_id: channel_id.into(), id: id.into() })
                }
                Some(_) => Err(fields.error("user", "channelId/id or an Entra object id")),
            }
        }
        "tag" => Tag::parse(&fields.required_string("tag")?)
            .map(Form::Tag)
            .ok_or_else(|| fields.error("tag", "a word of at most 64 letters, digits and -_.:#@+")),
        "address" => {
            let address = ConversationReference::from_fields(fields.required_object("address")?)?;
            // Our seal will say that we wrote this: nobody else may say that its serviceUrl was verified.
            Ok(Form::Address(Box::new(address.with_service_url_verified(false))))
        }
        _ => Err(whole(FORMS)),
    }
}

/// Finds the conversations, each once. That one of them is not known is an error of the whole call, so that nothing is
/// half done.
pub(super) async fn resolve<H: Host>(
    host: &H,
    trust: &TrustPolicy,
    to: Vec<To>,
) -> Result<Vec<Target>, Rejection> {
    let book = AddressBook::new(host);
    let mut targets: Vec<Target> = Vec::new();
    for To { path, form } in to {
        let found = match form {
            Form::Conversation(text) => match ConversationKey::parse(&text) {
                Some(key) => book.get(&key).await.map(|record| record.map(|record| (key, record))),
                None => Ok(None),
            }
            .map(Vec::from_iter),
            Form::User { channel_id, id } => book.of_user(&channel_id, &id).await.map(Vec::from_iter),
            Form::AadObject(id) => book.of_aad_object(&id).await.map(Vec::from_iter),
            Form::Tag(tag) => match book.of_tag(&tag, MAX_TARGETS).await {
                Ok(found) => Ok(found),
                Err(TagError::Book(error)) => Err(error),
                Err(TagError::TooMany { subscribers }) => {
                    return Err(AlertRejection::TooManyTargets { path, targets: subscribers }.into());
                }
            },
            Form::Address(address) => {
                trust.check(&address.service_url)?;
                let key = ConversationKey::of(&address);
                // Who has said `stop` is left alone, however the conversation is named.
                let record = book.get(&key).await.map_err(AlertRejection::from)?;
                let held = record.as_ref().and_then(held_by_record);
                if !names(&targets, &key) {
                    targets.push(Target { key, address: *address, held });
                }
                continue;
            }
        };
        let found = found.map_err(AlertRejection::from)?;
        if found.is_empty() {
            return Err(AlertRejection::UnknownTarget { path }.into());
        }
        for (key, record) in found {
            if !names(&targets, &key) {
                let untrusted = trust.check(&record.address.service_url).is_err();
                let held = held_by_record(&record).or(untrusted.then_some(Held::Untrusted));
                targets.push(Target { key, address: record.address, held });
            }
        }
    }
    match targets.len() {
        count if count > MAX_TARGETS => {
            Err(AlertRejection::TooManyTargets { path: "to".into(), targets: count }.into())
        }
        _ => Ok(targets),
    }
}

fn names(targets: &[Target], key: &ConversationKey) -> bool {
    targets.iter().any(|target| target.key == *key)
}

fn held_by_record(record: &Record) -> Option<Held> {
    if record.stopped { Some(Held::Stopped) } else { record.paused.then_some(Held::Paused) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(to: Value) -> Result<Vec<To>, String> {
        let body = json!({ "to": to }).to_string();
        read(&mut Fields::parse(body.as_bytes()).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn every_form_is_read() {
        let user = |channel_id: &str, id: &str| Form::User { channel_id: channel_id.into(), id: id.into() };
        for (to, expected) in [
            (json!({"conversation": "x"}), Form::Conversation("x".into())),
            (json!({"user": "msteams/29:1a/b"}), user("msteams", "29:1a/b")),
            (json!({"user": "e5e0"}), Form::AadObject("e5e0".into())),
            (json!({"tag": "Orders-42"}), Form::Tag(Tag::parse("orders-42").unwrap())),
        ] {
            assert_eq!(check(to.clone()), Ok(vec![To { path: "to".into(), form: expected }]), "{to}");
        }
        assert_eq!(check(json!([{"user": "a"}, {"tag": "b"}])).unwrap()[1].path, "to[1]");
    }

    #[test]
    fn what_names_nobody_is_told_where() {
        for (to, path) in [
            (json!(null), "to"),
            (json!("x"), "to"),
            (json!([]), "to"),
            (json!({}), "to"),
            (json!({"everybody": true}), "to"),
            (json!({"tag": "x", "user": "y"}), "to"),
            (json!({"tag": "x", "user": null}), "to"),
            (json!({"tag": null}), "to.tag"),
            (json!({"conversation": ""}), "to.conversation"),
            (json!({"conversation": 7}), "to.conversation"),
            (json!({"user": "/x"}), "to.user"),
            (json!({"user": "msteams/"}), "to.user"),
            (json!({"tag": "two words"}), "to.tag"),
            (json!({"address": "x"}), "to.address"),
            (json!({"address": {"channelId": "x", "serviceUrl": "https://x/"}}), "to.address.conversation"),
            (json!([{"tag": "x"}, 7]), "to[1]"),
            (json!([{"tag": "x"}, {"tag": "y z"}]), "to[1].tag"),
            (json!([{"tag": "x"}, {}]), "to[1]"),
        ] {
            let error = check(to.clone()).expect_err("refused");
            assert!(error.starts_with(&format!("{path}: ")), "{to}: {error}");
        }
        let many = vec![json!({"tag": "x"}); MAX_TARGETS + 1];
        assert!(check(many.into()).expect_err("too many").contains("101"));
    }
}
