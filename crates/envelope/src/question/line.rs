//! The line of text that shows a person's answer to a question. The line is on the card of the question, or
//! in the bot's reply.

use super::Question;
use crate::Answer;
use crate::words::Words;

impl Question {
    /// The line of an answer: the title of the chosen action (button), the text that the person wrote, and
    /// the person's name.
    pub fn line(&self, answer: &Answer, words: &'static Words) -> String {
        line(Some(self), answer, words)
    }
}

/// The line of an answer. `question` is `None` if the bot cannot read the stored question. If the title of
/// the action is unknown, the line begins with the person's text. If the person also wrote no text, the line
/// begins with the action's id.
pub fn line(question: Option<&Question>, answer: &Answer, words: &'static Words) -> String {
    let Answer { action, input, by, .. } = answer;
    let name = by.name.as_deref();
    match (question.and_then(|question| question.action(action)), input) {
        (Some(title), _) => Words::answer(title.title(words), input.as_deref(), name),
        (None, Some(input)) => Words::answer("", Some(input), name),
        (None, None) => Words::answer(action, None, name),
    }
}
