//! `POST /api/dead/drop` and `DELETE /api/dead/{id}`: drop dead letters, i.e. delete their messages and their
//! rows. In the ledger (the table with one record for each alert), the alerts keep the status `dead`.
//!
//! In each API call, the bot makes only one walk through the poison queue. On this walk, the bot finds the
//! messages that the API call drops. (The queue service cannot list a queue. So a *walk* leases one batch of
//! messages after another, i.e. hides the messages for 30 seconds.) With one walk for each message, the
//! number of storage calls would grow with the square of the number of dead letters.

mod act;

use std::cell::RefCell;
use std::collections::BTreeSet;

use bot_framework::json::Fields;
use http::{Request, StatusCode};
use platform::{Deadline, Host, Level, RequestBody, response};
use serde_json::json;
use state::ledger::Ledger;
use state::runs::{DeadLetter, DeadLetterId};

use super::body::{Match, Selection};
use super::letter::Letter;
use super::search::{ACT_WITHIN, Found, Job, Pending, SEARCH_WITHIN, find, find_rows};
use super::why::Why;
use super::{Named, PUT_WITHIN, WITHIN, dead_letters, not_reached};
use crate::alerts::caller::Caller;
use crate::alerts::grant::Scope;
use crate::alerts::poison_walk::PoisonWalk;
use crate::answered::Answered;
use crate::limits::MAX_BODY_BYTES;
use crate::rejection::{AlertRejection, Rejection};
use crate::request::expect_json;
use crate::settings::{BotSettings, CallerSettings};
use act::{Dropper, Results};

/// The highest number of rows that one storage call reads.
const ROWS_AT_ONCE: u16 = 1000;
/// The highest number of storage calls in the search for rows without a message.
const MAX_ROW_PAGES: usize = 20;

pub(in crate::alerts) async fn post<H: Host>(
    host: &H,
    request: Request<impl RequestBody>,
    caller: &Caller,
) -> Result<Answered, Rejection> {
    caller.require(Scope::Operate)?;
    let deadlines = Deadlines::from_now(host);
    let settings = BotSettings::open(host, CallerSettings::read(host)?).await?;
    let (head, body) = request.into_parts();
    expect_json(&head.headers)?;
    let fields = Fields::of_request(&body.read(MAX_BODY_BYTES).await?).map_err(AlertRejection::from)?;
    let selection = Selection::read(fields)?;
    let Results { dropped, refused, has_more, .. } =
        Dropper::new(host, &settings, caller, &deadlines).drop(selection, &deadlines).await?;
    let ids: Vec<_> = dropped.iter().map(Named::to_text).collect();
    let refused: Vec<_> = refused
        .iter()
        .map(|(named, why)| json!({"id": named.to_text(), "why": why.as_str(), "message": why.message()}))
        .collect();
    let body = json!({"dropped": ids, "refused": refused, "more": has_more});
    Ok(response::json(StatusCode::OK, &body).into())
}

pub(in crate::alerts) async fn delete<H: Host>(
    host: &H,
    id: &str,
    caller: &Caller,
) -> Result<Answered, Rejection> {
    caller.require(Scope::Operate)?;
    let named = Named::parse(id).ok_or(AlertRejection::NoSuchDeadLetter)?;
    let deadlines = Deadlines::from_now(host);
    let settings = BotSettings::open(host, CallerSettings::read(host)?).await?;
    let selection = Selection::Ids([named].into());
    let results = Dropper::new(host, &settings, caller, &deadlines).drop(selection, &deadlines).await?;
    if results.refused.iter().any(|(_, why)| *why == Why::Unknown) {
        return Err(AlertRejection::NoSuchDeadLetter.into());
    }
    if results.dropped.is_empty() {
        return Ok(response::json(StatusCode::ACCEPTED, &json!({"more": true})).into());
    }
    Ok(response::empty(StatusCode::NO_CONTENT).into())
}

/// The deadlines of an API call, counted from the beginning of the call. Each storage call ends at `deadline`
/// at the latest. After `search_until`, the walk leases no further messages. After `act_until`, the bot
/// starts no work on another group of dead letters.
struct Deadlines {
    deadline: Deadline,
    search_until: Deadline,
    act_until: Deadline,
}

impl Deadlines {
    fn from_now<H: Host>(host: &H) -> Self {
        let after = |within| Deadline::after(host, within);
        Self { deadline: after(WITHIN), search_until: after(SEARCH_WITHIN), act_until: after(ACT_WITHIN) }
    }
}

/// The messages that a walk has read: their digests (hashes), and the row ids in the messages. If the walk
/// has read all messages, and [`Seen::has`] is false for a row, then the poison queue holds no message for
/// this row.
#[derive(Default)]
struct Seen {
    digests: BTreeSet<String>,
    rows: BTreeSet<DeadLetterId>,
}

impl Seen {
    fn add(&mut self, letter: &Letter) {
        self.digests.insert(letter.digest.clone());
        self.rows.extend(letter.named_row());
    }

    fn has(&self, row: &DeadLetter) -> bool {
        self.digests.contains(&row.digest) || self.rows.contains(&row.id)
    }
}

impl<'a, H: Host> Dropper<'a, H> {
    fn new(host: &'a H, settings: &'a BotSettings, caller: &'a Caller, deadlines: &Deadlines) -> Self {
        let ledger = Ledger::new(host, &settings.queue.account, &settings.tables, deadlines.deadline);
        let dead = dead_letters(host, settings, deadlines.deadline);
        Self { host, settings, caller, ledger, dead, act_until: deadlines.act_until }
    }

    async fn drop(&self, selection: Selection, deadlines: &Deadlines) -> Result<Results, AlertRejection> {
        let poison = self.settings.queue.name.poison();
        let (deadline, until) = (deadlines.deadline, deadlines.search_until);
        let mut walk = PoisonWalk::new(self.host, self.settings, &poison, deadline, until);
        let results = match selection {
            Selection::Matching(condition) => self.drop_matching(&mut walk, &condition).await,
            Selection::Ids(ids) => self.drop_ids(&mut walk, ids).await,
        };
        // The walk also hides messages that this API call does not want. `end` makes these messages visible
        // again. The bot does not call `end` in one case: the walk has not reached the end of the queue, and
        // the work of the API call is not complete. These messages then stay hidden until their lease ends.
        // If the caller sends the call again before that time, the new walk begins after the hidden messages.
        if walk.is_at_end() || results.as_ref().is_ok_and(|results| !results.has_more) {
            walk.end().await;
        }
        let results = results?;
        let ids: Vec<_> = results.dropped.iter().map(Named::to_text).collect();
        let refused: Vec<_> = results
            .refused
            .iter()
            .map(|(named, why)| json!({"dead": named.to_text(), "why": why.as_str()}))
            .collect();
        let fields = json!({"dead": ids, "refused": refused, "more": results.has_more});
        self.caller.event(self.host, Level::Info, "dead.dropped", fields);
        Ok(results)
    }

    async fn drop_ids(
        &self,
        walk: &mut PoisonWalk<'_, H>,
        ids: BTreeSet<Named>,
    ) -> Result<Results, AlertRejection> {
        let mut results = Results::default();
        let pending = Pending::read(&self.dead, ids).await?;
        results.refused.extend(pending.unknown.iter().map(|named| (named.clone(), Why::Unknown)));
        let named = RefCell::new(BTreeSet::new());
        let pending = RefCell::new(pending);
        let take = |letter: &Letter| {
            let mut pending = pending.borrow_mut();
            if let Some(row) = pending.take_exact(letter) {
                return Some(Some(row));
            }
            // The API call names the row of this message, but the row has the digest (hash) of another text.
            // Perhaps another program has changed the message. Or perhaps the poison queue holds two copies
            // of the message, with different texts. The bot drops this message, too. The row stays pending,
            // because the walk can still find the message with the digest in the row.
            if let Some(row) = letter.named_row().filter(|row| pending.rows.contains_key(row)) {
                named.borrow_mut().insert(row.clone());
                return Some(Some(row));
            }
            pending.take_message(letter).map(|_| letter.row())
        };
        let Found { jobs, has_more } =
            find((self.host, self.settings), walk, take, || pending.borrow().is_empty()).await?;
        results.has_more = has_more;
        let results = self.act(walk, jobs, results).await?;
        let mut pending = pending.into_inner();
        let named = named.into_inner();
        pending.rows.retain(|id, _| !named.contains(id));
        self.drop_missing(walk, pending, results).await
    }

    /// Handles the dead letters whose messages the walk has not found. If the walk stopped before the end of
    /// the poison queue, the function does nothing. Otherwise, the function drops each row that certainly has
    /// no message on the poison queue, and refuses the other dead letters.
    async fn drop_missing(
        &self,
        walk: &PoisonWalk<'_, H>,
        pending: Pending,
        mut results: Results,
    ) -> Result<Results, AlertRejection> {
        if pending.is_empty() || !walk.is_at_end() {
            return Ok(results);
        }
        let has_seen_all = self.has_seen_all(walk, &results).await?;
        for id in pending.messages {
            let why = if has_seen_all { Why::Unknown } else { Why::Hidden };
            results.refused.push((Named::Message(id), why));
        }
        let (gone, hidden): (Vec<_>, Vec<_>) =
            pending.rows.into_values().partition(|row| has_seen_all && self.is_old_enough(row));
        results.refused.extend(hidden.into_iter().map(|row| (Named::Row(row.id), Why::Hidden)));
        self.drop_rows(gone, results).await
    }

    async fn drop_matching(
        &self,
        walk: &mut PoisonWalk<'_, H>,
        condition: &Match,
    ) -> Result<Results, AlertRejection> {
        let seen = RefCell::new(Seen::default());
        let take = |letter: &Letter| {
            seen.borrow_mut().add(letter);
            // If the message does not contain its outcome, `fits` later reads the outcome from the row.
            let may_fit = letter.failure.outcome.is_none() || condition.fits(letter);
            may_fit.then(|| letter.row())
        };
        let Found { mut jobs, has_more } = find((self.host, self.settings), walk, take, || false).await?;
        find_rows(self.host, &self.dead, &mut jobs).await;
        let mut fitting = Vec::with_capacity(jobs.len());
        for job in jobs {
            if self.fits(&job, condition).await? {
                fitting.push(job);
            } else {
                walk.leave(&job.message);
            }
        }
        let results = self.act(walk, fitting, Results { has_more, ..Results::default() }).await?;
        if results.has_more {
            return Ok(results);
        }
        if !self.has_seen_all(walk, &results).await? {
            // Another API call has hidden some messages. They become visible when their lease ends.
            return Ok(Results { has_more: true, ..results });
        }
        self.drop_rows_without_message(condition, &seen.into_inner(), results).await
    }

    /// Whether a message meets the condition. If the message contains its outcome, the walk has already
    /// checked the condition. Otherwise, the bot reads the outcome from the message's row. If the message has
    /// no row either, the outcome follows from the content of the message. For example, the outcome of a
    /// message without an envelope (the JSON of an alert) is `unreadable`.
    async fn fits(&self, job: &Job, condition: &Match) -> Result<bool, AlertRejection> {
        if job.letter.failure.outcome.is_some() {
            return Ok(true);
        }
        let row = match &job.row {
            Some(row) => self.dead.read(row).await?,
            None => None,
        };
        Ok(row.map_or_else(|| condition.fits(&job.letter), |row| condition.fits_row(&row)))
    }

    async fn drop_rows_without_message(
        &self,
        condition: &Match,
        seen: &Seen,
        mut results: Results,
    ) -> Result<Results, AlertRejection> {
        let mut after = None;
        for _ in 0..MAX_ROW_PAGES {
            let page = self.dead.page(after.as_ref(), ROWS_AT_ONCE).await?;
            after = page.letters.last().map(|row| row.id.clone());
            let is_gone =
                |row: &DeadLetter| condition.fits_row(row) && !seen.has(row) && self.is_old_enough(row);
            results = self.drop_rows(page.letters.into_iter().filter(is_gone).collect(), results).await?;
            if !page.has_more || results.has_more {
                return Ok(results);
            }
        }
        Ok(Results { has_more: true, ..results })
    }

    /// Whether the row is at least one minute old. A run (one execution of the poller) first writes the row,
    /// and within one minute puts the message on the poison queue. So if an older row has no message, no
    /// message will follow.
    fn is_old_enough(&self, row: &DeadLetter) -> bool {
        self.host.now() - row.died_at >= PUT_WITHIN
    }

    /// Whether the walk has read every message of the poison queue. The result is false if another API call
    /// hides a message from the walk.
    async fn has_seen_all(
        &self,
        walk: &PoisonWalk<'_, H>,
        results: &Results,
    ) -> Result<bool, AlertRejection> {
        walk.has_seen_all(results.deleted).await.map_err(|error| not_reached(self.host, &error))
    }
}
