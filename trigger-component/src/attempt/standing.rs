//! Plans a call to the Connector that sends, changes or deletes a chat message. Three kinds of queue messages
//! need a plan:
//!
//! - An alert with a `key`.
//! - A change of an earlier alert.
//! - A job that takes an earlier alert back, i.e. deletes its chat message. (A *job* is a queue message that
//!   sends no alert.)
//!
//! Sometimes no call is needed.
//!
//! A *key* is the sender's name for a problem, e.g. `disk-full`. Alerts with the same key report the same
//! problem, so a newer alert can change the chat message of an older alert. The key is *firing* while the
//! problem lasts. An alert with the state `resolved` says that the problem has ended.
//!
//! An older alert never replaces a newer alert. The older alert is the alert that the bot accepted earlier.
//! For a delayed alert, the due time counts instead of the time of acceptance.
//!
//! The record of a key (`Standing`) names the chat message that the conversation shows for the key. This
//! module reads the record before each call. The record is up to date, because only the run with the run lock
//! sends alerts. (A *run* is one execution of the poller.) This run sends the alerts with one key one after
//! the other (`turns.rs`).
//!
//! If an alert goes to a Teams channel, its chat message is in a thread of the channel. The record of the key
//! belongs to the whole channel, and names the thread.

mod plan;
mod records;
mod sending;

use std::time::Duration;

use bot_framework::json::Fields;
use bot_framework::{Class, ConversationReference, Verdict, can_change_messages};
use envelope::{Again, Answer, Answers, CreationOf, Envelope, KeyState, Keyed, QuestionKeys};
use futures_util::future::try_join;
use platform::{Host, name_of};
use state::ConversationKey;
use state::ledger::{AlertId, KeyOrder, Record, Shown, Standing, Status};
use storage_table::TableError;

use super::delivery_path::{DeliveryPath, message_of};
use super::{Attempts, Outcome, PoisonReason};
use crate::schedule::Leased;
use plan::ConnectorCall;
pub(super) use plan::Plan;
use records::edit_of;
pub(crate) use records::thread_to_record;

/// After this time, a change no longer waits for the result of the alert that it changes, if the bot has
/// cancelled this alert.
///
/// If the changed alert still waits on the queue, the bot cancels this alert, and the poller sends the change
/// as a new alert. But perhaps a run sent the alert just before the cancellation, and the ledger (the table
/// of all alerts) does not show the result yet. So the change first waits for the result. A run records a
/// result within a second after the send, unless the run is killed.
const RESULT_WITHIN: Duration = Duration::from_secs(60);
/// The first pause of a change that waits for the result of the changed alert.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The longest pause of a change that waits for the result of the changed alert.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

const NEWER_SHOWN: &str = "key: the conversation shows a newer alert with this key";
const NEWER_WAITS: &str = "key: a newer alert with this key takes the place of this alert";
const STILL_FIRING: &str = "key: not resolved yet, and the alert says `again: skip`";
const SAME_CONTENT: &str = "key: the message that the conversation shows has the same content";
const LATER_CHANGE: &str = "alert: a later change of the alert was sent";
const TAKEN_BACK: &str = "alert: its message was taken back";

/// The decision about an alert or a job. The decision depends on the chat message that the conversation
/// shows.
enum Decision {
    Send(ConnectorCall),
    /// No call is needed: the conversation already shows the content, or the chat message is already deleted.
    /// The values are the id of the chat message, and the reason for the ledger.
    IsShown(Option<String>, Option<&'static str>),
    /// The poller makes no call, and the attempt ends with this outcome.
    Not(Outcome),
}

impl<H: Host> Attempts<'_, H> {
    /// Plans the call for an alert with a `key`, a change of an alert, or a job that takes an alert back.
    /// Returns `Ok(None)` for every other alert, and for an alert over Direct Line. These alerts need no read
    /// of the tables.
    ///
    /// If the run must not call the Connector, returns `Err` with the outcome. The outcome is not always a
    /// failure: if the conversation shows the content already, the outcome is `Delivered`. `is_new` says
    /// whether the run has just created the conversation. A new conversation shows no message of the bot.
    pub(super) async fn plan(&self, leased: &mut Leased, is_new: bool) -> Result<Option<Plan>, Outcome> {
        let Some(keyed) = leased.envelope.keyed.clone() else { return Ok(None) };
        if !self.is_ours(leased) {
            let reason =
                "keyed: the queue message has no valid seal, so it must not change a chat message; seal it";
            return Err(Outcome::poison(PoisonReason::Unsealed, reason));
        }
        if !matches!(self.delivery_path, DeliveryPath::Connector(_)) {
            return match keyed.takes_back {
                None => Ok(None),
                Some(_) => {
                    Err(cannot_delete("delivery: over Direct Line the poller cannot delete a message"))
                }
            };
        }
        let conversation = ConversationKey::of(&leased.envelope.address);
        if let Some(key) = &keyed.key {
            // A turn is the lock of a key in one conversation. One attempt can make two plans: the first for
            // a chat that no longer exists in Teams, and the second for the new chat. For the second plan,
            // the attempt still has the turn of the first chat, and no longer needs it. So this function ends
            // the old turn before it takes the new turn.
            leased.turn = None;
            leased.turn = Some(self.turns.take(format!("{}.{key}", conversation.as_str())).await);
        }
        let known = self.known(&keyed, &conversation).await;
        let (mut record, standing) = known.map_err(|error| self.state_unknown(leased, &error))?;
        let mine = (keyed.at, keyed.subject(leased.envelope.id.as_str()));
        let is_newest_noted = standing.as_ref().is_none_or(|standing| standing.latest() >= mine);
        if let Some(record) = record.as_mut().filter(|_| is_new) {
            // `activity_id` names a chat message of the old conversation. The new conversation does not have
            // this chat message.
            record.activity_id = None;
        }
        let standing = standing.filter(|standing| names_same_message(record.as_ref(), standing));
        let answered = self.answer_of(leased, record.as_ref()).await;
        leased.envelope.answered = answered.map_err(|error| self.state_unknown(leased, &error))?;
        let digest = digest_of(&leased.envelope, &keyed, self.keys_of(leased));
        let decided = self.decide_call(leased, &keyed, record.as_ref(), standing.as_ref(), &digest).await;
        let thread = thread_of(leased, record.as_ref(), standing.as_ref());
        let plan = |call| Plan {
            keyed: keyed.clone(),
            call,
            conversation,
            thread,
            standing: standing.clone(),
            is_newest_noted,
            digest,
        };
        match decided.map_err(|error| self.state_unknown(leased, &error))? {
            Decision::Send(call) => Ok(Some(plan(call))),
            Decision::Not(outcome) => Err(outcome),
            Decision::IsShown(activity_id, ledger_reason) => {
                let shown = activity_id.clone().map_or(ConnectorCall::New, ConnectorCall::Change);
                let reason = ledger_reason.unwrap_or("the conversation shows it already").to_owned();
                let verdict =
                    Verdict { class: Class::Accepted, status: None, reason, retry_after: None, activity_id };
                let plan = plan(shown);
                leased.sent_to.clone_from(&plan.thread);
                self.set_change(leased, &plan, &verdict, ledger_reason);
                Err(Outcome::Delivered(verdict))
            }
        }
    }

    /// Returns the person's answer if `leased` changes an alert with a question that accepts one answer. The
    /// changed chat message has to show this answer. Returns `None` if no person has answered yet.
    ///
    /// The answer is in the record of the alert that `question.alert` names. Usually, this is `record`, the
    /// record of the alert that `leased` changes. An example of the other case:
    ///
    /// 1. A sender changes the alert A before A is sent. So the bot cancels A, and the poller sends the
    ///    change B instead.
    /// 2. The sender changes A again, with the change C. `leased` is C.
    /// 3. `record` is the record of A, but `question.alert` names B. So this function reads the record of B.
    async fn answer_of(
        &self,
        leased: &Leased,
        record: Option<&Record>,
    ) -> Result<Option<Box<Answer>>, TableError> {
        let question = leased.envelope.question.as_ref().filter(|it| it.answers == Answers::One);
        let alert = question.and_then(|question| question.alert.as_deref()).and_then(AlertId::parse);
        let (Some(keys), Some(alert)) = (self.keys_of(leased), alert) else { return Ok(None) };
        let other;
        let record = match record {
            Some(record) if record.id == alert.as_str() => Some(record),
            _ => {
                other = self.ledger.find(&alert).await?;
                other.as_ref()
            }
        };
        let sealed = record.and_then(|record| record.answer.as_deref());
        Ok(sealed.and_then(|sealed| Answer::open(keys, alert.as_str(), "", sealed)).map(Box::new))
    }

    /// Reads up to two records from the ledger: the record of the earlier alert that `keyed` changes or takes
    /// back, and the record of the key.
    async fn known(
        &self,
        keyed: &Keyed,
        conversation: &ConversationKey,
    ) -> Result<(Option<Record>, Option<Standing>), TableError> {
        let record = async {
            match keyed.edits.as_deref().or(keyed.takes_back.as_deref()).and_then(AlertId::parse) {
                Some(id) => self.ledger.find(&id).await,
                None => Ok(None),
            }
        };
        let standing = async {
            match &keyed.key {
                Some(key) => self.ledger.standing(conversation, key).await.map(Some),
                None => Ok(None),
            }
        };
        try_join(record, standing).await
    }

    async fn decide_call(
        &self,
        leased: &Leased,
        keyed: &Keyed,
        record: Option<&Record>,
        standing: Option<&Standing>,
        digest: &str,
    ) -> Result<Decision, TableError> {
        let replaced = |reason: &str| Ok(Decision::Not(Outcome::Replaced(reason.to_owned())));
        let envelope = &leased.envelope;
        let mine = (keyed.at, keyed.subject(envelope.id.as_str()));
        if standing.is_some_and(|standing| standing.order() > mine) {
            return replaced(NEWER_SHOWN);
        }
        let shown = standing.filter(|standing| standing.order() == mine);
        let shown_id = shown.and_then(|standing| standing.activity_id.clone());
        if keyed.takes_back.is_some() {
            let activity_id = shown_id.or(record.and_then(|record| record.activity_id.clone()));
            return Ok(decide_taking_back(leased, record, activity_id));
        }
        if let Some(standing) = standing
            && self.is_replaced_by_newer(standing, mine, standing.is_firing).await?
        {
            return replaced(NEWER_WAITS);
        }
        let Some(record) = record.filter(|_| keyed.edits.is_some()) else {
            return Ok(match shown {
                // An earlier run has sent this alert, but has not deleted the queue message. Probably the run
                // was killed.
                Some(_) => Decision::IsShown(shown_id, None),
                None => decide_unshown(keyed, standing, digest),
            });
        };
        let edit = edit_of(envelope, None);
        if record.edited.as_ref().is_some_and(|(at, by)| (*at, by.as_str()) > (edit.at, edit.by.as_str())) {
            return replaced(LATER_CHANGE);
        }
        if record.status == Status::Withdrawn {
            return replaced(TAKEN_BACK);
        }
        Ok(match shown_id.or_else(|| record.activity_id.clone()) {
            Some(id) if record.edited.as_ref().is_some_and(|(_, by)| *by == edit.by) => {
                Decision::IsShown(Some(id), None)
            }
            Some(id) if shown.is_some_and(|standing| standing.digest == digest) => {
                Decision::IsShown(Some(id), Some(SAME_CONTENT))
            }
            Some(id) => Decision::Send(ConnectorCall::Change(id)),
            None => match self.wait_for(leased, record) {
                Some(pause) => Decision::Not(Outcome::NotDue(pause)),
                // No run has sent the changed alert, so the change becomes a new chat message.
                None => match self.quiet_outcome_of_new_message(leased).await {
                    Some(outcome) => Decision::Not(outcome),
                    None => decide_unshown(keyed, standing, digest),
                },
            },
        })
    }

    /// Checks that no newer alert with the same key takes the place of this alert. The run calls this
    /// function before it finds or creates the person's chat. If a newer alert takes the place, the error is
    /// the outcome of this alert. So the run calls the Connector for the newest alert only.
    pub(super) async fn expect_newest(&self, leased: &Leased) -> Result<(), Outcome> {
        let Some(keyed) = leased.envelope.keyed.as_ref().filter(|_| self.is_ours(leased)) else {
            return Ok(());
        };
        let Some(key) = keyed.key.as_ref().filter(|_| keyed.takes_back.is_none()) else { return Ok(()) };
        let conversation = ConversationKey::of(&leased.envelope.address);
        let is_replaced_by_newer = async {
            let noted = self.ledger.standing(&conversation, key).await?;
            let mine = (keyed.at, keyed.subject(leased.envelope.id.as_str()));
            // The run does not know the person's chat yet, so `conversation` is a placeholder for the chat.
            // In the record of the placeholder, the bot notes which alert with the key is the newest
            // (`noted`). This record does not say whether the key is firing. If the key is firing, the poller
            // skips an alert with the state `firing` and `again: skip`. A skipped alert must not take the
            // place of the alert in `leased`. To be safe, this check assumes that the key is firing (`true`).
            self.is_replaced_by_newer(&noted, mine, true).await
        };
        match is_replaced_by_newer.await {
            Ok(true) => Err(Outcome::Replaced(NEWER_WAITS.to_owned())),
            Ok(false) => Ok(()),
            Err(error) => Err(self.state_unknown(leased, &error)),
        }
    }

    /// Whether a newer alert with the key takes the place of this alert. A newer alert takes the place if a
    /// run has sent the newer alert, or sends it soon. The newer alert does not count in these cases:
    ///
    /// - It was cancelled, or its Put Message failed, or its final status is neither `delivered` nor
    ///   `replaced`. (It has the status `replaced` if a still newer alert has taken its place.)
    /// - It is not due yet.
    /// - It is overdue: no run has recorded a result in time.
    /// - The key is firing, and the newer alert has the state `firing` and `again: skip`. The poller skips
    ///   such an alert.
    ///
    /// `mine` is the place of this alert in the order of the alerts with the key.
    async fn is_replaced_by_newer(
        &self,
        standing: &Standing,
        mine: KeyOrder<'_>,
        is_firing: bool,
    ) -> Result<bool, TableError> {
        let latest = Some(standing.latest()).filter(|latest| *latest > mine);
        let Some(id) = latest.and_then(|(_, alert)| AlertId::parse(alert)) else { return Ok(false) };
        let (record, now) = (self.ledger.find(&id).await?, self.host.now());
        let record = record.filter(|record| {
            let keyed = record.keyed.as_deref().and_then(Keyed::from_note).unwrap_or_default();
            let is_skipped = is_firing && keyed.again == Again::Skip && keyed.state == KeyState::Firing;
            record.due_at.is_none_or(|due| due <= now) && !is_skipped
        });
        Ok(record.is_some_and(|record| match record.shown(now) {
            Shown::Status(status) => matches!(
                status,
                Status::Queued
                    | Status::Waiting
                    | Status::Unconfirmed
                    | Status::Delivered
                    | Status::Answered
                    | Status::Replaced
            ),
            Shown::DeliveredUnseen | Shown::Newer(_) => true,
            Shown::Cancelling | Shown::CancelledUnseen | Shown::Overdue => false,
        }))
    }

    /// Returns the next pause of a change that has to wait for the result of the changed alert. Returns
    /// `None` if the change need not wait. `leased` is the change, and `record` is the record of the changed
    /// alert. For the reason of the wait, see [`RESULT_WITHIN`].
    fn wait_for(&self, leased: &Leased, record: &Record) -> Option<Duration> {
        let waited = self.due_for(leased);
        let has_waited = record.cancelled_at.is_some() && waited >= RESULT_WITHIN;
        let has_ended = record.status.is_final() || record.is_settled(self.host.now());
        (!has_ended && !has_waited).then(|| (waited / 4).clamp(FIRST_PAUSE, LONGEST_PAUSE))
    }
}

/// Whether `standing` and `record` name the same chat message. `standing` is the record of the key, and
/// `record` is the record of the alert that is changed or taken back. The two records name different chat
/// messages if this alert was sent as a reply, or if a later alert with the key was sent as a new chat
/// message. If `record` names no chat message, the result is `true`.
fn names_same_message(record: Option<&Record>, standing: &Standing) -> bool {
    let changed = record.and_then(|record| record.activity_id.as_deref());
    changed.is_none_or(|id| standing.activity_id.as_deref() == Some(id))
}

/// Returns the address of the thread that contains the chat message to change or delete, if the alert goes to
/// a Teams channel. Returns `None` if the alert goes elsewhere, or if no record names a thread.
fn thread_of(
    leased: &Leased,
    record: Option<&Record>,
    standing: Option<&Standing>,
) -> Option<ConversationReference> {
    leased.envelope.creation.as_ref().filter(|creation| creation.of == CreationOf::Thread)?;
    let of_record = record.and_then(|record| record.thread.as_deref());
    let thread = of_record.or(standing.and_then(|standing| standing.thread.as_deref()))?;
    ConversationReference::from_fields(Fields::parse(thread.as_bytes()).ok()?).ok()
}

/// Decides about a job that takes an earlier alert back. `record` is the record of the earlier alert, and
/// `activity_id` is the id of the chat message to delete.
fn decide_taking_back(leased: &Leased, record: Option<&Record>, activity_id: Option<String>) -> Decision {
    if record.is_some_and(|record| record.status == Status::Withdrawn) {
        return Decision::IsShown(None, None);
    }
    if !can_change_messages(&leased.envelope.address.channel_id) {
        return Decision::Not(cannot_delete("channel: bots cannot delete messages on this channel"));
    }
    match activity_id {
        Some(id) => Decision::Send(ConnectorCall::Delete(id)),
        None => Decision::Not(cannot_delete("alert: the id of its message is unknown")),
    }
}

/// Decides about an alert that the conversation does not show yet, according to the alert's rule `again`.
fn decide_unshown(keyed: &Keyed, standing: Option<&Standing>, digest: &str) -> Decision {
    let Some(standing) = standing else { return Decision::Send(ConnectorCall::New) };
    let again = match (keyed.again, keyed.state) {
        // `skip` applies only to alerts with the state `firing`. An alert with the state `resolved` says that
        // the problem has ended, so the chat message has to show this alert.
        (Again::Skip, KeyState::Resolved) => Again::Update,
        (again, _) => again,
    };
    let has_content = standing.activity_id.is_some() && standing.digest == digest;
    if has_content && again.replaces() {
        return Decision::IsShown(standing.activity_id.clone(), Some(SAME_CONTENT));
    }
    match (again, &standing.activity_id) {
        _ if !standing.is_firing => Decision::Send(ConnectorCall::New),
        (Again::Skip, _) => Decision::Not(Outcome::Replaced(STILL_FIRING.to_owned())),
        (Again::Update, Some(id)) => Decision::Send(ConnectorCall::Change(id.clone())),
        (Again::Reply, Some(id)) => Decision::Send(ConnectorCall::Reply(id.clone())),
        (Again::New, _) | (_, None) => Decision::Send(ConnectorCall::New),
    }
}

/// Returns the digest (a hash) of an alert's content and state. An alert with the same text and another state
/// is new for the person, and has to be sent. So the digest contains the state.
fn digest_of(envelope: &Envelope, keyed: &Keyed, keys: Option<&QuestionKeys>) -> String {
    let message = message_of(envelope, keys).content();
    name_of(&[keyed.state.as_str(), &String::from_utf8_lossy(&message)])
}

fn cannot_delete(reason: &str) -> Outcome {
    let what_to_do = "delete the chat message by hand";
    Outcome::poison(PoisonReason::Permanent, format!("{reason}; {what_to_do}"))
}
