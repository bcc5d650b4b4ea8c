//! `PATCH /api/alerts/{id}`: changes an alert. `DELETE /api/alerts/{id}?sent=true`: takes back an alert that
//! was sent, i.e. deletes its chat message.
//!
//! Each of these API calls makes a *job*. A job is a queue message that changes an alert or takes an alert
//! back. A *change* is a job that changes an alert. Like an alert, a job has its own id, its own record in
//! the *ledger* (a table), and an *envelope* (the content of the queue message, as JSON). A *run* (one
//! execution of the poller) gets the job from the queue, and calls the Connector.

use std::time::Duration;

use bot_framework::ConversationReference;
use bot_framework::json::Fields;
use chrono::{DateTime, Utc};
use envelope::{Answers, Asked, Envelope, Keyed, QuestionKeys};
use http::{Request, StatusCode};
use platform::{Deadline, Host, Level, RequestBody, response};
use serde_json::json;
use state::ledger::{AlertId, CallId, Ledger, NewAlert, Period, Record, Shown, Status};
use state::runs::Withdrawal;
use state::{ConversationKey, StateError, of_key, without_thread};

use super::body::{AlertCall, take_content};
use super::caller::Caller;
use super::draft::{Draft, Recipient, message_of};
use super::grant::Scope;
use super::keyed::place;
use super::looks;
use super::status::is_alert;
use super::to::{Target, held_by_settings};
use crate::answered::Answered;
use crate::limits::MAX_BODY_BYTES;
use crate::outbox::{Outbox, log_failed_put};
use crate::pressing;
use crate::rejection::{AlertRejection, Rejection};
use crate::request::expect_json;
use crate::settings::{BotSettings, CallerSettings};

const WITHIN: Duration = Duration::from_secs(20);

const MEMBERS: &str = "one of the members text, activity, card, format, mentions, importance and notify";

/// An alert that a caller changes or takes back, and the alert's record. The caller can name the alert by the
/// id of the alert, or by the id of an earlier job for the alert.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) id: AlertId,
    pub(super) record: Record,
}

impl Subject {
    /// Finds an alert by its own id, or by the id of a job for the alert. If `sender` (the name of an API
    /// key) is set, finds only alerts of this sender. All other alerts count as unknown.
    pub(super) async fn find<H: Host>(
        ledger: &Ledger<'_, H>,
        id: AlertId,
        sender: Option<&str>,
    ) -> Result<Self, AlertRejection> {
        let is_known = |record: &Record| {
            is_alert(record) && sender.is_none_or(|sender| record.key.as_deref() == Some(sender))
        };
        let find = async |id: &AlertId| -> Result<Record, AlertRejection> {
            ledger.find(id).await?.filter(is_known).ok_or(AlertRejection::NoSuchAlert)
        };
        let record = find(&id).await?;
        match record.changes.as_deref().and_then(AlertId::parse) {
            None => Ok(Self { id, record }),
            Some(id) => Ok(Self { record: find(&id).await?, id }),
        }
    }

    /// Whether a run has sent the alert, according to the ledger.
    pub(super) fn was_sent(&self, now: DateTime<Utc>) -> bool {
        let shown = self.record.shown(now);
        matches!(shown, Shown::Status(Status::Delivered | Status::Answered) | Shown::DeliveredUnseen)
            || (self.record.replaced_by.is_some() && self.record.activity_id.is_some())
    }

    /// Whether the alert still waits on the queue. Returns `false` if a run has sent the alert, or if an
    /// earlier change has taken the alert's place. Returns an error if the alert has ended without being
    /// sent, for example because the alert was cancelled.
    fn waits(&self, now: DateTime<Utc>) -> Result<bool, AlertRejection> {
        if self.was_sent(now) || self.record.replaced_by.is_some() {
            return Ok(false);
        }
        match self.record.shown(now) {
            Shown::Status(Status::Queued | Status::Waiting | Status::Unconfirmed)
            | Shown::Overdue
            | Shown::Newer(_) => Ok(true),
            Shown::Status(status) => Err(AlertRejection::AlertNotChangeable(status)),
            Shown::Cancelling | Shown::CancelledUnseen | Shown::DeliveredUnseen => {
                Err(AlertRejection::AlertNotChangeable(Status::Cancelled))
            }
        }
    }

    /// Makes the envelope's field `keyed` for a job. [`Keyed::key`] is a hash of the alert key, i.e. of the
    /// member `key` of the API call. [`Keyed::at`] is a time. This time orders the alerts with the same
    /// alert key. The job gets the `key` and the `at` of the alert.
    fn keyed(&self) -> Keyed {
        let record = &self.record;
        let note = record.keyed.as_deref().and_then(Keyed::from_note).unwrap_or_default();
        Keyed { at: place(record.accepted_at.unwrap_or_default(), record.due_at), ..note }
    }
}

/// Changes an alert. If the alert still waits, the change takes the alert's place on the queue.
pub(super) async fn patch<H: Host>(
    host: &H,
    id: &str,
    request: Request<impl RequestBody>,
    caller: &Caller,
) -> Result<Answered, Rejection> {
    caller.require(Scope::Send)?;
    let id = AlertId::parse(id).ok_or(AlertRejection::NoSuchAlert)?;
    let settings = BotSettings::open(host, CallerSettings::read(host)?).await?;
    let (head, body) = request.into_parts();
    expect_json(&head.headers)?;
    let mut fields = Fields::of_request(&body.read(MAX_BODY_BYTES).await?).map_err(AlertRejection::from)?;
    let (text, mut activity) = take_content(&mut fields).map_err(AlertRejection::from)?;
    let mut look = looks::read(&mut fields, &text, &mut activity).map_err(AlertRejection::from)?;
    let notify = fields.boolean("notify").map_err(AlertRejection::from)?;
    if let Some(other) = fields.as_object().keys().next() {
        return Err(AlertRejection::from(fields.error(other, MEMBERS)).into());
    }
    let jobs = Jobs::new(host, &settings, caller);
    let subject = Subject::find(&jobs.ledger, id, Some(&caller.key)).await?;
    let waits = subject.waits(jobs.now)?;
    looks::resolve(host, &settings, caller, &text, &mut look).await?;
    let mut call = AlertCall::new(Vec::new(), text);
    (call.activity, call.look) = (activity, look);
    // If the alert is not due yet, the change is due at the same time as the alert.
    call.due = subject.record.due_at.filter(|due| *due > jobs.now);
    let keyed = Keyed { notify, edits: Some(subject.id.as_str().to_owned()), ..subject.keyed() };
    let asked = jobs.asked(&subject, &call).await?;
    jobs.queue(&subject, &call, keyed, waits, asked).await
}

/// Takes back an alert: puts a job on the queue. The poller later deletes the chat message.
pub(super) async fn take_back<H: Host>(
    host: &H,
    settings: &BotSettings,
    caller: &Caller,
    subject: &Subject,
) -> Result<Answered, Rejection> {
    let jobs = Jobs::new(host, settings, caller);
    let keyed = Keyed { takes_back: Some(subject.id.as_str().to_owned()), ..subject.keyed() };
    jobs.queue(subject, &AlertCall::new(Vec::new(), ""), keyed, false, None).await
}

/// Makes the jobs that change alerts or take them back.
struct Jobs<'a, H> {
    host: &'a H,
    settings: &'a BotSettings,
    caller: &'a Caller,
    ledger: Ledger<'a, H>,
    deadline: Deadline,
    now: DateTime<Utc>,
}

/// An alert's question. The text and the cards in `asked` already come from the change.
struct Question {
    keys: QuestionKeys,
    asked: Asked,
    /// The id of the record that holds the question. Usually, this is the record of the changed alert. If an
    /// earlier change took the alert's place, this is the record of the earlier change.
    holder: AlertId,
}

impl<'a, H: Host> Jobs<'a, H> {
    fn new(host: &'a H, settings: &'a BotSettings, caller: &'a Caller) -> Self {
        let deadline = Deadline::after(host, WITHIN);
        let ledger = Ledger::new(host, &settings.queue.account, &settings.tables, deadline);
        Self { host, settings, caller, ledger, deadline, now: host.now() }
    }

    /// Inserts the record of a job into the ledger, and puts the job on the queue.
    ///
    /// If `replaces` is true, the job takes the place of the alert `subject`: the bot cancels this alert. The
    /// bot first puts the job on the queue, and then cancels the alert. So if the Put fails, the queue still
    /// has the alert.
    async fn queue(
        &self,
        subject: &Subject,
        call: &AlertCall,
        keyed: Keyed,
        replaces: bool,
        asked: Option<Question>,
    ) -> Result<Answered, Rejection> {
        let target = self.target(subject, replaces).await?;
        let conversation = target.key.as_str();
        if let Some(held) = target.held {
            let shown = json!({
                "changes": subject.id.as_str(), "conversation": conversation, "status": held.status().as_str(),
            });
            return Ok(response::json(StatusCode::ACCEPTED, &shown).into());
        }
        let mut random = [0; 16];
        self.host.fill(&mut random);
        let id = CallId::random(Period::of(self.now), random).alert(0);
        let (sender, trace) = (self.caller.key.as_str(), self.caller.request_id.trace());
        let draft = Draft {
            call,
            targets: Vec::new(),
            now: self.now,
            sender,
            trace,
            is_first_page: true,
            next: None,
            asks: None,
        };
        let warnings = draft.warnings(&target)?;
        // A change that takes the place of an alert is sent as a new chat message. So quiet hours (the hours
        // in which the person wants no alerts) apply to the change.
        let due = if replaces { draft.due(&target) } else { call.due };
        let recipient = Recipient::of(&target, due);
        let envelope = draft.envelope(&id, &recipient, self.now);
        let (mut question, mut of_record, mut of_holder) = (None, None, None);
        if let Some(Question { keys, mut asked, holder }) = asked {
            let seal = |asked: &Asked, id: &AlertId| {
                let sealed = asked.seal(self.host, &keys, id.as_str());
                sealed.map_err(|json_bytes| AlertRejection::QuestionTooLarge { json_bytes })
            };
            if replaces {
                // The ledger stores the answer in a row, and the row's key contains an alert id (`lead`). If
                // the question takes only one answer, the alerts of one API call can share this row. So the
                // answer to the change also goes into this row: the question of the change keeps the `lead`,
                // although the change has a new id.
                let lead = asked.lead(holder.as_str()).to_owned();
                asked.question.lead = Some(lead).filter(|_| asked.question.answers == Answers::One);
                of_record = Some(seal(&asked, &id)?);
            } else {
                asked.question.alert = Some(holder.as_str().to_owned());
                of_holder = Some((seal(&asked, &holder)?, holder));
            }
            asked.question.until = Some(asked.until);
            let has_ended = asked.until <= self.now;
            question = Some(if has_ended { asked.question.ended() } else { asked.question });
        }
        let (keyed, creation) = (Some(keyed), target.creation.clone());
        let envelope = Envelope { keyed, creation, question, ..envelope };
        let message = message_of(self.settings, envelope, self.now)?;
        let record = NewAlert {
            due,
            question: of_record,
            tag: subject.record.tag.clone(),
            keyed: subject.record.keyed.clone(),
            changes: Some(subject.id.clone()),
            thread: target.channel_of_thread(),
            ..draft.record(id.clone(), conversation)
        };
        self.ledger.accept(&record).await.map_err(AlertRejection::from)?;
        if let Some((sealed, holder)) = of_holder {
            self.ledger.change_question(&holder, &sealed).await.map_err(AlertRejection::from)?;
        }
        let outbox = Outbox::new(self.host, self.settings, self.deadline);
        let put = outbox.put(&message).await;
        if let Err(error) = put.result {
            log_failed_put(self.host, &message.envelope, &error, put.is_doubtful);
            let ids = std::iter::once(&id);
            let noted = match put.is_doubtful {
                true => self.ledger.record_unconfirmed_put(ids).await,
                false => self.ledger.record_failed_put(ids).await,
            };
            if let Err(error) = noted {
                let fields = json!({"reason": error.to_string()});
                self.caller.event(self.host, Level::Warn, "ledger.not-noted", fields);
            }
            return Err(AlertRejection::ChangeNotQueued.into());
        }
        if replaces {
            self.cancel(&subject.id, &id).await.map_err(AlertRejection::ChangedNotCancelled)?;
        }
        let fields = json!({"envelope": id.as_str(), "changes": subject.id.as_str()});
        self.caller.event(self.host, Level::Info, "alert.changing", fields);
        let mut shown = json!({
            "id": id.as_str(), "changes": subject.id.as_str(), "conversation": conversation,
            "status": Status::Queued.as_str(),
        });
        if !warnings.is_empty() {
            shown["warnings"] = warnings.into();
        }
        let kick = self.settings.kick.clone().filter(|_| outbox.has_due());
        Ok(Answered::with_kick(response::json(StatusCode::ACCEPTED, &shown), kick))
    }

    /// Returns the question of the alert `subject`, with the content of the change `call`. Returns `None` if
    /// people cannot answer the alert. If an earlier change took the alert's place, the question is in the
    /// record of the earlier change.
    async fn asked(&self, subject: &Subject, call: &AlertCall) -> Result<Option<Question>, Rejection> {
        let mut holder = subject.id.clone();
        let mut sealed = subject.record.question.clone();
        if let Some(id) = subject.record.replaced_by.as_deref().and_then(AlertId::parse) {
            let found = self.ledger.find(&id).await.map_err(AlertRejection::from)?;
            (holder, sealed) = (id, found.and_then(|record| record.question));
        }
        let Some(sealed) = sealed else { return Ok(None) };
        let keys = pressing::keys(self.host, self.settings)?;
        let asked = Asked::open(&keys, holder.as_str(), &sealed);
        let (text, activity) = (call.text.clone(), call.activity.clone());
        Ok(asked.map(|asked| Question { keys, asked: Asked { text, activity, ..asked }, holder }))
    }

    /// Cancels the alert `id`, because the change `other` takes the alert's place.
    ///
    /// Perhaps a run sent the alert just before the cancellation. So the poller delays the change until the
    /// ledger has the final status of the alert. The delay is at most about a minute. If a run has sent the
    /// alert, the poller changes the alert's chat message.
    async fn cancel(&self, id: &AlertId, other: &AlertId) -> Result<(), StateError> {
        self.ledger.withdraw_for(id, other).await?;
        let withdrawal = Withdrawal::Cancelled(id.as_str().to_owned());
        Ok(self.settings.withdrawals(self.host, self.deadline).record(&withdrawal).await?)
    }

    /// Returns the conversation to which the job goes: the conversation of the alert, or the channel in which
    /// the alert starts a thread. Returns an error if the bot does not know the conversation, or if the
    /// caller is not allowed to reach the conversation. The kind of error depends on `waits`, i.e. on whether
    /// the alert still waits.
    async fn target(&self, subject: &Subject, waits: bool) -> Result<Target, AlertRejection> {
        let Subject { record, .. } = subject;
        let channel = record.thread.as_deref().and_then(channel_of);
        let key = match &channel {
            Some(channel) => ConversationKey::of(channel),
            None => ConversationKey::parse(&record.conversation).ok_or(AlertRejection::NoSuchAlert)?,
        };
        let book = self.settings.conversations(self.host, self.deadline);
        let known = book.get_all([key.clone()]).await?;
        let known = of_key(&known, &key);
        let target = match channel {
            Some(channel) => {
                let untrusted = held_by_settings(&channel, self.settings);
                let target = Target::thread_in(channel, known);
                Some(Target { held: target.held.or(untrusted), ..target })
            }
            None => {
                let conversation = known.and_then(|known| known.conversation.clone());
                conversation.map(|conversation| Target::known(key, conversation, self.settings))
            }
        };
        let path = "id".to_owned();
        match target.filter(|target| self.caller.grant.reaches(&target.address)) {
            Some(target) => Ok(Target { path: Some(path), ..target }),
            None if waits => Err(AlertRejection::ConversationNotThere),
            None => Err(AlertRejection::UnknownTarget { path }),
        }
    }
}

/// Returns the address of the channel that contains a thread. `thread` is the address of the thread, as JSON.
fn channel_of(thread: &str) -> Option<ConversationReference> {
    let mut address = ConversationReference::from_fields(Fields::parse(thread.as_bytes()).ok()?).ok()?;
    address.conversation.id = without_thread(&address.conversation.id).to_owned();
    Some(address)
}
