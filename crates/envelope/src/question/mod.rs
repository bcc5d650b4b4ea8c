//! A question: an alert that people can answer with buttons or a text.
//!
//! | to change | look in |
//! |---|---|
//! | the member `question` of an envelope (an alert as JSON in a queue message) | here |
//! | how a channel (such as Teams) shows the buttons, and the card that shows the answer | `card.rs` |
//! | the data in a button, and the MAC against forged data | `press.rs` |
//! | the part of a question in the ledger (the table of alerts and answers) | `asked.rs` |

mod asked;
mod card;
mod keys;
mod line;
mod press;

use bot_framework::json::{FieldError, Fields, put};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

pub use asked::{Asked, MAX_ASKED_BYTES};
pub use card::{ButtonData, Looks, can_change, card_of, filled_in};
pub use keys::QuestionKeys;
pub use line::line;
pub use press::Press;

use crate::time;
use crate::words::Words;

/// The id of the ready-made button `Acknowledge`. The bot adds this button if an API call has the member
/// `acknowledge`.
pub const ACKNOWLEDGE: &str = "acknowledge";

/// The id of the action in an answer if the person wrote a text that chooses no button.
pub const REPLY: &str = "reply";

/// How many answers a question takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Answers {
    /// One answer. Only the first answer counts.
    #[default]
    One,
    /// One answer from each person.
    Each,
    /// Any number of answers.
    Many,
}

impl Answers {
    /// Reads the word of `answers` in JSON: `one`, `each` or `many`.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::One, Self::Each, Self::Many].into_iter().find(|answers| answers.as_str() == word)
    }

    /// The word of `answers` in JSON: `one`, `each` or `many`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Each => "each",
            Self::Many => "many",
        }
    }
}

/// The look of a button. The words in JSON are the words of Adaptive Cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// The look of the answer that the sender hopes for.
    Positive,
    /// The look of an answer that destroys something.
    Destructive,
}

impl Style {
    /// Reads the word: `positive` or `destructive`.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Positive, Self::Destructive].into_iter().find(|style| style.as_str() == word)
    }

    /// The word of `style` in JSON: `positive` or `destructive`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Positive => "positive",
            Self::Destructive => "destructive",
        }
    }
}

/// One button of a question. In JSON, each button is an entry of `actions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A press of the button is an answer.
    Answer {
        /// The id that the alert's sender gets with the answer.
        id: String,
        /// The text of the button. `None` for the ready-made button of [`Action::acknowledge`], because the
        /// bot writes the text of this button in the language of the conversation.
        title: Option<String>,
        /// The label of the field in which the person writes a text with the answer. `None` if there is no
        /// field.
        input: Option<String>,
        /// The look of the button. `None` for the channel's default.
        style: Option<Style>,
    },
    /// A press of the button opens a web page. The bot gets no activity for the press.
    Open {
        /// The URL of the web page.
        url: String,
        /// The text of the button.
        title: String,
    },
}

impl Action {
    /// Makes the ready-made button `Acknowledge`, which has the id [`ACKNOWLEDGE`].
    pub fn acknowledge() -> Self {
        Self::Answer { id: ACKNOWLEDGE.into(), title: None, input: None, style: Some(Style::Positive) }
    }

    /// The id of the action. `None` if a press of the button only opens a web page.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Answer { id, .. } => Some(id),
            Self::Open { .. } => None,
        }
    }

    /// The text of the button.
    pub fn title(&self, words: &'static Words) -> &str {
        match self {
            Self::Answer { title: Some(title), .. } | Self::Open { title, .. } => title,
            Self::Answer { title: None, .. } => words.acknowledge,
        }
    }

    fn to_json(&self) -> Value {
        let mut object = Map::new();
        match self {
            Self::Answer { id, title, input, style } => {
                put(&mut object, "id", Some(id.as_str()));
                put(&mut object, "title", title.as_deref());
                put(&mut object, "input", input.as_deref());
                put(&mut object, "style", style.map(Style::as_str));
            }
            Self::Open { url, title } => {
                put(&mut object, "url", Some(url.as_str()));
                put(&mut object, "title", Some(title.as_str()));
            }
        }
        object.into()
    }

    fn of(mut fields: Fields) -> Result<Self, FieldError> {
        let title = fields.string("title")?;
        if let Some(url) = fields.string("url")? {
            return Ok(Self::Open { title: title.unwrap_or_else(|| url.clone()), url });
        }
        let id = fields.required_string("id")?;
        let input = fields.string("input")?;
        let style = fields.string("style")?.as_deref().and_then(Style::from_word);
        Ok(Self::Answer { id, title, input, style })
    }
}

/// The question of an alert.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// The buttons, in order.
    pub actions: Vec<Action>,
    /// How many answers the question takes.
    pub answers: Answers,
    /// Whether a text is also an answer. In a personal chat, the text is the person's next message after the
    /// question. In a group, the text is a reply in the thread of the question.
    pub reply: bool,
    /// The alert id in the key of the answer's row in the ledger. `None` if the key contains the id of this
    /// question's own alert. If the question takes only one answer, the key contains another id in two cases:
    ///
    /// - Several alerts of an API call share the answer, and this question's own alert is not the first of
    ///   these alerts. The ledger has one row for the answer, and the row's key contains the id of the first
    ///   alert.
    /// - The alert takes the place of an earlier alert, as a new chat message. The two alerts share one row
    ///   for the answer. So the new question gets the `lead` of the earlier question. If the earlier question
    ///   has no `lead`, the new question gets the earlier alert's id as `lead`.
    pub lead: Option<String>,
    /// The id of the earlier alert, if the envelope changes the chat message of an earlier alert. A press of
    /// a button then answers the earlier alert.
    pub alert: Option<String>,
    /// When the question ends. A change of an earlier alert does not move the end of the question. So in the
    /// envelope of a change, this field is the end of the earlier alert's question. If the field is `None`,
    /// [`end_of_question`](crate::end_of_question) computes the end from the envelope's times.
    pub until: Option<DateTime<Utc>>,
}

impl Question {
    /// The action with this id.
    pub fn action(&self, id: &str) -> Option<&Action> {
        self.actions.iter().find(|action| action.id() == Some(id))
    }

    /// Reads a person's text as an answer. Returns the id of the action, and the person's text without the
    /// title of the action. `None` if the text is no answer.
    ///
    /// A text that is the title of an action chooses this action. If the action has an input field, more text
    /// can follow the title. Any other text is an answer with the id [`REPLY`] if `reply` is true and
    /// `only_titles` is false. Otherwise, such a text is no answer.
    pub fn answer_of(
        &self,
        text: &str,
        words: &'static Words,
        only_titles: bool,
    ) -> Option<(String, Option<String>)> {
        let text = text.trim();
        for action in &self.actions {
            let Action::Answer { id, input, .. } = action else { continue };
            let title = action.title(words);
            let rest = match text.get(..title.len()) {
                Some(begin) if begin.to_lowercase() == title.to_lowercase() => &text[title.len()..],
                _ => continue,
            };
            let said = rest.trim_start_matches([':', ',', '-', ' ', '\n']).trim();
            if rest.is_empty() || rest.len() != said.len() && input.is_some() {
                let said = Some(said).filter(|said| !said.is_empty() && input.is_some());
                return Some((id.clone(), said.map(str::to_owned)));
            }
        }
        (self.reply && !only_titles && !text.is_empty()).then(|| (REPLY.to_owned(), Some(text.to_owned())))
    }

    /// The question after its end: it keeps only the buttons that open web pages, and accepts no text.
    #[must_use]
    pub fn ended(&self) -> Self {
        let pages = self.actions.iter().filter(|action| action.id().is_none()).cloned().collect();
        Self { actions: pages, reply: false, ..self.clone() }
    }

    /// The JSON form: `{actions?, answers?, reply?, lead?, alert?, until?}`.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        let actions: Vec<Value> = self.actions.iter().map(Action::to_json).collect();
        put(&mut object, "actions", Some(actions).filter(|actions| !actions.is_empty()));
        put(&mut object, "answers", (self.answers != Answers::One).then(|| self.answers.as_str()));
        put(&mut object, "reply", self.reply.then_some(true));
        put(&mut object, "lead", self.lead.as_deref());
        put(&mut object, "alert", self.alert.as_deref());
        put(&mut object, "until", self.until.map(time::to_text));
        object.into()
    }

    /// Reads the JSON form.
    pub fn of(mut fields: Fields) -> Result<Self, FieldError> {
        let actions = fields.objects("actions")?.into_iter().map(Action::of).collect::<Result<_, _>>()?;
        let answers = match fields.string("answers")? {
            None => Answers::One,
            Some(word) => {
                Answers::from_word(&word).ok_or_else(|| fields.error("answers", "`one`, `each` or `many`"))?
            }
        };
        let (reply, lead, alert) =
            (fields.boolean("reply")?, fields.string("lead")?, fields.string("alert")?);
        Ok(Self { actions, answers, reply, lead, alert, until: time::take(&mut fields, "until")? })
    }

    pub(crate) fn take(fields: &mut Fields) -> Result<Option<Self>, FieldError> {
        fields.object("question")?.map(Self::of).transpose()
    }
}

/// Takes the member `unlessAnswered` of an envelope: the ids of alerts. If a person has answered one of these
/// alerts, the poller does not send the envelope's own alert.
pub(crate) fn take_unless_answered(fields: &mut Fields) -> Result<Vec<String>, FieldError> {
    match fields.take("unlessAnswered") {
        None => Ok(Vec::new()),
        Some(Value::Array(ids)) => {
            let id = |id: Value| id.as_str().map(str::to_owned);
            let ids: Option<Vec<String>> = ids.into_iter().map(id).collect();
            ids.ok_or_else(|| fields.error("unlessAnswered", "an array of strings"))
        }
        Some(_) => Err(fields.error("unlessAnswered", "an array of strings")),
    }
}

pub(crate) fn put_unless_answered(object: &mut Map<String, Value>, ids: &[String]) {
    put(object, "unlessAnswered", (!ids.is_empty()).then(|| json!(ids)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> Question {
        let json = json!({
            "actions": [
                {"id": "approve", "title": "Approve", "style": "positive"},
                {"id": "reject", "title": "Reject", "input": "Why?"},
                {"url": "https://ci.example.com/1", "title": "Open"},
                {"id": "acknowledge"},
            ],
            "answers": "each", "reply": true, "lead": "0a26", "alert": "0a27", "until": "2026-11-27T09:12:44.000Z",
        });
        Question::of(Fields::parse(json.to_string().as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn question_survives_a_round_trip() {
        let question = question();
        let json = question.to_json();
        let again = Question::of(Fields::parse(json.to_string().as_bytes()).unwrap()).unwrap();
        assert_eq!(again, question);
        assert_eq!(Question::default().to_json(), json!({}));
        let ended = question.ended();
        assert_eq!((ended.actions.as_slice(), ended.reply), (&question.actions[2..3], false));
        assert_eq!(question.action("reject").unwrap().id(), Some("reject"));
        assert_eq!(question.action("Open"), None);
    }

    #[test]
    fn text_that_names_an_action_chooses_this_action() {
        let words = Words::english();
        let with = |reply| Question { reply, ..question() };
        let answer = |id: &str, input: Option<&str>| Some((id.to_owned(), input.map(str::to_owned)));
        for (text, only_titles, reply, expected) in [
            ("Approve", true, false, answer("approve", None)),
            (" approve ", true, false, answer("approve", None)),
            ("Acknowledge", true, false, answer("acknowledge", None)),
            ("Reject", true, false, answer("reject", None)),
            ("reject: too late", true, false, answer("reject", Some("too late"))),
            ("reject too late", true, false, answer("reject", Some("too late"))),
            ("rejected", true, false, None),
            ("Approve it please", true, false, None),
            ("Open", true, false, None),
            ("hello", true, true, None),
            ("hello", false, true, answer("reply", Some("hello"))),
            ("hello", false, false, None),
            ("approve", false, true, answer("approve", None)),
            (" ", false, true, None),
            ("\u{e9}", false, true, answer("reply", Some("\u{e9}"))),
        ] {
            assert_eq!(
                with(reply).answer_of(text, words, only_titles),
                expected,
                "{text:?} {only_titles} {reply}"
            );
        }
    }
}
