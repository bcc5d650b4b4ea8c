//! Makes the call to the Connector that a [`Plan`] describes. The call sends, changes or deletes a chat
//! message. After a change, a second call can send a reply that tells people about the change. A *message*
//! here is a chat message.

use std::mem;

use bot_framework::{Class, Connector, OutgoingMessage, ServiceUrl, Verdict, can_change_messages};
use envelope::KeyState;
use envelope::words::Words;
use platform::{Host, Level};
use serde_json::{Value, json};

use super::plan::{ConnectorCall, Plan};
use crate::attempt::delivery_path::{DeliveryPath, message_of};
use crate::attempt::outcome::NotReached;
use crate::attempt::{Attempts, Outcome, PoisonReason};
use crate::schedule::Leased;

const DELETED: &str = "key: the message was deleted, so the alert is a new message";
const NO_CHANGES: &str = "key: the channel cannot change a message, so the alert is a new message";

impl<H: Host> Attempts<'_, H> {
    /// Carries out a plan. If the Connector cannot change the message, a second call sends a new message. The
    /// run sends nothing after the time in `may_send_until`, because another run can hold the run lock then.
    /// If this time has passed before the second call, the error is the outcome `TooLate`. If the Connector
    /// accepts the call, this function sets `leased.change` (the records that the run has to write).
    pub(in crate::attempt) async fn carry_out(
        &self,
        leased: &mut Leased,
        plan: Plan,
        service_url: &ServiceUrl,
    ) -> Result<Verdict, NotReached> {
        let DeliveryPath::Connector(connector) = &self.delivery_path else {
            return self.send_new(leased, service_url).await;
        };
        let (mut plan, mut ledger_reason) = (plan, None);
        let can_change = can_change_messages(&leased.envelope.address.channel_id);
        if matches!(plan.call, ConnectorCall::Change(_)) && !can_change {
            (plan.call, ledger_reason) = (ConnectorCall::New, Some(NO_CHANGES));
        }
        self.note_change(leased, &plan).await?;
        let mut verdict = self.call(connector, leased, &plan, service_url).await?;
        match (&plan.call, verdict.class) {
            (ConnectorCall::Change(_), Class::MessageGone | Class::NotChangeable) => {
                if self.host.monotonic() >= self.may_send_until.get() {
                    return Err(Outcome::TooLate.into());
                }
                ledger_reason = Some(match verdict.class {
                    Class::MessageGone => DELETED,
                    _ => NO_CHANGES,
                });
                plan.call = ConnectorCall::New;
                verdict = self.call(connector, leased, &plan, service_url).await?;
            }
            // The message is deleted already, or the whole chat no longer exists. So the job has nothing more
            // to do.
            (ConnectorCall::Delete(_), Class::MessageGone) => verdict.class = Class::Accepted,
            (ConnectorCall::Delete(_), Class::DestinationGone) if verdict.status == Some(404) => {
                verdict.class = Class::Accepted;
            }
            _ => {}
        }
        if verdict.class == Class::Accepted {
            if let ConnectorCall::Change(id) | ConnectorCall::Delete(id) = &plan.call {
                verdict.activity_id = Some(id.clone());
            }
            if let (ConnectorCall::Change(id), true) = (&plan.call, plan.keyed.notify) {
                ledger_reason = ledger_reason.or(self.notify(connector, leased, &plan, id).await);
            }
            self.set_change(leased, &plan, &verdict, ledger_reason);
        }
        Ok(verdict)
    }

    /// Records this alert as the newest alert with its key, if the plan changes a message. (A *key* is the
    /// sender's name for a problem.) When a run later dequeues an older alert with the key, the run finds
    /// this record. So the older alert does not change the message back. This function writes the record
    /// before the call, because the response to the call can get lost. Does nothing if the record of the key
    /// already names this alert or a newer alert.
    async fn note_change(&self, leased: &Leased, plan: &Plan) -> Result<(), Outcome> {
        let Plan { keyed, conversation, .. } = plan;
        let Some(key) = keyed
            .key
            .as_ref()
            .filter(|_| !plan.is_newest_noted && matches!(plan.call, ConnectorCall::Change(_)))
        else {
            return Ok(());
        };
        let mine = (keyed.at, keyed.subject(leased.envelope.id.as_str()));
        let noted = self.ledger.note_latest(conversation, key, mine).await;
        noted.map_err(|error| self.state_unknown(leased, &error))
    }

    /// Makes one call, in the thread that the plan names. If the plan names no thread, or if the call sends a
    /// new message, makes the call in the conversation of the alert. In a Teams channel, a new message starts
    /// a new thread.
    async fn call(
        &self,
        connector: &Connector<'_, H>,
        leased: &mut Leased,
        plan: &Plan,
        service_url: &ServiceUrl,
    ) -> Result<Verdict, NotReached> {
        let Some(thread) = plan.thread.as_ref().filter(|_| plan.call != ConnectorCall::New) else {
            return self.call_here(connector, leased, &plan.call, service_url).await;
        };
        let service_url = self.trust.check(&thread.service_url);
        let service_url =
            service_url.map_err(|reason| Outcome::poison(PoisonReason::UntrustedHost, reason.to_string()))?;
        let channel = mem::replace(&mut leased.envelope.address, thread.clone());
        let called = self.call_here(connector, leased, &plan.call, &service_url).await;
        leased.sent_to = Some(mem::replace(&mut leased.envelope.address, channel));
        called
    }

    /// Makes the call `call`, in the conversation that `leased.envelope.address` names.
    async fn call_here(
        &self,
        connector: &Connector<'_, H>,
        leased: &mut Leased,
        call: &ConnectorCall,
        service_url: &ServiceUrl,
    ) -> Result<Verdict, NotReached> {
        let envelope = &leased.envelope;
        let keys = self.keys_of(leased);
        let (trust, conversation) = (self.trust, envelope.address.conversation.id.as_str());
        Ok(match call {
            ConnectorCall::New => return self.send_new(leased, service_url).await,
            ConnectorCall::Reply(id) => {
                connector
                    .reply_in_thread(trust, service_url, &envelope.address, id, message_of(envelope, keys))
                    .await
            }
            ConnectorCall::Change(id) => {
                connector.update(trust, service_url, conversation, id, &message_of(envelope, keys)).await
            }
            ConnectorCall::Delete(id) => {
                let trace = envelope.traceparent.as_ref();
                connector.delete(trust, service_url, conversation, id, trace).await
            }
        })
    }

    /// Sends a reply that tells people about a changed message, because channels (messaging services such as
    /// Teams) notify no person when a message changes. If the reply fails, the alert still counts as
    /// delivered. In this case, this function returns a reason, and the run records the reason in the ledger.
    async fn notify(
        &self,
        connector: &Connector<'_, H>,
        leased: &Leased,
        plan: &Plan,
        activity_id: &str,
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
        let text = match plan.keyed.state {
            KeyState::Firing => words.changed(text),
            KeyState::Resolved => words.resolved(text),
        };
        let address = plan.thread.as_ref().unwrap_or(&envelope.address);
        let Ok(service_url) = self.trust.check(&address.service_url) else { return Some(FAILED) };
        let reply = OutgoingMessage::new(address, &text).in_trace(envelope.traceparent.as_ref());
        let verdict = connector.reply_in_thread(self.trust, &service_url, address, activity_id, reply).await;
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
