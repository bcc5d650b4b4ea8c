//! The chat message that the Connector gets.

use bot_framework::OutgoingMessage;

use crate::{Envelope, QuestionKeys};

impl Envelope {
    /// The chat message for the Connector: the text with `Alert:` in front, the further members of the
    /// activity, the format, the mentions and the trace. Only a question needs `keys`, for the MACs in the
    /// buttons.
    pub fn message(&self, keys: Option<&QuestionKeys>) -> OutgoingMessage {
        let (text, activity) = self.shown(keys);
        let message = OutgoingMessage::new(&self.address, &text).with(&activity);
        let message = message.in_format(self.look.format).mentioning(&self.look.mentions);
        message.in_trace(self.traceparent.as_ref())
    }

    /// Whether the sender marks the alert as important. Quiet hours do not delay an important alert.
    pub fn is_important(&self) -> bool {
        self.activity.get("importance").is_some_and(|importance| importance == "high")
    }
}
