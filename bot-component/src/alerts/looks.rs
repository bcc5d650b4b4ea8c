//! The members `format`, `mentions` and `importance` of an API call, which decide how the alert looks.

use std::time::Duration;

use bot_framework::json::{FieldError, Fields};
use bot_framework::{Mention, TextFormat, adaptive_cards, each_string, mentioned_names};
use envelope::Look;
use platform::{Deadline, Host};
use serde_json::{Map, Value};

use super::caller::Caller;
use crate::rejection::AlertRejection;
use crate::settings::BotSettings;

/// The highest number of mentions in one alert.
const MAX_MENTIONS: usize = 20;
const MAX_NAME_CHARACTERS: usize = 100;

/// The longest time for looking up one person whom a text mentions.
const LOOK_UP_WITHIN: Duration = Duration::from_secs(4);

/// Reads `format` and `mentions`. Moves `importance` into `activity`, because a caller can write `importance`
/// instead of `activity.importance`.
pub(super) fn read(
    fields: &mut Fields,
    text: &str,
    activity: &mut Map<String, Value>,
) -> Result<Look, FieldError> {
    let format = match fields.string("format")? {
        None => None,
        Some(word) => Some(
            TextFormat::from_word(&word).ok_or_else(|| fields.error("format", "`plain` or `markdown`"))?,
        ),
    };
    let mentions = read_mentions(fields)?;
    match fields.string("importance")? {
        None => {}
        Some(_) if activity.contains_key("importance") => {
            return Err(fields
                .error("importance", "`importance` or `activity.importance`, found both; leave one out"));
        }
        Some(word) if ["low", "normal", "high"].contains(&word.as_str()) => {
            activity.insert("importance".into(), word.into());
        }
        Some(_) => return Err(fields.error("importance", "`low`, `normal` or `high`")),
    }
    let is_mentioned = |mention: &Mention| mentioned_names(text).any(|name| name == mention.name);
    let has_mention = mentions.iter().any(is_mentioned);
    if format == Some(TextFormat::Plain) && has_mention {
        return Err(fields.error("format", "`markdown` or no value, because `text` has mentions"));
    }
    // The check above refuses a plain text with mentions. So a text with mentions is Markdown by default.
    let default = if has_mention { TextFormat::Markdown } else { TextFormat::Plain };
    let format = format.unwrap_or(default);
    expect_elements(fields, text, format, &mentions, activity)?;
    Ok(Look { format, mentions })
}

fn read_mentions(fields: &mut Fields) -> Result<Vec<Mention>, FieldError> {
    let elements = fields.objects("mentions")?;
    if elements.len() > MAX_MENTIONS {
        return Err(fields.error("mentions", "at most 20 elements"));
    }
    let mut mentions: Vec<Mention> = Vec::with_capacity(elements.len());
    for mut element in elements {
        let id = element.required_string("user")?;
        if !is_object_id(&id) && !id.starts_with("29:") {
            return Err(element.error("user", "an Entra object id, or an id of Teams such as 29:1bSnH"));
        }
        let name = element.required_string("name")?;
        let is_name = name.chars().count() <= MAX_NAME_CHARACTERS && !name.contains(['<', '>']);
        if !is_name {
            return Err(element.error("name", "1 to 100 characters without < and >"));
        }
        if mentions.iter().any(|other| other.name == name) {
            return Err(element.error("name", "a name that no other element has"));
        }
        if let Some(other) = element.as_object().keys().next() {
            return Err(element.error(other, "one of the members user and name"));
        }
        mentions.push(Mention { id, name });
    }
    Ok(mentions)
}

/// Checks the mentions of an alert. Each element of `mentions` must have an `<at>name</at>` in the text or in
/// a card. Each `<at>name</at>` must have an element of `mentions`.
///
/// There are two exceptions. A card can define a mention by itself, in its `msteams.entities`. In a call
/// without `mentions`, a plain text can contain any `<at>`, because channels (messaging services such as
/// Teams) show a plain text unchanged.
fn expect_elements(
    fields: &Fields,
    text: &str,
    format: TextFormat,
    mentions: &[Mention],
    activity: &Map<String, Value>,
) -> Result<(), FieldError> {
    let is_known = |name: &str| mentions.iter().any(|mention| mention.name == name);
    if (format == TextFormat::Markdown || !mentions.is_empty()) && !mentioned_names(text).all(is_known) {
        return Err(fields.error("text", "for each <at>name</at> an element of `mentions` with this name"));
    }
    let mut used: Vec<&str> = mentioned_names(text).collect();
    for card in adaptive_cards(activity) {
        let own = card.get("msteams").and_then(|teams| teams.get("entities"));
        let own: Vec<&Value> = own.and_then(Value::as_array).into_iter().flatten().collect();
        let is_own = |name: &str| {
            let element = format!("<at>{name}</at>");
            own.iter().any(|entity| entity.get("text").is_some_and(|text| *text == *element))
        };
        let mut names: Vec<&str> = Vec::new();
        each_string(card, &mut |text| names.extend(mentioned_names(text)));
        if !names.iter().all(|name| is_known(name) || is_own(name)) {
            return Err(FieldError {
                path: "activity.attachments".into(),
                expected: "for each <at>name</at> of a card an element of `mentions` with this name",
            });
        }
        used.extend(names);
    }
    match mentions.iter().position(|mention| !used.contains(&mention.name.as_str())) {
        None => Ok(()),
        Some(index) => Err(FieldError {
            path: format!("mentions[{index}].name"),
            expected: "a name that `text` or an Adaptive Card has as <at>name</at>",
        }),
    }
}

/// Whether a text has the form of an object id of Entra (a GUID).
fn is_object_id(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths = groups.iter().map(|group| group.len());
    lengths.eq([8, 4, 4, 4, 12]) && groups.concat().bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Replaces the Entra object id of each mentioned person by the person's id on Teams. The function finds the
/// id on Teams in the person's own conversation with the bot. If the bot has not stored this conversation, or
/// if the caller is not allowed to send to this conversation, the function keeps the object id. The function
/// changes only the mentions in `text`, because Teams accepts an object id in a card.
pub(super) async fn resolve<H: Host>(
    host: &H,
    settings: &BotSettings,
    caller: &Caller,
    text: &str,
    look: &mut Look,
) -> Result<(), AlertRejection> {
    for mention in &mut look.mentions {
        let is_in_text = || mentioned_names(text).any(|name| name == mention.name);
        if mention.has_teams_id() || !is_in_text() {
            continue;
        }
        let conversations = settings.conversations(host, Deadline::after(host, LOOK_UP_WITHIN));
        let found = conversations.of_aad_object(&mention.id).await?;
        let found = found.filter(|(_, conversation)| caller.grant.reaches(&conversation.address));
        let user = found.and_then(|(_, conversation)| conversation.address.user);
        if let Some(user) = user.filter(|user| user.id.starts_with("29:")) {
            mention.id = user.id;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LEE: &str = "e5e0a3b6-5f2c-4f1c-8a9e-3a1f3f2c9d10";

    fn look(body: &Value) -> Result<(Look, Value), String> {
        let mut fields = Fields::parse(body.to_string().as_bytes()).unwrap();
        let text = fields.string("text").unwrap().unwrap_or_default();
        let activity = fields.object("activity").unwrap();
        let mut activity = activity.map(Fields::rest).unwrap_or_default();
        let look = read(&mut fields, &text, &mut activity).map_err(|error| error.to_string())?;
        assert!(fields.as_object().is_empty(), "{body}");
        Ok((look, activity.into()))
    }

    fn card(text: &str, entities: &Value) -> Value {
        json!({"attachments": [{"contentType": bot_framework::ADAPTIVE_CARD, "content": {
            "body": [{"type": "TextBlock", "text": text}], "msteams": {"entities": entities}}}]})
    }

    #[test]
    fn text_is_plain_unless_the_format_is_markdown_or_the_text_has_mentions() {
        let mentions = json!([{"user": LEE, "name": "Lee"}]);
        for (body, expected) in [
            (json!({"text": "**x**"}), TextFormat::Plain),
            (json!({"text": "<at>x</at>"}), TextFormat::Plain),
            (json!({"text": "x", "format": "plain"}), TextFormat::Plain),
            (json!({"text": "x", "format": "markdown"}), TextFormat::Markdown),
            (json!({"text": "<at>Lee</at>", "mentions": mentions}), TextFormat::Markdown),
            (
                json!({"text": "x", "activity": card("<at>Lee</at>", &json!([])), "mentions": mentions}),
                TextFormat::Plain,
            ),
        ] {
            assert_eq!(look(&body).unwrap().0.format, expected, "{body}");
        }
    }

    #[test]
    fn importance_is_a_short_form_of_activity_importance() {
        let (_, activity) = look(&json!({"text": "x", "importance": "high"})).unwrap();
        assert_eq!(activity, json!({"importance": "high"}));
    }

    #[test]
    fn call_with_wrong_mentions_format_or_importance_is_refused() {
        let lee = json!([{"user": LEE, "name": "Lee"}]);
        let own = json!([{"type": "mention", "text": "<at>Own</at>"}]);
        let many: Vec<_> = (0..21).map(|number| json!({"user": LEE, "name": number.to_string()})).collect();
        for (body, path) in [
            (json!({"text": "Lee", "mentions": lee}), "mentions[0].name"),
            (json!({"text": "<at>lee</at>", "mentions": lee}), "text"),
            (json!({"text": "<at>Lee</at> <at>Kim</at>", "mentions": lee}), "text"),
            (json!({"text": "<at>Kim</at>", "format": "markdown"}), "text"),
            (json!({"text": "<at>Lee</at>", "mentions": lee, "format": "plain"}), "format"),
            (json!({"text": "x", "activity": card("<at>Lee</at>", &json!([]))}), "activity.attachments"),
            (json!({"text": "x", "activity": card("<at>Lee</at>", &own)}), "activity.attachments"),
            (json!({"text": "x", "mentions": [{"user": "Lee", "name": "Lee"}]}), "mentions[0].user"),
            (json!({"text": "x", "mentions": [{"user": LEE}]}), "mentions[0].name"),
            (json!({"text": "x", "mentions": [{"user": LEE, "name": "<b>"}]}), "mentions[0].name"),
            (json!({"text": "x", "mentions": [{"user": LEE, "name": "x".repeat(101)}]}), "mentions[0].name"),
            (json!({"text": "x", "mentions": [{"user": LEE, "name": "Lee", "x": 1}]}), "mentions[0].x"),
            (json!({"text": "<at>Lee</at>", "mentions": [lee[0], lee[0]]}), "mentions[1].name"),
            (json!({"text": "x", "mentions": many}), "mentions"),
            (json!({"text": "x", "mentions": {}}), "mentions"),
            (json!({"text": "x", "format": "html"}), "format"),
            (json!({"text": "x", "importance": "urgent"}), "importance"),
            (json!({"text": "x", "importance": "low", "activity": {"importance": "low"}}), "importance"),
        ] {
            let error = look(&body).expect_err("refused");
            assert!(error.starts_with(&format!("{path}: ")), "{body}: {error}");
        }
        let valid =
            json!({"text": "x", "activity": card("<at>Own</at> <at>Lee</at>", &own), "mentions": lee});
        assert_eq!(look(&valid).unwrap().0.mentions.len(), 1, "the card itself defines the mention `Own`");
    }

    #[test]
    fn object_id_has_the_form_of_a_guid() {
        for (text, expected) in [
            (LEE, true),
            (&LEE.to_uppercase(), true),
            (&LEE[1..], false),
            (&LEE.replace('-', ""), false),
            (&LEE.replace('e', "g"), false),
            ("", false),
        ] {
            assert_eq!(is_object_id(text), expected, "{text}");
        }
    }
}
