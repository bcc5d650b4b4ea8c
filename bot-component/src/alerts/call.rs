//! `POST /api/alerts`: makes the alerts of an API call. For each alert, the bot inserts a record into the
//! *ledger* (a table), and puts a message on the queue. The message holds an *envelope*, i.e. the alert as
//! JSON. A *Put* is the storage call that puts a message on the queue. A *run* is one execution of the
//! poller.
//!
//! The bot splits the conversations of a call into *pages* of at most 100, and processes one page after the
//! other. If the call has an *escalation*, the bot also makes alerts for further conversations. The poller
//! sends these alerts later, and only if no person answers the call's question.

use std::time::Duration;

use bot_framework::json::Fields;
use chrono::{DateTime, Utc};
use envelope::Envelope;
use http::Request;
use platform::{Deadline, Host, Level, RequestBody};
use serde_json::{Map, json};
use state::ledger::{Accepted as InLedger, AlertId, CallId, Ledger, NewAlert, Period, Status};
use state::{ConversationKey, of_key};

use super::asks::Asks;
use super::body::{AlertCall, Identity};
use super::caller::Caller;
use super::draft::{Alert, Draft, Recipient};
use super::grant::Scope;
use super::identity::{self, Earlier, NewOrRepeated};
use super::looks;
use super::paging::{self, Cursor, Page};
use super::sending::Sending;
use crate::answered::Answered;
use crate::limits::{MAX_BODY_BYTES, MAX_PAGES};
use crate::outbox::{Outbox, log_failed_put};
use crate::rejection::{AlertRejection, Rejection};
use crate::request::expect_json;
use crate::settings::{BotSettings, CallerSettings};

/// The longest time for all storage calls that the bot makes for one request. Hosted platforms end a request
/// after 30 s.
const STORE_WITHIN: Duration = Duration::from_secs(20);

/// The longest time from the request to the response. If the bot begins late to store the alerts, the storage
/// calls get less time than [`STORE_WITHIN`].
const RESPONSE_WITHIN: Duration = Duration::from_secs(27);

/// The bot begins no page after this time, so that each page ends before [`RESPONSE_WITHIN`] has passed.
const PAGES_WITHIN: Duration = Duration::from_secs(10);

/// The longest time for looking up *moved* conversations. If a caller repeats a call, perhaps a conversation
/// has moved to another page since the earlier call. The bot then does not find the conversation's address
/// on the page. So the bot looks up the address in the table of conversations.
const AGAIN_WITHIN: Duration = Duration::from_secs(4);

pub(super) async fn post<H: Host>(
    host: &H,
    request: Request<impl RequestBody>,
    caller: &Caller,
) -> Result<Answered, Rejection> {
    let begin = host.monotonic();
    caller.require(Scope::Send)?;
    let settings = BotSettings::open(host, CallerSettings::read(host)?).await?;
    let (head, body) = request.into_parts();
    expect_json(&head.headers)?;
    let mut fields = Fields::of_request(&body.read(MAX_BODY_BYTES).await?).map_err(AlertRejection::from)?;
    let at = Cursor::take(&mut fields).map_err(AlertRejection::from)?;
    let identity = Identity::of(&fields, &caller.key);
    let mut call = AlertCall::read(fields, host.now());
    if let Ok(AlertCall { text, look, .. }) = &mut call {
        looks::resolve(host, &settings, caller, text, look).await?;
    }
    let sending = send(host, &settings, caller, call, identity, at, begin).await?;
    Ok(sending.into_answered(Map::new()))
}

/// Puts the alerts of an API call on the queue, page by page. `at` is the beginning of the first page to
/// process. If `at` is `None`, the function begins with the first conversation of the call. `begin` is the
/// time of the request on the monotonic clock.
///
/// `call` is the checked call, or the reason why the bot refuses the call. Before the bot refuses a call with
/// an `identity`, the bot looks for an earlier call with the same idempotency key and the same body. If there
/// is an earlier call, the response shows the alerts of the earlier call. For example, the bot would refuse
/// the repeated call, because the time in `expires` has passed since the earlier call.
pub(super) async fn send<H: Host>(
    host: &H,
    settings: &BotSettings,
    caller: &Caller,
    call: Result<AlertCall, AlertRejection>,
    identity: Option<Identity>,
    mut at: Option<Cursor>,
    begin: Duration,
) -> Result<Sending, Rejection> {
    let left = RESPONSE_WITHIN.saturating_sub(host.monotonic().saturating_sub(begin));
    let deadline = Deadline::after(host, STORE_WITHIN.min(left));
    let call_sender = CallSender {
        host,
        settings,
        caller,
        ledger: Ledger::new(host, &settings.queue.account, &settings.tables, deadline),
        outbox: Outbox::new(host, settings, deadline),
        identity,
        call,
        now: host.now(),
        named: paging::Named::new(),
    };
    let mut sent: Vec<Sent> = Vec::new();
    loop {
        match call_sender.page(at.as_ref()).await {
            Ok(page) => {
                at = page.next.clone();
                sent.push(page);
            }
            Err(rejection) if sent.is_empty() => return Err(rejection),
            // The alerts of the earlier pages are on the queue, so the response lists these alerts. The
            // `next` of the response names the page that failed.
            Err(rejection) => {
                caller.event(host, Level::Error, "alerts.interrupted", json!({"reason": rejection.reason()}));
                break;
            }
        }
        let is_late = host.monotonic().saturating_sub(begin) >= PAGES_WITHIN;
        let is_broken = sent.last().is_some_and(|page| page.failed > 0);
        if at.is_none() || is_broken || is_late || sent.len() >= MAX_PAGES {
            break;
        }
    }
    Ok(call_sender.finish(sent, at.as_ref()).await)
}

/// Puts the alerts of one call on the queue.
struct CallSender<'a, H> {
    host: &'a H,
    settings: &'a BotSettings,
    caller: &'a Caller,
    ledger: Ledger<'a, H>,
    outbox: Outbox<'a, H>,
    identity: Option<Identity>,
    /// The checked call, or the reason why the bot refuses the call. [`send`] explains how the bot uses this
    /// reason.
    call: Result<AlertCall, AlertRejection>,
    now: DateTime<Utc>,
    named: paging::Named,
}

/// The alerts of one page of a call, after the ledger has accepted them, i.e. has stored their records.
#[derive(Debug)]
struct Accepted {
    alerts: Vec<Alert>,
    /// The alerts of the call's escalation.
    escalations: Vec<Alert>,
    next: Option<Cursor>,
}

/// The alerts of one page of a call, after the bot has put their messages on the queue.
#[derive(Debug)]
struct Sent {
    alerts: Vec<Alert>,
    escalations: Vec<Alert>,
    /// The number of alerts whose Put failed, had an unknown result, or never began.
    failed: usize,
    next: Option<Cursor>,
}

impl<H: Host> CallSender<'_, H> {
    /// Accepts the alerts of the page that begins at `at`, and puts them on the queue.
    async fn page(&self, at: Option<&Cursor>) -> Result<Sent, Rejection> {
        let identity = self.identity.as_ref().map(|identity| identity.of_page(at));
        let accepted = match self.draft(at).await {
            Ok(draft) => self.accept(&draft, identity.as_ref()).await?,
            // Perhaps the bot accepted the same call earlier, as the function `send` explains.
            Err(rejection) => match self.earlier(identity.as_ref()).await? {
                Some(accepted) => accepted,
                None => return Err(rejection),
            },
        };
        Ok(self.put(accepted).await)
    }

    async fn draft(&self, at: Option<&Cursor>) -> Result<Draft<'_>, Rejection> {
        let call = self.call.as_ref().map_err(AlertRejection::clone)?;
        let Page { targets, next } =
            paging::read(self.host, self.settings, self.caller, &call.to, at, &self.named).await?;
        let (trace, sender) = (self.caller.request_id.trace(), self.caller.key.as_str());
        let is_only_page = at.is_none() && next.is_none();
        let asks = Asks::read(self.host, self.settings, self.caller, call, is_only_page).await?;
        Ok(Draft { call, targets, now: self.now, sender, trace, is_first_page: at.is_none(), next, asks })
    }

    /// Accepts the alerts of the page in the ledger. If an earlier call had the same idempotency key, returns
    /// the alerts of that call instead.
    async fn accept(&self, draft: &Draft<'_>, identity: Option<&Identity>) -> Result<Accepted, Rejection> {
        let Self { host, settings, ledger, .. } = self;
        let new = |mut alerts: Vec<Alert>, escalations: Vec<Alert>| {
            alerts.iter_mut().for_each(|alert| alert.status = alert.record.status);
            Accepted { alerts, escalations, next: draft.next.clone() }
        };
        let Some(identity) = identity else {
            let mut random = [0; 16];
            host.fill(&mut random);
            let id = CallId::random(Period::of(draft.now), random);
            let alerts = draft.alerts(*host, settings, &id, None)?;
            // If a call has no idempotency key, the ledger first accepts the alerts of the escalation, and
            // then the alerts of the call. So the ledger never has a question of such a call without the
            // question's escalation. If the bot is killed between these two writes, no person is alerted,
            // because the queue has no message of the call yet.
            let escalations = self.escalate(draft, &id, &alerts, false).await?;
            identity::accept_new(ledger, alerts.iter().map(|alert| &alert.record)).await?;
            return Ok(new(alerts, escalations));
        };
        let (mut alerts, mut made) = (Vec::new(), None);
        let make = |id: &CallId| -> Result<Vec<NewAlert>, AlertRejection> {
            made = Some(id.clone());
            alerts = draft.alerts(*host, settings, id, Some(identity))?;
            if alerts.is_empty() {
                return Ok(vec![draft.record_of_empty_page(id, identity)]);
            }
            Ok(alerts.iter().map(|alert| alert.record.clone()).collect())
        };
        match identity::accept_or_find(ledger, identity, draft.now, make).await? {
            NewOrRepeated::New => {
                let escalations = match &made {
                    Some(id) => self.escalate(draft, id, &alerts, true).await?,
                    None => Vec::new(),
                };
                Ok(new(alerts, escalations))
            }
            NewOrRepeated::Repeated(earlier) => self.again(draft, &earlier).await,
        }
    }

    /// Accepts the alerts of an escalation in the ledger. If the call repeats an earlier call, the ledger
    /// perhaps has these alerts already.
    ///
    /// `once` is true if the caller can repeat the call. The queue can then hold two messages of the same
    /// alert, so each message gets the mark `once`. Before a run sends a message with this mark, the run
    /// reads in the ledger whether the alert was sent already.
    async fn escalate(
        &self,
        draft: &Draft<'_>,
        id: &CallId,
        alerts: &[Alert],
        once: bool,
    ) -> Result<Vec<Alert>, Rejection> {
        let mut all = Vec::new();
        for (id, step) in draft.escalations(self.host, self.settings, id, alerts, once)? {
            let new: Vec<NewAlert> = step.iter().map(|alert| alert.record.clone()).collect();
            match self.ledger.accept_call(&new).await.map_err(AlertRejection::from)? {
                InLedger::New => all.extend(step.into_iter().map(Alert::accepted)),
                InLedger::Known(_) => {
                    let count = u32::try_from(step.len()).unwrap_or(u32::MAX);
                    let records = self.ledger.of_call(&id, count).await.map_err(AlertRejection::from)?;
                    let known = (0..).zip(records).zip(step);
                    all.extend(known.map(|((index, record), alert)| {
                        Alert::known(&record, id.alert(index), alert.message, alert.is_creating)
                    }));
                }
            }
        }
        Ok(all)
    }

    /// Returns the alerts that the bot accepted for an earlier call. If the queue perhaps lacks the message
    /// of an alert, because the earlier call was cut off, the result has a new message for this alert. The
    /// poller sends each alert once, even if the queue holds two messages of the alert.
    async fn again(&self, draft: &Draft<'_>, earlier: &Earlier) -> Result<Accepted, Rejection> {
        let Earlier { id, records, next } = earlier;
        let named = |conversation: &str| {
            let found = draft.targets.iter().find(|target| target.is_recorded_as(conversation));
            found.map(|target| Recipient::of(target, None))
        };
        // Perhaps the page has changed since the earlier call. For example, a new subscriber of a tag is on
        // the page, and the last subscriber of the page has moved to the next page. The earlier call made an
        // alert for the moved subscriber, so the bot looks up this subscriber's address.
        let elsewhere = records.iter().map(|record| (record, record.conversation.as_str()));
        let elsewhere =
            elsewhere.filter(|(record, to)| record.is_perhaps_not_queued() && named(to).is_none());
        let elsewhere = elsewhere.filter_map(|(_, to)| ConversationKey::parse(to));
        let conversations = self.settings.conversations(self.host, Deadline::after(self.host, AGAIN_WITHIN));
        let elsewhere = conversations.get_all(elsewhere).await.map_err(AlertRejection::from)?;
        let known = |to: &str| {
            let known = of_key(&elsewhere, &ConversationKey::parse(to)?)?.conversation.as_ref();
            known.map(|conversation| Recipient {
                address: &conversation.address,
                creation: None,
                zone: conversation.zone,
                due: None,
            })
        };
        let alerts = (0..).zip(records).map(|(index, record)| {
            let id = id.alert(index);
            let to = record.conversation.as_str();
            let message = match named(to).or_else(|| known(to)) {
                Some(to) if record.is_perhaps_not_queued() => {
                    let accepted_at = record.accepted_at.unwrap_or(draft.now);
                    // Perhaps quiet hours have delayed the alert. The record then has a due time after
                    // `accepted_at`, and the message gets this due time. Otherwise, the message gets the due
                    // time from the call.
                    let due = record.due_at.filter(|due| *due > accepted_at).or(draft.call.due);
                    let recipient = Recipient { due, ..to };
                    Some(draft.message(self.settings, &id, &recipient, accepted_at, true)?)
                }
                _ => None,
            };
            let is_creating = named(to).is_some_and(|to| to.creation.is_some());
            Ok(Alert::known(record, id, message, is_creating))
        });
        let alerts = alerts.collect::<Result<Vec<_>, AlertRejection>>()?;
        let escalations = self.escalate(draft, id, &alerts, true).await?;
        Ok(Accepted { alerts, escalations, next: next.clone() })
    }

    /// Returns the alerts of an earlier call with the same idempotency key, or `None` if there was no such
    /// call. The bot calls this function before it refuses a call.
    async fn earlier(&self, identity: Option<&Identity>) -> Result<Option<Accepted>, Rejection> {
        let Some(identity) = identity else { return Ok(None) };
        let Some(earlier) = identity::find(&self.ledger, identity, self.host.now()).await? else {
            return Ok(None);
        };
        // The body of the call is valid, but the bot would refuse the call now, for example because a
        // conversation in `to` was deleted. The earlier call also made alerts for other conversations. If the
        // queue perhaps lacks the message of such an alert, the bot puts a message there.
        if let Ok(call) = &self.call {
            let (now, trace) = (self.now, self.caller.request_id.trace());
            let (sender, targets, asks) = (self.caller.key.as_str(), Vec::new(), None);
            let draft = Draft { call, targets, now, sender, trace, is_first_page: false, next: None, asks };
            return self.again(&draft, &earlier).await.map(Some);
        }
        let Earlier { id, records, next } = earlier;
        let known =
            (0..).zip(&records).map(|(index, record)| Alert::known(record, id.alert(index), None, false));
        Ok(Some(Accepted { alerts: known.collect(), escalations: Vec::new(), next }))
    }

    /// Puts the messages of the alerts on the queue, several in parallel.
    async fn put(&self, Accepted { mut alerts, mut escalations, next }: Accepted) -> Sent {
        // If the deadline passes, some Puts never begin. So each alert first gets the status of an alert
        // without a Put. A successful Put changes this status. A *doubtful* Put also changes the status,
        // because the queue has perhaps stored the message.
        alerts.iter_mut().chain(&mut escalations).for_each(Alert::expect_no_put);
        let put = async |outbox: &Outbox<'_, H>, alert: &mut Alert| {
            let Some(message) = &alert.message else { return true };
            let put = outbox.put(message).await;
            let Err(error) = put.result else {
                self.note_latest(&message.envelope).await;
                (alert.status, alert.message) = (Status::Queued, None);
                return true;
            };
            if put.is_doubtful {
                alert.status = Status::Unconfirmed;
            }
            log_failed_put(self.host, &message.envelope, &error, put.is_doubtful);
            false
        };
        let waiting = alerts.iter_mut().chain(&mut escalations).filter(|alert| alert.message.is_some());
        self.outbox.put_all(waiting, put).await;
        let failed = alerts.iter().chain(&escalations).filter(|alert| alert.message.is_some()).count();
        Sent { alerts, escalations, failed, next }
    }

    /// Records that, among the alerts with the same *alert key* in the same conversation, this alert is the
    /// newest. The alert key is the member `key` in the body of the API call. If older alerts with the alert
    /// key still wait on the queue, the poller does not send these older alerts. If the write fails, the
    /// poller also sends the older alerts.
    ///
    /// The bot records nothing in three cases: the alert has no alert key; the call delays the alert (with
    /// the member `at` or `delay`); or the alert replaces no older alert, because the member `again` is
    /// `reply` or `new`.
    async fn note_latest(&self, envelope: &Envelope) {
        let replacing = envelope.keyed.as_ref().filter(|keyed| keyed.again.replaces());
        let key = replacing.and_then(|keyed| Some((keyed.key.as_deref()?, keyed.at)));
        let is_delayed = self.call.as_ref().is_ok_and(|call| call.due.is_some());
        let Some((key, at)) = key.filter(|_| !is_delayed) else { return };
        let conversation = ConversationKey::of(&envelope.address);
        let noted = self.ledger.note_latest(&conversation, key, (at, envelope.id.as_str())).await;
        if let Err(error) = noted {
            let fields = json!({"envelope": envelope.id.as_str(), "reason": error.to_string()});
            self.caller.event(self.host, Level::Warn, "key.not-noted", fields);
        }
    }

    /// Logs the result of the call, and records the results of the Puts as the function `note` explains.
    /// Returns the content of the response.
    async fn finish(&self, sent: Vec<Sent>, next: Option<&Cursor>) -> Sending {
        let of_call = || sent.iter().flat_map(|page| &page.alerts);
        let of_steps = || sent.iter().flat_map(|page| &page.escalations);
        let alerts = || of_call().chain(of_steps());
        let shown: Vec<_> = of_call().map(Alert::shown).collect();
        let escalations: Vec<_> = of_steps().map(Alert::shown_as_step).collect();
        let queued = alerts().filter(|alert| alert.status == Status::Queued).count();
        let failed: usize = sent.iter().map(|page| page.failed).sum();
        let unconfirmed = alerts().filter(|alert| alert.status == Status::Unconfirmed).count();
        let ids: Vec<_> = alerts().map(|alert| alert.record.id.as_str()).collect();
        self.caller.event(
            self.host,
            if failed == 0 { Level::Info } else { Level::Error },
            "alerts.queued",
            json!({
                "queued": queued,
                "failed": failed,
                "unconfirmed": unconfirmed,
                "held": shown.len() + escalations.len() - queued - failed,
                "repeated": alerts().filter(|alert| alert.is_repeated).count(),
                "alerts": ids,
            }),
        );
        for page in &sent {
            self.note(&page.alerts, failed > 0).await;
            self.note(&page.escalations, failed > 0).await;
        }
        let kick = self.settings.kick.clone().filter(|_| self.outbox.has_due());
        let (is_repeatable, next) = (self.identity.is_some(), next.map(Cursor::to_string));
        Sending { shown, escalations, queued, failed, unconfirmed, is_repeatable, next, kick }
    }

    /// Records the results of the Puts in the ledger. If the caller repeats the call, the bot reads these
    /// results. `is_broken` is true if a Put of the call failed.
    ///
    /// If all Puts of a new call succeed, the bot records nothing, to save a storage call. The poller sends
    /// each alert once, even if the ledger lacks the result of a Put.
    async fn note(&self, alerts: &[Alert], is_broken: bool) {
        let ids = |is_meant: &dyn Fn(&&Alert) -> bool| -> Vec<&AlertId> {
            alerts.iter().filter(is_meant).map(|alert| &alert.record.id).collect()
        };
        // If the ledger has these results, a repeated call does not put these alerts on the queue again.
        let put = ids(&|alert| alert.status == Status::Queued && (alert.is_again || is_broken));
        // The bot also records the failed and the unconfirmed Puts, because the ledger would otherwise show
        // the alerts as queued.
        let failed = ids(&|alert| alert.status == Status::Failed);
        let unconfirmed = ids(&|alert| alert.status == Status::Unconfirmed);
        for noted in [
            self.ledger.record_put(put.into_iter()).await,
            self.ledger.record_failed_put(failed.into_iter()).await,
            self.ledger.record_unconfirmed_put(unconfirmed.into_iter()).await,
        ] {
            if let Err(error) = noted {
                let fields = json!({"reason": error.to_string()});
                self.caller.event(self.host, Level::Warn, "ledger.not-noted", fields);
            }
        }
    }
}
