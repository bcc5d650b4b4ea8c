//! The line of text with which a card or a reply shows an answer.

use super::Question;
use crate::Answer;
use crate::words::Words;

impl Question {
    /// An answer as text: the title of the action, the person's own text, and the person's name.
    pub fn line(&self, answer: &Answer, words: &'static Words) -> String {
        line(Some(self), answer, words)
    }
}

/// The text of an answer. `question` is `None` if the caller cannot read the question.
pub fn line(question: Option<&Question>, answer: &Answer, words: &'static Words) -> String {
    let Answer { action, input, by, .. } = answer;
    let name = by.name.as_deref();
    match (question.and_then(|question| question.action(action)), input) {
        (Some(title), _) => Words::answer(title.title(words), input.as_deref(), name),
        (None, Some(input)) => Words::answer("", Some(input), name),
        (None, None) => Words::answer(action, None, name),
    }
}
