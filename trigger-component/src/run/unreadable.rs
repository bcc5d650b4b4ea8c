//! Messages of the queue that hold no *envelope* (an alert as JSON).

use state::ledger::RecordKey;
use state::runs::InHand;
use storage_queue::QueueMessage;

use crate::schedule::LaneKey;

/// A dequeued message that holds no envelope, and the reason why the message could not be decoded.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(super) message: QueueMessage,
    pub(super) reason: String,
}

impl Unreadable {
    pub(super) fn record(&self) -> RecordKey {
        RecordKey::of_message(self.message.id.as_str(), false, self.message.insertion_time)
    }

    pub(super) fn in_hand_entry(&self) -> InHand {
        let Self { message, .. } = self;
        InHand {
            message: message.id.as_str().to_owned(),
            receipt: message.pop_receipt.as_str().to_owned(),
            lane: LaneKey::of_unreadable(message.id.as_str()).name(),
            age: (message.insertion_time.timestamp(), message.insertion_time.timestamp_millis()),
            record: Some(self.record()),
        }
    }
}
