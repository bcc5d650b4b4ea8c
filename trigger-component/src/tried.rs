//! What was tried of messages in which that cannot be written: those that are too long for it, those of older bots, which
//! stay as they came, and those whose Update failed. Remembered in key-value, by the queue's id of the message.

use envelope::{Delivery, TRIED};
use platform::Host;

use crate::delivery::Desk;
use crate::held::Held;

impl<H: Host> Desk<'_, H> {
    /// Adds what is remembered of a message to what stands in it. One that is handed out for the first time has no past.
    pub(crate) async fn recall(&self, held: &mut Held) {
        let id = held.message.id.as_str();
        if held.message.dequeue_count > 1
            && let Ok(Some(note)) = TRIED.note(self.host, id).await
        {
            held.envelope.delivery.raise_to(&note);
            held.is_remembered = true;
        }
    }

    /// Remembers what was tried. A store that fails leaves the queue's DequeueCount to end it.
    pub(crate) async fn remember(&self, held: &Held, mut delivery: Delivery) {
        let id = held.message.id.as_str();
        if let Ok(Some(note)) = TRIED.note(self.host, id).await {
            delivery.raise_to(&note);
        }
        _ = TRIED.set_with(self.host, id, delivery.to_json()).await;
    }

    /// The message has left the queue.
    pub(crate) async fn forget(&self, held: &Held) {
        if held.is_remembered {
            _ = TRIED.clear(self.host, held.message.id.as_str()).await;
        }
    }
}
