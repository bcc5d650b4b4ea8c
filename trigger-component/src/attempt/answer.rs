//! Jobs: queue messages that pass a person's answer or message on to a program. A job sends no alert. There
//! are two kinds:
//!
//! - An answer job belongs to a question that a program asked with an alert. The job passes a person's answer
//!   on to this program (the *sender's program*), and shows the answer on the *card* (the chat message with
//!   the question).
//! - A message job passes a person's message on to a program, through the *queue of replies*
//!   (`<queuename>-replies`).
//!
//! An answer job has four steps:
//!
//! 1. It records the answer in the *ledger* (the table with a record for each alert).
//! 2. It puts the answer on the queue of replies.
//! 3. It changes the card.
//! 4. If the sender gave a callback URL, the job calls the sender's program. This call is the *callback*.
//!
//! The queue message stores which of the first three steps are done, so a retry does not repeat these steps.
//! A retry can repeat the callback. All callbacks of one job have the same id, so the program can recognise a
//! repetition.
//!
//! In the ledger, each answer also has its own row. After the last step, the job marks this row as done. The
//! main queue can hold a copy of the job's queue message. Because of the mark, the copy does nothing.
//!
//! If the field `shows` of an answer job is true, a person has answered another alert, and the alert of this
//! job shares the answer. Such a job takes only the steps 1 and 3 (`sharing.rs`), because the job of the
//! other alert takes the steps 2 and 4.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bot_framework::outbound::question_keys;
use bot_framework::{Class, OutgoingMessage, Verdict};
use bytes::Bytes;
use callbacks::{Callback, Called, call};
use envelope::words::Words;
use envelope::{
    Answer, AnswerJob, Answers, Asked, Envelope, Keyed, Looks, QuestionKeys, SealState, Steps, can_change,
};
use platform::{Host, Level};
use serde_json::{Value, json};
use state::ledger::{AlertId, Record, Status};
use state::{ConversationKey, without_thread};
use storage_queue::{PutOptions, QueueError, TimeToLive};
use storage_table::TableError;

use super::decide::{Hidden, answer_pause, wait_for_host};
use super::hosts::host_out;
use super::outcome::outcome_of;
use super::{Attempts, DeliveryPath, Outcome, PoisonReason};
use crate::limits::LONGEST_OUTAGE;
use crate::schedule::Leased;

/// The most tries to change a card. After this many failures, the poller leaves the card as it is, because
/// the ledger and the queue of replies have the answer already.
pub(super) const MAX_CARD_TRIES: u8 = 5;

/// The reason that the log and the poison queue show if the poller cannot decrypt the question of an answer
/// job.
const UNREADABLE: &str = "question: the poller cannot decrypt the question, because sealkey or the bot's secret has changed; set sealkey to \
     the new key and the old key (the old sealkey or secret), separated by a comma, and replay";

/// The reason why an answer job could not begin its steps.
#[derive(Debug)]
enum NotOpened {
    /// A call to the tables failed.
    Unknown(TableError),
    /// The poller has no key that decrypts the question.
    Unreadable,
}

impl From<TableError> for NotOpened {
    fn from(error: TableError) -> Self {
        Self::Unknown(error)
    }
}

/// An answer, with the data that the steps of its job need.
pub(super) struct AnswerWork {
    pub(super) alert: AlertId,
    /// The answer has a row in the ledger. This field is the last part of the row key.
    pub(super) row: String,
    /// The id of the person's press of a button, or of the person's text. The callback has the same id.
    pub(super) press: String,
    pub(super) answer: Answer,
    /// The id of the card, if the channel told the bot this id.
    pub(super) card: Option<String>,
    pub(super) record: Record,
    pub(super) asked: Asked,
}

impl<H: Host> Attempts<'_, H> {
    /// The keys that encrypt and decrypt questions; `None` if the poller cannot derive the keys from its
    /// settings.
    pub(super) fn question_keys(&self) -> Option<&QuestionKeys> {
        let tools = &self.answers;
        let derive = || {
            question_keys(self.host, tools.bot, tools.queue_name).ok().map(|keys| QuestionKeys::new(&keys))
        };
        tools.keys.get_or_init(derive).as_ref()
    }

    /// Carries out a job, and returns its outcome.
    pub(super) async fn do_job(&self, leased: &mut Leased) -> Outcome {
        if !self.is_ours(leased) {
            let (why, reason) = match leased.seal {
                SealState::Broken => (
                    PoisonReason::SealBroken,
                    "seal: broken, because the message was changed or sealed with another key; check sealkey",
                ),
                _ => (
                    PoisonReason::Unsealed,
                    "seal: missing, and only the bot may queue a message with `answer`; drop it",
                ),
            };
            return Outcome::poison(why, reason);
        }
        let unaccounted = leased.message.dequeue_count.saturating_sub(leased.envelope.delivery.accounted);
        if unaccounted > self.limits.max_unaccounted {
            let reason = format!(
                "message: dequeued {unaccounted} times without a result; look for runs that were killed"
            );
            return Outcome::poison(PoisonReason::Abandoned, reason);
        }
        if self.host.monotonic() >= self.may_send_until.get() {
            return Outcome::TooLate;
        }
        match leased.envelope.answer.clone() {
            None => Outcome::AlreadyEnded(None),
            Some(AnswerJob::Message { by }) => {
                let body = message_body(&leased.envelope, &by.to_json());
                match self.put_reply(&body).await {
                    Ok(()) => Outcome::JobDone,
                    Err(error) => self.state_unknown(leased, &error),
                }
            }
            Some(AnswerJob::Answer { alert, lead, shows, row, press, answer, card, done }) => {
                let Some(alert) = AlertId::parse(&alert) else {
                    return Outcome::poison(PoisonReason::Permanent, "answer: names no alert; drop it");
                };
                if shows {
                    return self.show_answer(leased, alert, *answer, done).await;
                }
                let lead = lead.as_deref().and_then(AlertId::parse).unwrap_or_else(|| alert.clone());
                match self.look_up(alert, &lead, row, press, *answer, card).await {
                    Ok(Some(work)) => self.do_steps(leased, &work, &lead, done).await,
                    Ok(None) => Outcome::AlreadyEnded(None),
                    Err(NotOpened::Unknown(error)) => self.state_unknown(leased, &error),
                    Err(NotOpened::Unreadable) => Outcome::poison(PoisonReason::SealBroken, UNREADABLE),
                }
            }
        }
    }

    /// Reads the alert's record and the answer's row from the ledger. The key of the row contains the id
    /// `lead`. Usually, `lead` is the id of the answered alert. But `lead` can also be the id of another
    /// alert. For example, all alerts of one API call can share one answer, and then also share one row. In
    /// this case, `lead` is the id of the call's first alert.
    ///
    /// Returns `None` if the job has nothing to do:
    ///
    /// - The alert has no record.
    /// - The alert was cancelled before it was sent.
    /// - The chat message of the alert was taken back (deleted).
    /// - Another answer came first.
    /// - The row is marked as done.
    async fn look_up(
        &self,
        alert: AlertId,
        lead: &AlertId,
        row: String,
        press: String,
        answer: Answer,
        card: Option<String>,
    ) -> Result<Option<AnswerWork>, NotOpened> {
        let (record, known) =
            futures_util::future::try_join(self.ledger.find(&alert), self.ledger.answer(lead, &row)).await?;
        let is_ended =
            |record: &Record| matches!(record.shown_status(), Status::Cancelled | Status::Withdrawn);
        let Some(record) = record.filter(|record| !is_ended(record)) else {
            return Ok(None);
        };
        let keys = self.question_keys().ok_or(NotOpened::Unreadable)?;
        let sealed = record.question.as_deref().unwrap_or_default();
        let Some(asked) = Asked::open(keys, alert.as_str(), sealed) else {
            let fields = json!({"run": self.run, "envelope": alert.as_str(), "reason": UNREADABLE});
            self.host.event(Level::Error, "answer.question-unreadable", fields);
            return Err(NotOpened::Unreadable);
        };
        let known = match known {
            // The row is missing: the bot was killed before it inserted the row, or the write failed. So this
            // job inserts the row.
            None => {
                let sealed = answer.seal(self.host, keys, lead.as_str(), &row);
                self.ledger.insert_answer(lead, &row, (&press, &sealed), asked.until).await?
            }
            known => known,
        };
        let has_work = known.is_none_or(|known| known.press == press && !known.is_done);
        Ok(has_work.then_some(AnswerWork { alert, row, press, answer, card, record, asked }))
    }

    async fn do_steps(
        &self,
        leased: &mut Leased,
        work: &AnswerWork,
        lead: &AlertId,
        mut done: Steps,
    ) -> Outcome {
        if !done.recorded {
            if let Err(error) = self.record_answer(leased, work).await {
                return self.state_unknown(leased, &error);
            }
            if let Err(outcome) = self.cancel_or_show_others(leased, work).await {
                return outcome;
            }
            done.recorded = true;
        }
        let body = answer_body(work);
        if !done.queued {
            if let Err(error) = self.put_reply(&body).await {
                store_steps(leased, done);
                return self.state_unknown(leased, &error);
            }
            done.queued = true;
        }
        let mut failed = None;
        if !done.shown {
            match self.change_card(leased, work).await {
                Some(verdict) if done.tries + 1 < MAX_CARD_TRIES => {
                    done.tries += 1;
                    failed = Some(verdict);
                }
                _ => done.shown = true,
            }
        }
        store_steps(leased, done);
        if let Some(url) = &work.asked.callback
            && let Some(outcome) = self.call_back(leased, url, &work.press, &body).await
        {
            return outcome;
        }
        if let Some(verdict) = failed {
            return self.again(leased, &verdict.reason, verdict.retry_after);
        }
        match self.ledger.finish_answer(lead, &work.row).await {
            Ok(()) => Outcome::JobDone,
            Err(error) => self.state_unknown(leased, &error),
        }
    }

    /// Records the answer in the ledger. If the question takes only one answer, also closes the
    /// question ([`Self::close_question`]).
    async fn record_answer(&self, leased: &Leased, work: &AnswerWork) -> Result<(), TableError> {
        let AnswerWork { alert, answer, asked, .. } = work;
        let Some(keys) = self.question_keys() else { return Ok(()) };
        let sealed = answer.seal(self.host, keys, alert.as_str(), "");
        self.ledger.record_answer(alert, &sealed, answer.at).await?;
        if asked.question.answers == Answers::One {
            self.close_question(leased, alert).await;
        }
        Ok(())
    }

    /// Closes the question: from now on, a text that a person writes in the conversation does not count as an
    /// answer to this alert. If the write fails, this function only logs the failure, because the bot has a
    /// second check. Before the bot takes a text as the answer, the bot reads in the ledger whether a person
    /// has answered already.
    pub(super) async fn close_question(&self, leased: &Leased, alert: &AlertId) {
        let conversation = ConversationKey::of(&leased.envelope.address);
        if let Err(error) = self.conversations.close_question(&conversation, alert.as_str()).await {
            let fields = json!({"run": self.run, "reason": error.to_string()});
            self.host.event(Level::Warn, "question.not-closed", leased.traced(fields));
        }
    }

    /// Puts a JSON body on the queue of replies. The body is in base64, because programs can read the queue
    /// with Azure Functions, which expects base64.
    async fn put_reply(&self, body: &Value) -> Result<(), QueueError> {
        let options = PutOptions { time_to_live: TimeToLive::Never, ..PutOptions::default() };
        let text = STANDARD.encode(body.to_string());
        self.answers.replies.put_marking_copies(&text, options, || None).await.result
    }

    /// Changes the card. All people of the conversation then see the answer. If the call to the Connector
    /// failed and a later try can succeed, returns the *verdict* (the classified response) of the call.
    /// Otherwise returns `None`.
    pub(super) async fn change_card(&self, leased: &Leased, work: &AnswerWork) -> Option<Verdict> {
        let AnswerWork { answer, asked, record, card, .. } = work;
        let address = &leased.envelope.address;
        let DeliveryPath::Connector(connector) = &self.delivery_path else { return None };
        if asked.question.answers != Answers::One || !can_change(&address.channel_id) {
            return None;
        }
        let message = record.activity_id.as_ref().or(card.as_ref())?;
        let keyed = conversation_and_key(leased, record);
        // An alert key is the name that the sender gives to a problem. A *turn* is the lock of an alert key
        // in one conversation (`turns.rs`). While this job has the turn, no other attempt of this run changes
        // the card.
        let _turn = match &keyed {
            Some((conversation, key)) => {
                Some(self.turns.take(format!("{}.{key}", conversation.as_str())).await)
            }
            None => None,
        };
        if self.is_overtaken(keyed, record).await {
            return None;
        }
        let service_url = self.trust.check(&address.service_url).ok()?;
        let words = Words::of(address);
        let line = asked.question.line(answer, words);
        let text = words.alert(&asked.text);
        let looks = Looks::of(&address.channel_id);
        let (text, activity) =
            asked.question.show_answered(looks, &text, &asked.activity, words, &line, None);
        let changed = OutgoingMessage::new(address, &text).with(&activity);
        let changed = changed.in_trace(leased.envelope.traceparent.as_ref());
        let conversation = &address.conversation.id;
        let verdict = connector.update(self.trust, &service_url, conversation, message, &changed).await;
        if verdict.class == Class::Accepted {
            return None;
        }
        let fields = json!({
            "run": self.run, "envelope": work.alert.as_str(), "status": verdict.status, "reason": verdict.reason,
        });
        self.host.event(Level::Warn, "answer.card-not-changed", leased.traced(fields));
        matches!(
            verdict.class,
            Class::Throttled
                | Class::Unavailable
                | Class::GatewayFailed
                | Class::PossiblyDelivered
                | Class::Unauthorized
                | Class::NoToken
        )
        .then_some(verdict)
    }

    /// Whether the chat message of the alert in `record` now shows a newer alert with the same alert key.
    async fn is_overtaken(&self, keyed: Option<(ConversationKey, String)>, record: &Record) -> bool {
        let Some((conversation, key)) = keyed else { return false };
        let standing = self.ledger.standing(&conversation, &key).await;
        standing
            .is_ok_and(|standing| standing.activity_id == record.activity_id && standing.alert != record.id)
    }

    /// Makes the callback: sends the answer to the sender's program. Returns `None` if the program has
    /// accepted the answer. Otherwise returns the outcome of the job.
    async fn call_back(&self, leased: &Leased, url: &str, id: &str, body: &Value) -> Option<Outcome> {
        let tools = &self.answers;
        let url = match tools.callback_hosts.check(url) {
            Ok(url) => url,
            Err(why) => {
                return Some(Outcome::poison(PoisonReason::UntrustedHost, why.to_string()));
            }
        };
        let Some(secrets) = tools.secrets else {
            let reason = "callback: callbacksecret is empty; set it, and replay";
            return Some(Outcome::poison(PoisonReason::Permanent, reason));
        };
        let envelope = &leased.envelope;
        let situation = self.situation(leased);
        if let Some(wait) = self.hosts.wait(url.origin(), false, self.host) {
            let action = wait_for_host(wait, &situation, |max| self.host.up_to(max));
            return Some(outcome_of(action, host_out(url.origin())));
        }
        let bytes = Bytes::from(body.to_string());
        let callback = Callback { url: &url, id, body: bytes, trace: envelope.traceparent.as_ref() };
        let called = call(self.host, secrets, &callback, tools.deadline).await;
        let (class, status, reason, retry_after) = match called {
            Called::Accepted => (Class::Accepted, None, String::new(), None),
            Called::Gone => (Class::Permanent, Some(410), "410".to_owned(), None),
            Called::Throttled(after) => (Class::Throttled, Some(429), "429".to_owned(), after),
            Called::Failed { status, reason, retry_after } => {
                (Class::Unavailable, status, reason, retry_after)
            }
        };
        let reason = format!("callback: {}: {reason}", url.origin());
        let verdict = Verdict { class, status, reason, retry_after, activity_id: None };
        if let (_, Some(change)) = self.hosts.record(url.origin(), leased.lane, class, self.host) {
            self.log_host_change(change, url.origin(), &verdict);
        }
        match class {
            Class::Accepted => None,
            Class::Permanent => Some(Outcome::Poison {
                why: PoisonReason::Permanent,
                reason: verdict.reason,
                status: verdict.status,
            }),
            _ => {
                self.log_planned_retry(leased, &verdict);
                Some(self.again(leased, &verdict.reason, verdict.retry_after))
            }
        }
    }

    /// Returns the outcome of a job that has failed: the poller hides the queue message, and tries the job
    /// again later. If the job has been due for more than a day, the poller moves the queue message to the
    /// poison queue instead.
    pub(super) fn again(&self, leased: &Leased, reason: &str, retry_after: Option<Duration>) -> Outcome {
        if self.due_for(leased) > LONGEST_OUTAGE {
            return Outcome::poison(PoisonReason::RetriesExhausted, reason);
        }
        let mut delivery = leased.envelope.delivery.clone();
        delivery.outages = delivery.outages.saturating_add(1);
        delivery.accounted = leased.message.dequeue_count;
        let after = answer_pause(self.limits, delivery.outages, retry_after, |max| self.host.up_to(max));
        Outcome::Wait { why: Hidden::Unavailable, after, delivery, reason: reason.to_owned() }
    }
}

/// Returns the alert's key, and the conversation to which the key belongs; `None` if the alert has no key.
/// Usually, the key belongs to the alert's conversation. But if the alert began a thread, the key belongs to
/// the Teams channel that contains the thread.
fn conversation_and_key(leased: &Leased, record: &Record) -> Option<(ConversationKey, String)> {
    let key = record.keyed.as_deref().and_then(Keyed::from_note)?.key?;
    let mut address = leased.envelope.address.clone();
    if record.thread.is_some() {
        address.conversation.id = without_thread(&address.conversation.id).to_owned();
    }
    Some((ConversationKey::of(&address), key))
}

/// Stores in the envelope which steps are done. The next try then does not repeat these steps.
pub(super) fn store_steps(leased: &mut Leased, steps: Steps) {
    if let Some(AnswerJob::Answer { done, .. }) = &mut leased.envelope.answer {
        *done = steps;
    }
}

/// Makes the JSON that passes an answer on to a program. The queue of replies and the callback get the same
/// JSON.
fn answer_body(work: &AnswerWork) -> Value {
    let mut body = json!({
        "type": "alert.answered", "id": work.press, "alert": work.alert.as_str(), "key": work.asked.key,
        "input": null, "conversation": work.record.conversation,
    });
    for (name, value) in work.answer.to_json() {
        body[name] = value;
    }
    body
}

/// Makes the JSON that passes a person's message on to a program. The queue of replies gets this JSON.
fn message_body(envelope: &Envelope, by: &Value) -> Value {
    let address = &envelope.address;
    json!({
        "type": "message", "id": envelope.id.as_str(), "text": envelope.text,
        "conversation": ConversationKey::of(address).as_str(), "channel": address.channel_id,
        "locale": address.locale, "at": envelope.enqueued_at_text(), "by": by,
    })
}
