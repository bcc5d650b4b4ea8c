//! Makes the buttons of a question in the form that a channel (such as Teams or Telegram) can show. Also
//! makes the card that shows the answer to the question.
//!
//! Sources: <https://adaptivecards.io/explorer/Action.Execute.html>, and for Teams
//! <https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/universal-actions-for-adaptive-cards/work-with-universal-actions-for-adaptive-cards>.

use bot_framework::can_change_messages;
use bot_framework::channels::{self, Cards};
use serde_json::{Map, Value, json};

use super::{Action, Question};
use crate::words::Words;

/// The content type of an Adaptive Card.
const ADAPTIVE_CARD: &str = "application/vnd.microsoft.card.adaptive";

/// The id of each input field begins with this prefix. Each action (button) that asks for a text has its own
/// input field.
const INPUT_PREFIX: &str = "proactivebotinput";

/// The maximum length of a text in an input field, in characters.
const MAX_INPUT: usize = 1000;

/// A function that makes the data of a button. The bot gets this data when a person presses the button. The
/// argument is the id of the button's action.
pub type ButtonData<'a> = &'a dyn Fn(&str) -> Map<String, Value>;

/// How a channel shows buttons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    /// As `Action.Execute`. A press of a button sends the bot an activity of the type `invoke`. For clients
    /// that do not know `Action.Execute`, each button has an `Action.Submit` as its fallback.
    Execute,
    /// As `Action.Submit`. A press of a button sends the bot a message with a `value`.
    Submit,
    /// As suggested actions. A press of a button sends the bot a message with the text of the button.
    Text,
}

impl Looks {
    /// Returns how this channel shows buttons. The result for an unknown channel is suggested actions.
    pub fn of(channel_id: &str) -> Self {
        match channels::cards(channel_id) {
            Some(Cards::WithExecute) => Self::Execute,
            Some(Cards::WithSubmit) => Self::Submit,
            Some(Cards::Picture | Cards::None) | None => Self::Text,
        }
    }
}

/// Whether the bot can try to change a card on this channel. The result is `false` if the channel shows
/// buttons as suggested actions, or if the channel refuses changes, as Web Chat and Direct Line do.
pub fn can_change(channel_id: &str) -> bool {
    Looks::of(channel_id) != Looks::Text && can_change_messages(channel_id)
}

impl Question {
    /// Adds the buttons to an activity, and returns the activity's text and its other JSON members. `data`
    /// makes the data of a button from the id of the button's action.
    pub fn show(
        &self,
        looks: Looks,
        text: &str,
        activity: &Map<String, Value>,
        words: &'static Words,
        data: impl Fn(&str) -> Map<String, Value>,
    ) -> (String, Map<String, Value>) {
        match looks {
            Looks::Text => self.suggest(text, activity, words),
            Looks::Execute | Looks::Submit => {
                with_card(text, activity, Vec::new(), self.buttons(looks, words, data))
            }
        }
    }

    fn buttons(
        &self,
        looks: Looks,
        words: &'static Words,
        data: impl Fn(&str) -> Map<String, Value>,
    ) -> Vec<Value> {
        let button = |(index, action): (usize, &Action)| {
            let title = action.title(words);
            let (id, input, style) = match action {
                Action::Open { url, .. } => {
                    return json!({"type": "Action.OpenUrl", "title": title, "url": url});
                }
                Action::Answer { id, input, style, .. } => (id, input, style),
            };
            let styled = |mut action: Value| {
                if let Some(style) = style {
                    action["style"] = style.as_str().into();
                }
                action
            };
            let submit = || styled(json!({"type": "Action.Submit", "title": title, "data": data(id)}));
            let press = match looks {
                Looks::Execute => styled(json!({
                    "type": "Action.Execute", "title": title, "verb": id, "data": data(id), "fallback": submit(),
                })),
                Looks::Submit | Looks::Text => submit(),
            };
            match input {
                None => press,
                Some(label) => styled(json!({
                    "type": "Action.ShowCard", "title": title,
                    "card": {
                        "type": "AdaptiveCard",
                        "body": [{
                            "type": "Input.Text", "id": format!("{INPUT_PREFIX}{index}"), "placeholder": label,
                            "isMultiline": true, "maxLength": MAX_INPUT,
                        }],
                        "actions": [press],
                    },
                })),
            }
        };
        self.actions.iter().enumerate().map(button).collect()
    }

    /// Adds the buttons as suggested actions. A press of an *answer button* (every button that opens no
    /// web page) sends the button's title as the person's message.
    fn suggest(
        &self,
        text: &str,
        activity: &Map<String, Value>,
        words: &'static Words,
    ) -> (String, Map<String, Value>) {
        let button = |action: &Action| match action {
            Action::Open { url, title } => json!({"type": "openUrl", "title": title, "value": url}),
            Action::Answer { .. } => {
                let title = action.title(words);
                json!({"type": "imBack", "title": title, "value": title})
            }
        };
        let mut activity = activity.clone();
        if !self.actions.is_empty() {
            let own = activity.get("suggestedActions").and_then(|own| own.get("actions"));
            let mut buttons = own.and_then(Value::as_array).cloned().unwrap_or_default();
            buttons.extend(self.actions.iter().map(button));
            activity.insert("suggestedActions".into(), json!({"actions": buttons}));
        }
        (text.to_owned(), activity)
    }

    /// Adds `line`, the answer as text, to the card. Returns the activity's text and its other JSON members.
    /// If `keeps_buttons` is `None`, the card no longer has answer buttons. The caller sets `keeps_buttons`
    /// if the person is allowed to answer again. The card then keeps the answer buttons, and `keeps_buttons`
    /// makes the data of each button.
    pub fn show_answered(
        &self,
        looks: Looks,
        text: &str,
        activity: &Map<String, Value>,
        words: &'static Words,
        line: &str,
        keeps_buttons: Option<ButtonData<'_>>,
    ) -> (String, Map<String, Value>) {
        let line = json!({
            "type": "TextBlock", "text": line, "wrap": true, "weight": "Bolder", "color": "Good", "separator": true,
        });
        let buttons = match keeps_buttons {
            Some(data) => self.buttons(looks, words, data),
            // The buttons that open a web page remain, because the web page is still useful after the answer.
            None => self.ended().buttons(looks, words, |_| Map::new()),
        };
        with_card(text, activity, vec![line], buttons)
    }
}

/// The first Adaptive Card among the attachments of an activity.
pub fn card_of(activity: &Map<String, Value>) -> Option<&Value> {
    let attachments = activity.get("attachments")?.as_array()?;
    attachments.iter().find(|attachment| is_card(attachment))?.get("content")
}

/// Splits the data of a press into two parts: the text that the person wrote for the action, and the values
/// of the card's other fields.
pub fn filled_in(data: &Value) -> (Option<String>, Map<String, Value>) {
    let (mut input, mut others) = (None, Map::new());
    for (name, value) in data.as_object().into_iter().flatten() {
        if name.starts_with(INPUT_PREFIX) {
            let text = value.as_str().map(str::trim).filter(|text| !text.is_empty());
            input = input.or(text.map(|text| text.chars().take(MAX_INPUT).collect()));
        } else if name != super::press::MEMBER {
            others.insert(name.clone(), value.clone());
        }
    }
    (input, others)
}

fn is_card(attachment: &Value) -> bool {
    attachment["contentType"] == ADAPTIVE_CARD && attachment["content"].is_object()
}

/// Adds elements and buttons to the activity's Adaptive Card, or to a new card. If the activity has no
/// attachments, the function moves the text into the new card. The reason: Teams splits a text and a card
/// into two chat messages, and the bot could later change only one of the two.
fn with_card(
    text: &str,
    activity: &Map<String, Value>,
    elements: Vec<Value>,
    buttons: Vec<Value>,
) -> (String, Map<String, Value>) {
    let mut activity = activity.clone();
    let mut attachments = match activity.remove("attachments") {
        Some(Value::Array(attachments)) => attachments,
        _ => Vec::new(),
    };
    let mut text = text.to_owned();
    match attachments.iter_mut().find(|attachment| is_card(attachment)) {
        Some(attachment) => {
            let card = &mut attachment["content"];
            append(card, "body", elements);
            append(card, "actions", buttons);
            raise_version(card);
        }
        None => {
            let mut body = Vec::new();
            if attachments.is_empty() {
                activity.entry("summary").or_insert_with(|| text.as_str().into());
                let text = std::mem::take(&mut text);
                body.push(json!({"type": "TextBlock", "text": text, "wrap": true}));
            }
            body.extend(elements);
            let mut card = json!({
                "type": "AdaptiveCard", "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "version": CARD_VERSION, "body": body,
            });
            append(&mut card, "actions", buttons);
            attachments.push(json!({"contentType": ADAPTIVE_CARD, "content": card}));
        }
    }
    activity.insert("attachments".into(), attachments.into());
    (text, activity)
}

/// The version of Adaptive Cards that introduced `Action.Execute`.
const CARD_VERSION: &str = "1.4";

fn raise_version(card: &mut Value) {
    let number = |text: &str| {
        let (major, minor) = text.split_once('.')?;
        Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
    };
    let version = card["version"].as_str().and_then(number);
    if version.is_none_or(|version| version < (1, 4)) {
        card["version"] = CARD_VERSION.into();
    }
}

fn append(card: &mut Value, name: &str, values: Vec<Value>) {
    if values.is_empty() {
        return;
    }
    match card.get_mut(name).and_then(Value::as_array_mut) {
        Some(known) => known.extend(values),
        None => card[name] = values.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Style;
    use super::*;

    fn question() -> Question {
        let answer = |id: &str, title: &str, input: Option<&str>| Action::Answer {
            id: id.into(),
            title: Some(title.into()),
            input: input.map(Into::into),
            style: input.map(|_| Style::Destructive),
        };
        let page = Action::Open { url: "https://ci.example.com/1".into(), title: "Open".into() };
        Question {
            actions: vec![answer("yes", "Yes", None), answer("no", "No", Some("Why?")), page],
            ..Question::default()
        }
    }

    fn data(id: &str) -> Map<String, Value> {
        Map::from_iter([("proactivebot".to_owned(), json!({"i": id}))])
    }

    fn show(looks: Looks, text: &str, activity: &Value) -> (String, Map<String, Value>) {
        question().show(looks, text, activity.as_object().unwrap(), Words::english(), data)
    }

    #[test]
    fn text_with_buttons_is_one_card() {
        let (text, activity) = show(Looks::Execute, "Alert: Deploy?", &json!({}));
        assert_eq!(text, "", "Teams splits a message with a text and a card");
        assert_eq!(activity["summary"], "Alert: Deploy?");
        let submit = json!({"type": "Action.Submit", "title": "Yes", "data": {"proactivebot": {"i": "yes"}}});
        let expected = json!({
            "type": "AdaptiveCard", "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "version": "1.4",
            "body": [{"type": "TextBlock", "text": "Alert: Deploy?", "wrap": true}],
            "actions": [
                {
                    "type": "Action.Execute", "title": "Yes", "verb": "yes", "data": {"proactivebot": {"i": "yes"}},
                    "fallback": submit,
                },
                {
                    "type": "Action.ShowCard", "title": "No", "style": "destructive",
                    "card": {
                        "type": "AdaptiveCard",
                        "body": [{
                            "type": "Input.Text", "id": "proactivebotinput1", "placeholder": "Why?", "isMultiline": true,
                            "maxLength": 1000,
                        }],
                        "actions": [{
                            "type": "Action.Execute", "title": "No", "verb": "no", "style": "destructive",
                            "data": {"proactivebot": {"i": "no"}},
                            "fallback": {
                                "type": "Action.Submit", "title": "No", "style": "destructive",
                                "data": {"proactivebot": {"i": "no"}},
                            },
                        }],
                    },
                },
                {"type": "Action.OpenUrl", "title": "Open", "url": "https://ci.example.com/1"},
            ],
        });
        assert_eq!(card_of(&activity), Some(&expected));
        let (_, activity) = show(Looks::Submit, "Alert: Deploy?", &json!({}));
        assert_eq!(card_of(&activity).unwrap()["actions"][0], submit);
    }

    #[test]
    fn card_of_the_sender_keeps_its_content_and_gets_the_buttons() {
        let own = json!({
            "type": "AdaptiveCard", "version": "1.2", "body": [{"type": "TextBlock", "text": "Disk"}],
            "actions": [{"type": "Action.OpenUrl", "title": "Own", "url": "https://x.example/"}],
        });
        let activity =
            json!({"attachments": [{"contentType": ADAPTIVE_CARD, "content": own}], "summary": "s"});
        let (text, activity) = show(Looks::Execute, "Alert: x", &activity);
        assert_eq!((text.as_str(), &activity["summary"]), ("Alert: x", &json!("s")));
        let card = card_of(&activity).unwrap();
        assert_eq!((&card["version"], &card["body"]), (&json!("1.4"), &own["body"]));
        let titles: Vec<_> =
            card["actions"].as_array().unwrap().iter().map(|action| &action["title"]).collect();
        assert_eq!(titles, ["Own", "Yes", "No", "Open"]);
        let hero =
            json!({"attachments": [{"contentType": "application/vnd.microsoft.card.hero", "content": {}}]});
        let (text, activity) = show(Looks::Submit, "Alert: x", &hero);
        assert_eq!((text.as_str(), activity["attachments"].as_array().unwrap().len()), ("Alert: x", 2));
    }

    #[test]
    fn channel_without_cards_gets_suggested_actions() {
        let (text, activity) = show(Looks::of("telegram"), "Alert: x", &json!({}));
        assert_eq!(text, "Alert: x");
        let expected = json!({"actions": [
            {"type": "imBack", "title": "Yes", "value": "Yes"},
            {"type": "imBack", "title": "No", "value": "No"},
            {"type": "openUrl", "title": "Open", "value": "https://ci.example.com/1"},
        ]});
        assert_eq!(activity["suggestedActions"], expected);
    }

    #[test]
    fn answered_card_has_the_line_and_keeps_the_answer_buttons_only_on_request() {
        let empty = Map::new();
        let answered = |keeps: Option<ButtonData<'_>>| {
            let (_, activity) = question().show_answered(
                Looks::Execute,
                "Alert: Deploy?",
                &empty,
                Words::english(),
                "Yes (Kim)",
                keeps,
            );
            card_of(&activity).unwrap().clone()
        };
        let card = answered(None);
        assert_eq!(card["body"][1]["text"], "Yes (Kim)");
        assert_eq!(
            card["actions"],
            json!([{"type": "Action.OpenUrl", "title": "Open", "url": "https://ci.example.com/1"}])
        );
        assert_eq!(answered(Some(&data))["actions"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn filled_in_separates_the_input_of_the_action_from_the_other_fields_of_the_card() {
        let data = json!({
            "proactivebot": {"i": "no"}, "proactivebotinput1": " too late ", "size": "L", "proactivebotinput2": "other",
        });
        assert_eq!(
            filled_in(&data),
            (Some("too late".into()), Map::from_iter([("size".to_owned(), json!("L"))]))
        );
        assert_eq!(filled_in(&json!({"proactivebotinput1": " "})), (None, Map::new()));
        let long = json!({"proactivebotinput1": "é".repeat(2000)});
        assert_eq!(filled_in(&long).0.unwrap().chars().count(), 1000);
        assert_eq!(filled_in(&Value::Null), (None, Map::new()));
    }
}
