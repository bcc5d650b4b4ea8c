//! Makes the chat message of an alert, for the Connector.

use bot_framework::OutgoingMessage;

use crate::{Envelope, QuestionKeys};

impl Envelope {
    /// Makes the chat message for the Connector. The chat message consists of the text with `Alert:` in
    /// front, the further members of the activity, the format and the mentions. The call to the Connector
    /// carries the trace id of the alert in a header. `keys` make the MACs of a question's buttons
    /// ([`Envelope::shown`]).
    pub fn message(&self, keys: Option<&QuestionKeys>) -> OutgoingMessage {
        let (text, activity) = self.shown(keys);
        let message = OutgoingMessage::new(&self.address, &text).with(&activity);
        let message = message.in_format(self.look.format).mentioning(&self.look.mentions);
        message.in_trace(self.traceparent.as_ref())
    }

    /// Whether the sender marked the alert as important. An important alert does not wait for the end of the
    /// person's *quiet hours* (hours in which the person wants no alerts).
    pub fn is_important(&self) -> bool {
        self.activity.get("importance").is_some_and(|importance| importance == "high")
    }
}
