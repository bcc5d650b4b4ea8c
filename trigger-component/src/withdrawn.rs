//! Alerts that nobody wants any more, and conversations in which nobody is: what the drain asks of the store, and tells it.
//!
//! A store that does not answer counts as "nothing known": the alert goes out.

use address_book::{AddressBook, ConversationKey};
use envelope::{CANCELLED, SENT, SealState};
use platform::{Host, Level};
use serde_json::json;

use crate::courier::Courier;
use crate::delivery::Desk;
use crate::held::Held;

impl<H: Host> Desk<'_, H> {
    /// Whether its sender has cancelled it. One read, of those only that can be cancelled. Where alerts are sealed, one
    /// without a seal is none of them: whoever wrote it may have taken the id of another.
    pub(crate) async fn is_cancelled(&self, held: &Held) -> bool {
        let is_ours = held.seal == SealState::Valid || self.seal_key.is_none();
        held.envelope.cancellable && is_ours && CANCELLED.has(self.host, &held.envelope.id.key()).await
    }

    /// Whether the person has said `stop` meanwhile. One read, of those only that somebody else sent.
    pub(crate) async fn is_stopped(&self, held: &Held) -> bool {
        if !held.envelope.stoppable {
            return false;
        }
        let record = AddressBook::new(self.host).get(&ConversationKey::of(&held.envelope.address)).await;
        record.ok().flatten().is_some_and(|record| record.stopped)
    }

    /// A cancelled alert is off the queue: its mark has done its work. Where the queue may hold it once more, a mark that
    /// ends sooner takes over.
    pub(crate) async fn settle_cancelled(&self, held: &Held) {
        if held.envelope.once && SENT.set(self.host, &held.mark_name()).await.is_err() {
            return;
        }
        _ = CANCELLED.clear(self.host, &held.envelope.id.key()).await;
    }

    /// The channel says that nobody is there. Over Direct Line it says so to the bot.
    pub(crate) async fn pause_conversation(&self, held: &Held) {
        if !matches!(self.courier, Courier::Connector(_)) {
            return;
        }
        if let Err(error) = AddressBook::new(self.host).pause(&held.envelope.address).await {
            let fields = json!({
                "run": self.run, "envelope": held.envelope.id.as_str(), "reason": error.to_string(),
            });
            self.host.event(Level::Warn, "conversation.not-paused", fields);
        }
    }
}
