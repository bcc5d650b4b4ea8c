//! Makes the calls of a plan: a new message, a reply, a change, or a deletion; and the reply about a change.

use bot_framework::{Class, Connector, OutgoingMessage, ServiceUrl, Verdict, can_change_messages};
use envelope::words::Words;
use envelope::{KeyState, Keyed};
use platform::{Host, Level};
use serde_json::{Value, json};

use super::{Plan, Way};
use crate::attempt::delivery_path::{DeliveryPath, message_of};
use crate::attempt::{Attempts, Outcome};
use crate::schedule::Leased;

const DELETED: &str = "key: the message was deleted, so the alert is a new message";
const NO_CHANGES: &str = "key: the channel cannot change a message, so the alert is a new message";

impl<H: Host> Attempts<'_, H> {
    /// Makes the call of a plan. If the Connector accepts it, the leased message gets the records that
    /// follow. The error is the outcome if the run has no time left for a second call.
    pub(in crate::attempt) async fn carry_out(
        &self,
        leased: &mut Leased,
        plan: Plan,
        service_url: &ServiceUrl,
    ) -> Result<Verdict, Outcome> {
        let DeliveryPath::Connector(connector) = &self.delivery_path else {
            return Ok(self.delivery_path.deliver(leased, service_url, self.trust).await);
        };
        let (mut plan, mut note) = (plan, None);
        let can_change = can_change_messages(&leased.envelope.address.channel_id);
        if matches!(plan.way, Way::Change(_)) && !can_change {
            (plan.way, note) = (Way::New, Some(NO_CHANGES));
        }
        let mut verdict = self.call(connector, leased, &plan.way, service_url).await;
        match (&plan.way, verdict.class) {
            (Way::Change(_), Class::MessageGone | Class::NotChangeable) => {
                if self.host.monotonic() >= self.may_send_until.get() {
                    return Err(Outcome::TooLate);
                }
                note = Some(match verdict.class {
                    Class::MessageGone => DELETED,
                    _ => NO_CHANGES,
                });
                plan.way = Way::New;
                verdict = self.call(connector, leased, &plan.way, service_url).await;
            }
            // The message is deleted already.
            (Way::Delete(_), Class::MessageGone) => verdict.class = Class::Accepted,
            _ => {}
        }
        if verdict.class == Class::Accepted {
            if let Way::Change(id) | Way::Delete(id) = &plan.way {
                verdict.activity_id = Some(id.clone());
            }
            if let (Way::Change(id), true) = (&plan.way, plan.keyed.notify) {
                note = note.or(self.notify(connector, leased, &plan.keyed, id, service_url).await);
            }
            self.set_change(leased, &plan, &verdict, note);
        }
        Ok(verdict)
    }

    async fn call(
        &self,
        connector: &Connector<'_, H>,
        leased: &Leased,
        way: &Way,
        service_url: &ServiceUrl,
    ) -> Verdict {
        let envelope = &leased.envelope;
        let (trust, conversation) = (self.trust, envelope.address.conversation.id.as_str());
        match way {
            Way::New => {
                let message = message_of(envelope);
                connector.send_in_any_cloud(trust, service_url, conversation, &message).await
            }
            Way::Reply(id) => {
                connector
                    .reply_in_thread(trust, service_url, &envelope.address, id, message_of(envelope))
                    .await
            }
            Way::Change(id) => {
                connector.update(trust, service_url, conversation, id, &message_of(envelope)).await
            }
            Way::Delete(id) => {
                let trace = envelope.traceparent.as_ref();
                connector.delete(trust, service_url, conversation, id, trace).await
            }
        }
    }

    /// Tells the people of the conversation in the thread that the message has changed, because a channel
    /// notifies no person of a change. The change itself stays delivered if this call fails. Returns the
    /// reason for the ledger if the call fails.
    async fn notify(
        &self,
        connector: &Connector<'_, H>,
        leased: &Leased,
        keyed: &Keyed,
        activity_id: &str,
        service_url: &ServiceUrl,
    ) -> Option<&'static str> {
        const FAILED: &str = "key: the message was changed, but the reply about it was not sent";
        self.host.sleep(self.limits.conversation_gap).await;
        if self.host.monotonic() >= self.may_send_until.get() {
            return Some(FAILED);
        }
        let envelope = &leased.envelope;
        let words = Words::of(&envelope.address);
        let summary = envelope.activity.get("summary").and_then(Value::as_str).unwrap_or_default();
        let text = if envelope.text.is_empty() { summary } else { &envelope.text };
        let text = match keyed.state {
            KeyState::Firing => words.changed(text),
            KeyState::Resolved => words.resolved(text),
        };
        let reply = OutgoingMessage::new(&envelope.address, &text).in_trace(envelope.traceparent.as_ref());
        let verdict =
            connector.reply_in_thread(self.trust, service_url, &envelope.address, activity_id, reply).await;
        if verdict.class == Class::Accepted {
            return None;
        }
        let fields = json!({
            "run": self.run, "envelope": envelope.id.excerpt(), "status": verdict.status, "reason": verdict.reason,
        });
        self.host.event(Level::Warn, "alert.not-notified", leased.traced(fields));
        Some(FAILED)
    }
}
