//! Shares a person's answer. An answer to one alert can also concern these other alerts:
//!
//! - The other alerts of the same API call, if all these alerts share one answer. (An API call makes one
//!   alert for each recipient.)
//! - The later alerts of an *escalation*. The poller sends these alerts only if no person answers.
//!
//! A *job* is a queue message that sends no alert. The first job for an answer passes the answer on to a
//! program (`answer.rs`). When the poller carries out the first job, it cancels the other alerts that were
//! not sent yet. If the alerts share one answer, the poller also puts a second job on the queue for each
//! other alert that was sent, or was perhaps sent. The second job records the answer for the other alert, and
//! changes the other alert's card (the chat message with the question).

use bot_framework::ConversationReference;
use chrono::{DateTime, Utc};
use envelope::{Answer, AnswerJob, Asked, Envelope, EnvelopeId, Steps};
use futures_util::{StreamExt, TryStreamExt, stream};
use platform::{Host, name_of};
use state::ledger::{AlertId, Record, Shown, Status};
use state::runs::Withdrawal;
use state::{ConversationKey, of_key};
use storage_queue::{PutOptions, QueueError, TimeToLive};

use super::answer::{AnswerWork, MAX_CARD_TRIES, store_steps};
use super::{Attempts, Outcome};
use crate::schedule::Leased;

/// The most Put Message calls that the poller makes at the same time for one job.
const PUTS_AT_ONCE: usize = 8;

impl<H: Host> Attempts<'_, H> {
    /// Cancels the other alerts that the answer makes unnecessary. Puts a second job on the queue for each
    /// other alert whose card has to show the answer. If a storage call fails, returns `Err` with the outcome
    /// of the job `leased`.
    pub(super) async fn cancel_or_show_others(
        &self,
        leased: &Leased,
        work: &AnswerWork,
    ) -> Result<(), Outcome> {
        let AnswerWork { alert, asked, .. } = work;
        let mut ids: Vec<AlertId> = asked.escalations.iter().filter_map(|id| AlertId::parse(id)).collect();
        ids.extend(AlertId::parse(asked.lead(alert.as_str())).filter(|_| asked.shared));
        if ids.is_empty() {
            return Ok(());
        }
        let unknown = |error: &dyn std::error::Error| self.state_unknown(leased, error);
        let records = self.ledger.alerts_of_calls(&ids).await.map_err(|error| unknown(&error))?;
        let now = self.host.now();
        let mut showing = Vec::new();
        for record in records {
            let Some(id) = AlertId::parse(&record.id).filter(|id| id != alert) else { continue };
            let is_perhaps_sent = match record.shown(now) {
                Shown::Status(Status::Queued | Status::Waiting | Status::Unconfirmed) | Shown::Overdue => {
                    self.ledger.withdraw(&id, None).await.map_err(|error| unknown(&error))?;
                    // This function also records the cancellation as a *withdrawal*, in a list that each run
                    // reads. The reason is that a run does not always read an alert's record before it sends
                    // the alert.
                    let withdrawal = Withdrawal::Cancelled(id.as_str().to_owned());
                    self.answers.withdrawals.record(&withdrawal).await.map_err(|error| unknown(&error))?;
                    record.due_at.is_none_or(|due| due <= now)
                }
                Shown::Cancelling => record.due_at.is_none_or(|due| due <= now),
                Shown::Status(Status::Delivered | Status::Dropped | Status::Answered)
                | Shown::DeliveredUnseen => true,
                _ => false,
            };
            if is_perhaps_sent && asked.shared {
                showing.extend(ConversationKey::parse(&record.conversation).map(|key| (id, key)));
            }
        }
        let known = self.conversations.get_all(showing.iter().map(|(_, key)| key.clone())).await;
        let known = known.map_err(|error| unknown(&error))?;
        let put = async |(id, key): (AlertId, ConversationKey)| {
            let conversation = of_key(&known, &key).and_then(|known| known.conversation.as_ref());
            match conversation {
                Some(conversation) => self.put_job(leased, work, &id, &conversation.address).await,
                None => Ok(()),
            }
        };
        let put = &put;
        let all = stream::iter(showing).map(Ok).try_for_each_concurrent(PUTS_AT_ONCE, put).await;
        all.map_err(|error| unknown(&error))
    }

    async fn put_job(
        &self,
        leased: &Leased,
        AnswerWork { row, press, answer, .. }: &AnswerWork,
        alert: &AlertId,
        address: &ConversationReference,
    ) -> Result<(), QueueError> {
        let id = EnvelopeId::from_text(name_of(&["show", alert.as_str(), press]));
        let mut job = Envelope::new(id, address.clone(), "", self.host.now());
        job.answer = Some(AnswerJob::Answer {
            alert: alert.as_str().to_owned(),
            lead: None,
            shows: true,
            row: row.clone(),
            press: press.clone(),
            answer: Box::new(answer.clone()),
            card: None,
            done: Steps::default(),
        });
        job.traceparent.clone_from(&leased.envelope.traceparent);
        // The second job is only a little longer than the job `leased`, which fits into a queue message. If
        // the second job does not fit, this function does not put it on the queue, and the card stays as it
        // is.
        let Ok(text) = job.encode(self.seal_key) else { return Ok(()) };
        let options = PutOptions { time_to_live: TimeToLive::Never, ..PutOptions::default() };
        self.queue.put_marking_copies(&text, options, || None).await.result
    }

    /// Carries out a second job. A person has answered another alert, and `alert` shares this answer. Records
    /// the answer for `alert`, and changes the card of `alert`.
    pub(super) async fn show_answer(
        &self,
        leased: &mut Leased,
        alert: AlertId,
        answer: Answer,
        done: Steps,
    ) -> Outcome {
        let record = match self.ledger.find(&alert).await {
            Ok(Some(record)) => record,
            Ok(None) => return Outcome::AlreadyEnded(None),
            Err(error) => return self.state_unknown(leased, &error),
        };
        let may_try_again = done.tries + 1 < MAX_CARD_TRIES;
        let again = Steps { tries: done.tries + 1, ..done };
        if !was_perhaps_sent(&record, self.host.now()) {
            if record.status.is_final() || !may_try_again {
                return Outcome::AlreadyEnded(None);
            }
            store_steps(leased, again);
            return self.again(leased, "alert: no run has recorded yet whether it was sent", None);
        }
        let Some(keys) = self.question_keys() else { return Outcome::AlreadyEnded(None) };
        let sealed = record.question.as_deref().unwrap_or_default();
        let Some(asked) = Asked::open(keys, alert.as_str(), sealed) else {
            return Outcome::AlreadyEnded(None);
        };
        if record.answered_at.is_none() {
            let sealed = answer.seal(self.host, keys, alert.as_str(), "");
            if let Err(error) = self.ledger.record_answer(&alert, &sealed, answer.at).await {
                return self.state_unknown(leased, &error);
            }
        }
        self.close_question(leased, &alert).await;
        let (row, press) = (String::new(), String::new());
        let work = AnswerWork { alert, row, press, answer, card: None, record, asked };
        match self.change_card(leased, &work).await {
            Some(verdict) if may_try_again => {
                store_steps(leased, again);
                self.again(leased, &verdict.reason, verdict.retry_after)
            }
            _ => Outcome::JobDone,
        }
    }
}

/// Whether the ledger shows that the alert was sent (`Delivered`, `Answered`), or was perhaps sent
/// (`Dropped`, `DeliveredUnseen`).
fn was_perhaps_sent(record: &Record, now: DateTime<Utc>) -> bool {
    let shown = record.shown(now);
    matches!(shown, Shown::DeliveredUnseen)
        || matches!(shown, Shown::Status(Status::Delivered | Status::Dropped | Status::Answered))
}
