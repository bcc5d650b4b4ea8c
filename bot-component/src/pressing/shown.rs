//! The texts and cards that a person sees after the person has answered a question, by a button or by a text.

use bytes::Bytes;
use envelope::words::Words;
use envelope::{Answers, ButtonData, Looks, Press, can_change, card_of, line};
use http::{Response, StatusCode};
use platform::{Host, response};
use serde_json::{Value, json};

use super::{Answering, Recorded, Stored};

/// The refusals of a press of a button. Each refusal has an error code, and a message for `docs/errors.md`.
/// The response to the press has the same error code, but a different message, in the person's language.
pub(crate) const UNKNOWN: (&str, &str) = (
    "ButtonUnknown",
    "value: this button belongs to another conversation or message; press a button in a message that the bot \
     sent to this conversation",
);
pub(crate) const OVER: (&str, &str) =
    ("QuestionOver", "value: this question has ended; the answer has no effect");
pub(crate) const NOT_RECORDED: (&str, &str) =
    ("AnswerNotRecorded", "value: the answer could not be saved; press the button again in a minute");

/// The media types of responses to `adaptiveCard/action`:
/// <https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/universal-actions-for-adaptive-cards/work-with-universal-actions-for-adaptive-cards#response-format>.
const CARD: &str = "application/vnd.microsoft.card.adaptive";
const MESSAGE: &str = "application/vnd.microsoft.activity.message";
const ERROR: &str = "application/vnd.microsoft.error";

impl Stored {
    /// The answer as text: the title of the action (for example of the pressed button), the person's text,
    /// and the person's name.
    fn line(&self, words: &'static Words) -> String {
        line(self.asked.as_ref().map(|asked| &asked.question), &self.answer, words)
    }
}

impl<H: Host> Answering<'_, H> {
    fn words(&self) -> &'static Words {
        Words::of(self.address())
    }

    /// Makes the response to the invoke activity of a button. The HTTP status is always 200, because a client
    /// shows any other HTTP status as a fault of the bot. If the bot refuses the press, only the `statusCode`
    /// in the body is 400.
    pub(crate) fn invoke_response(&self, recorded: &Recorded) -> Response<Bytes> {
        let body = match recorded {
            Recorded::Counted(stored) | Recorded::Before(Some(stored)) => match self.card(stored) {
                Some(card) => json!({"statusCode": 200, "type": CARD, "value": card}),
                None => json!({"statusCode": 200, "type": MESSAGE, "value": self.text_of(recorded)}),
            },
            Recorded::Before(None) | Recorded::TooLong => {
                json!({"statusCode": 200, "type": MESSAGE, "value": self.text_of(recorded)})
            }
            Recorded::Over => refusal(OVER, self.words().question_over),
            Recorded::Unknown => refusal(UNKNOWN, self.words().question_unknown),
            Recorded::Doubtful => refusal(NOT_RECORDED, self.words().answer_not_recorded),
        };
        response::json(StatusCode::OK, &body)
    }

    /// Returns the text to send after a press that arrived as a message activity. Returns `None` if the
    /// poller changes the card, which then shows the answer.
    pub(crate) fn reply_after_submit(&self, recorded: &Recorded) -> Option<String> {
        let is_shown_by_the_card = matches!(recorded, Recorded::Counted(stored) if stored.is_for_all())
            && can_change(&self.address().channel_id);
        (!is_shown_by_the_card).then(|| self.text_of(recorded))
    }

    /// The text that tells the person whether the answer counts.
    pub(crate) fn text_of(&self, recorded: &Recorded) -> String {
        let words = self.words();
        match recorded {
            Recorded::Counted(stored) => words.answer_recorded(&stored.line(words)),
            Recorded::Before(Some(stored)) => words.answered_before(&stored.line(words)),
            Recorded::Before(None) => words.answered_before(""),
            Recorded::Over => words.question_over.into(),
            Recorded::Unknown => words.question_unknown.into(),
            Recorded::TooLong => words.too_long.into(),
            Recorded::Doubtful => words.answer_not_recorded.into(),
        }
    }

    /// Makes the card that shows the answer. If the question takes many answers, the card keeps its buttons.
    /// Returns `None` if the bot cannot read the question, or if the channel shows no cards.
    fn card(&self, stored: &Stored) -> Option<Value> {
        let Stored { alert, until, asked, .. } = stored;
        let asked = asked.as_ref()?;
        let words = self.words();
        let conversation = self.conversation.key.as_str();
        let data = |action: &str| {
            let press = Press {
                alert: alert.as_str().to_owned(),
                conversation: conversation.to_owned(),
                action: action.to_owned(),
                answers: asked.question.answers,
                until: *until,
                lead: asked.question.lead.clone(),
            };
            press.data(&self.keys)
        };
        let keeps: Option<ButtonData<'_>> =
            if asked.question.answers == Answers::Many { Some(&data) } else { None };
        let looks = Looks::of(&self.address().channel_id);
        let text = words.alert(&asked.text);
        let (_, activity) =
            asked.question.show_answered(looks, &text, &asked.activity, words, &stored.line(words), keeps);
        card_of(&activity).cloned()
    }
}

impl Stored {
    /// Whether the question takes one answer, which the card then shows to all people.
    fn is_for_all(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.question.answers == Answers::One)
    }
}

fn refusal((code, _): (&str, &str), message: &str) -> Value {
    json!({"statusCode": 400, "type": ERROR, "value": {"code": code, "message": message}})
}
