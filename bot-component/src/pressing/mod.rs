//! Stores people's answers to questions: a person presses a button, or writes a text. A *question* is an
//! alert that people can answer.
//!
//! To store an answer, the bot makes three storage calls in parallel. The bot reads the alert's record in the
//! *ledger* (a table with one record for each alert), inserts a row with the answer into the same table, and
//! puts a *job* on the queue. A job is a queue message that holds the answer instead of an alert. The poller
//! gets the job, passes the answer to the alert's sender, and changes the card for the other people.
//!
//! The table service refuses a second row with the same key. For example, if a question takes one answer, the
//! answers of all people have the same key, so only the first answer counts.
//!
//! An API call can send alerts to several conversations. The call can also name an *escalation*: further
//! conversations that get the alert later, if no person answers in time. With `answers: one`, the first
//! answer counts for all these alerts. So all these alerts share one row. The key of this row holds the id of
//! the *lead*, which is the first alert of the call.
//!
//! | to change | look in |
//! |---|---|
//! | what counts as an answer | this file |
//! | what the person sees | `shown.rs` |

mod shown;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bot_framework::outbound::question_keys;
use bot_framework::{Activity, ActivityKind, ConversationReference};
use chrono::{DateTime, Utc};
use envelope::{
    Answer, AnswerJob, Answers, Asked, By, Envelope, EnvelopeId, Press, QuestionKeys, Steps, TooLarge,
    filled_in,
};
use futures_util::future::{join, join3};
use platform::{Deadline, Host, Level, Settings, SettingsError, Traceparent, hex, name_of};
use serde_json::{Value, json};
use state::ConversationKey;
use state::ledger::{AlertId, Ledger, Record, Status, StoredAnswer};
use storage_queue::{Put, PutOptions};
use storage_table::TableError;

use crate::conversation::Addressed;
use crate::outbox::{Message, Outbox, log_failed_put, put_options};
use crate::settings::BotSettings;

#[cfg(test)]
pub(crate) use shown::{NOT_RECORDED, OVER, UNKNOWN};

/// The longest time for storing an answer. After a press of a button, a channel (a messaging service such as
/// Teams) waits 10 s for the bot's response.
const STORE_WITHIN: Duration = Duration::from_secs(7);

/// The name of the invoke activity that a press of an Adaptive Card's button sends.
const CARD_ACTION: &str = "adaptiveCard/action";

/// The text between the two ids in the conversation id of a Teams thread. The whole conversation id is
/// `<id of the Teams channel>;messageid=<id of the first message>`.
const OF_THREAD: &str = ";messageid=";

/// Reads the keys for questions. The bot signs the buttons with these keys, and encrypts the questions and
/// answers with them.
pub(crate) fn keys(settings: &impl Settings, bot: &BotSettings) -> Result<QuestionKeys, SettingsError> {
    Ok(QuestionKeys::new(&question_keys(settings, bot.bot.as_ref(), bot.queue.name.as_str())?))
}

/// Returns the data of the button that a person has pressed. Returns `None` if the activity is no press, or
/// if the data do not have the form of the bot's buttons. The data can be forged, because this function does
/// not check the HMAC of the data.
pub(crate) fn data_of(activity: &Activity) -> Option<&Value> {
    let value = activity.rest.get("value")?;
    let data = match activity.kind {
        ActivityKind::Invoke if activity.rest.get("name")? == CARD_ACTION => {
            value.get("action")?.get("data")?
        }
        ActivityKind::Message => value,
        _ => return None,
    };
    Press::is_in(data).then_some(data)
}

/// The result of the attempt to store an answer.
#[derive(Debug)]
pub(crate) enum Recorded {
    /// The answer counts.
    Counted(Stored),
    /// The answer does not count, because the same person or another person has answered before. The value is
    /// the earlier answer, or `None` if the bot cannot read the earlier answer.
    Before(Option<Stored>),
    /// The question has ended, the sender has deleted the alert, or the ledger has no record of the alert. If
    /// the sender deletes the alert before the delivery, the alert is *cancelled*. If the sender deletes the
    /// alert after the delivery, the alert is *taken back*.
    Over,
    /// The bot did not make the button, or made it for another conversation.
    Unknown,
    /// The answer is too long.
    TooLong,
    /// The answer is perhaps lost. The person has to answer again.
    Doubtful,
}

/// An answer that counts, with its question if the bot can read the question.
#[derive(Debug)]
pub(crate) struct Stored {
    alert: AlertId,
    until: DateTime<Utc>,
    asked: Option<Asked>,
    answer: Answer,
}

/// Stores one answer of a person, and makes the bot's reply to the answer.
pub(crate) struct Answering<'a, H> {
    host: &'a H,
    settings: &'a BotSettings,
    keys: QuestionKeys,
    conversation: &'a Addressed,
    trace: Option<&'a Traceparent>,
    ledger: Ledger<'a, H>,
    outbox: Outbox<'a, H>,
}

/// An answer, before it is stored.
struct Candidate {
    alert: AlertId,
    /// The lead: the alert whose id is in the key of the answer's row.
    lead: AlertId,
    answers: Answers,
    until: DateTime<Utc>,
    answer: Answer,
    /// The id of the chat message with the button.
    card: Option<String>,
    /// The id of the activity that brought the answer.
    activity: Option<String>,
}

impl<'a, H: Host> Answering<'a, H> {
    pub(crate) fn new(
        host: &'a H,
        settings: &'a BotSettings,
        conversation: &'a Addressed,
        trace: Option<&'a Traceparent>,
    ) -> Result<Self, SettingsError> {
        let deadline = Deadline::after(host, STORE_WITHIN);
        Ok(Self {
            host,
            settings,
            keys: keys(host, settings)?,
            conversation,
            trace,
            ledger: Ledger::new(host, &settings.queue.account, &settings.tables, deadline),
            outbox: Outbox::new(host, settings, deadline),
        })
    }

    /// Whether the queue has (or perhaps has, after a failed attempt) a job of this `Answering`. If so, the
    /// bot has to send the kick (the call that starts the poller).
    pub(crate) fn has_due(&self) -> bool {
        self.outbox.has_due()
    }

    fn address(&self) -> &ConversationReference {
        &self.conversation.address
    }

    /// Stores the answer that a press of a button gives. The bot makes no storage call if the bot did not
    /// make the button, or if the question has ended.
    pub(crate) async fn press(&self, activity: &Activity, data: &Value) -> Recorded {
        let now = self.host.now();
        let genuine = Press::of(data, &self.keys).filter(|press| self.is_here(&press.conversation));
        let genuine = genuine.and_then(|press| {
            let alert = AlertId::parse(&press.alert)?;
            let lead = press.lead.as_deref().map_or(Some(alert.clone()), AlertId::parse)?;
            Some((alert, lead, press))
        });
        let Some((alert, lead, press)) = genuine else {
            self.log(Level::Warn, "answer.refused", json!({"reason": "not a button of this conversation"}));
            return Recorded::Unknown;
        };
        if press.until <= now {
            return Recorded::Over;
        }
        let (input, fields) = filled_in(data);
        let answer =
            Answer { action: press.action, input, data: fields, at: now, by: By::of(self.address()) };
        let candidate = Candidate {
            alert,
            lead,
            answers: press.answers,
            until: press.until,
            answer,
            card: activity.rest.get("replyToId").and_then(Value::as_str).map(str::to_owned),
            activity: activity.id.clone(),
        };
        let record = self.ledger.find(&candidate.alert);
        self.store(&candidate, record).await
    }

    /// Stores a person's text as the answer to the open question of `alert` (an alert id). Returns `None` if
    /// the alert has no open question, or if the text does not answer the question. Returns an error if the
    /// bot cannot read the alert's record.
    pub(crate) async fn text(
        &self,
        activity: &Activity,
        alert: &str,
        text: &str,
    ) -> Result<Option<Recorded>, TableError> {
        let Some(alert) = AlertId::parse(alert) else { return Ok(None) };
        let found = self.ledger.find(&alert).await;
        let Some(record) = found.inspect_err(|error| self.log_error("answer.question-not-read", error))?
        else {
            return Ok(None);
        };
        let Some(candidate) = self.text_candidate(activity, alert, &record, text) else { return Ok(None) };
        Ok(Some(self.store(&candidate, async { Ok(Some(record)) }).await))
    }

    /// Makes a candidate from a person's text. Returns `None` if the alert has no open question, or if the
    /// text does not answer the question.
    fn text_candidate(
        &self,
        activity: &Activity,
        alert: AlertId,
        record: &Record,
        text: &str,
    ) -> Option<Candidate> {
        let asked = Asked::open(&self.keys, alert.as_str(), record.question.as_deref()?)?;
        let now = self.host.now();
        let until = asked.until;
        let is_answered = record.answered_at.is_some() && asked.question.answers == Answers::One;
        if is_answered || is_ended(record) || until <= now {
            return None;
        }
        let words = envelope::words::Words::of(self.address());
        let (action, input) = asked.question.answer_of(text, words, !asked.question.reply)?;
        let (by, data) = (By::of(self.address()), serde_json::Map::new());
        let answer = Answer { action, input, data, at: now, by };
        let (answers, activity) = (asked.question.answers, activity.id.clone());
        let lead = AlertId::parse(asked.lead(alert.as_str()))?;
        Some(Candidate { alert, lead, answers, until, answer, card: None, activity })
    }

    /// Whether a button belongs to this conversation. `conversation` is the conversation key in the button's
    /// data. An alert to a Teams channel begins a thread: the button has the conversation key of the channel,
    /// but the press comes from the conversation of the thread.
    fn is_here(&self, conversation: &str) -> bool {
        let Addressed { address, key } = self.conversation;
        let of_channel = || {
            let (channel, _) = address.conversation.id.split_once(OF_THREAD)?;
            let mut address = address.clone();
            address.conversation.id = channel.to_owned();
            Some(ConversationKey::of(&address))
        };
        key.as_str() == conversation || of_channel().is_some_and(|key| key.as_str() == conversation)
    }

    /// Reads the alert's record, inserts the answer's row, and puts the job on the queue, all in parallel.
    ///
    /// If the record is missing, or the alert was cancelled or taken back, the bot then deletes:
    ///
    /// - nothing, if the row already held another answer;
    /// - only the job, if the record already shows an answer;
    /// - the job and the row in all other cases.
    async fn store(
        &self,
        candidate: &Candidate,
        record: impl Future<Output = Result<Option<Record>, TableError>>,
    ) -> Recorded {
        let Candidate { alert, lead, answers, until, answer, .. } = candidate;
        let row = self.row_of(candidate);
        let press = press_id(alert, &row, answer);
        let Ok(message) = self.job(candidate, &row, &press, answer) else { return Recorded::TooLong };
        let sealed = answer.seal(self.host, &self.keys, lead.as_str(), &row);
        let insert = self.ledger.insert_answer(lead, &row, (&press, &sealed), *until);
        let (record, inserted, put) = join3(record, insert, self.outbox.put(&message)).await;
        let is_put = self.is_put(&message, &put);
        let is_anothers = |inserted: &Result<Option<StoredAnswer>, _>| {
            inserted.as_ref().is_ok_and(|known| known.as_ref().is_some_and(|known| known.press != press))
        };
        let record = match record {
            Ok(found) if found.as_ref().is_none_or(is_ended) && !is_anothers(&inserted) => {
                // If the record already shows an answer, the row can hold the answer that counts for all
                // alerts of the call. So the row stays.
                let was_answered = found.is_some_and(|record| record.answered_at.is_some());
                let delete = async {
                    match was_answered {
                        true => Ok(()),
                        false => self.ledger.delete_answer(lead, &row, &press).await,
                    }
                };
                if let (Err(error), ()) = join(delete, self.outbox.take_back(&put)).await {
                    self.log_error("answer.not-taken-back", &error);
                }
                return Recorded::Over;
            }
            Ok(found) => found,
            Err(error) => {
                self.log_error("answer.question-not-read", &error);
                None
            }
        };
        let sealed = record.as_ref().and_then(|record| record.question.as_deref());
        let asked = sealed.and_then(|sealed| Asked::open(&self.keys, alert.as_str(), sealed));
        let stored = |answer| Stored { alert: alert.clone(), until: *until, asked, answer };
        match inserted {
            Err(error) => {
                // The row is missing. If the job is on the queue, the poller inserts the row later. If not,
                // the answer is lost.
                self.log_error("answer.not-stored", &error);
                Recorded::Doubtful
            }
            Ok(known) if known.as_ref().is_none_or(|known| known.press == press) => {
                if !is_put {
                    return Recorded::Doubtful;
                }
                let fields =
                    json!({"envelope": alert.as_str(), "action": answer.action, "mode": answers.as_str()});
                self.log(Level::Info, "answer.stored", fields);
                Recorded::Counted(stored(answer.clone()))
            }
            Ok(None) => Recorded::Doubtful,
            Ok(Some(known)) => {
                let first = Answer::open(&self.keys, lead.as_str(), &row, &known.answer);
                // Perhaps the bot stored the row of this person's first press, but could not put the job of
                // that press on the queue. So the bot now puts that job on the queue.
                let is_own = first.as_ref().is_some_and(|first| first.by.id == answer.by.id);
                if let Some(first) = first.as_ref().filter(|_| is_own && !known.is_done)
                    && let Ok(message) = self.job(candidate, &row, &known.press, first)
                {
                    let put = self.outbox.put(&message).await;
                    self.is_put(&message, &put);
                }
                Recorded::Before(first.map(stored))
            }
        }
    }

    fn is_put(&self, message: &Message, put: &Put) -> bool {
        match &put.result {
            Ok(()) => true,
            Err(error) => {
                log_failed_put(self.host, &message.envelope, error, put.is_doubtful);
                false
            }
        }
    }

    /// The name of an answer's row: the last part of the row key. If the alert takes one answer, all people
    /// share one row. If the alert takes one answer of each person, each person has a row. If the alert takes
    /// many answers, each activity has a row.
    fn row_of(&self, Candidate { answers, answer, activity, .. }: &Candidate) -> String {
        let person = answer.by.id.as_deref().unwrap_or_default();
        match answers {
            Answers::One => "one".to_owned(),
            Answers::Each => name_of(&["each", person]),
            Answers::Many => match activity {
                Some(activity) => name_of(&["many", person, activity]),
                None => {
                    let mut bytes = [0; 16];
                    self.host.fill(&mut bytes);
                    hex(&bytes)
                }
            },
        }
    }

    /// Makes the job for the poller. The job's id is made from `press` (see [`press_id`]).
    fn job(
        &self,
        candidate: &Candidate,
        row: &str,
        press: &str,
        answer: &Answer,
    ) -> Result<Message, TooLarge> {
        let now = self.host.now();
        let id = EnvelopeId::from_text(press);
        let mut envelope = Envelope::new(id, self.address().clone(), "", now);
        envelope.answer = Some(AnswerJob::Answer {
            alert: candidate.alert.as_str().to_owned(),
            lead: Some(candidate.lead.as_str().to_owned()).filter(|lead| lead != candidate.alert.as_str()),
            shows: false,
            row: row.to_owned(),
            press: press.to_owned(),
            answer: Box::new(answer.clone()),
            card: candidate.card.clone(),
            done: Steps::default(),
        });
        envelope.traceparent = self.trace.cloned();
        let text = envelope.encode(self.settings.seal_key.as_ref())?;
        let options = PutOptions { reads_receipt: true, ..put_options(&envelope, now) };
        Ok(Message { envelope, text, options })
    }

    fn log(&self, level: Level, event: &str, mut fields: Value) {
        fields["conversation"] = self.conversation.key.as_str().into();
        self.host.event(level, event, Traceparent::add_to(self.trace, fields));
    }

    fn log_error(&self, event: &str, error: &TableError) {
        self.log(Level::Error, event, json!({"reason": error.to_string()}));
    }
}

/// The id of a press, or of a text that answers a question. If the same person gives the same answer again,
/// and the answer has the same row, the id is the same.
fn press_id(alert: &AlertId, row: &str, answer: &Answer) -> String {
    let person = answer.by.id.as_deref().unwrap_or_default();
    let input = answer.input.as_deref().unwrap_or_default();
    let data = Value::Object(answer.data.clone()).to_string();
    name_of(&["press", alert.as_str(), row, person, &answer.action, input, &data])
}

/// Whether the alert was cancelled or taken back. The alert's buttons can still be on a screen.
fn is_ended(record: &Record) -> bool {
    matches!(record.shown_status(), Status::Cancelled | Status::Withdrawn)
}
