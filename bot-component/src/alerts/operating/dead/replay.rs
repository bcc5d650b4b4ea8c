//! `POST /api/dead/replay`: puts dead letters on the queue again. Each alert is delivered only once, even if
//! the bot is killed during a replay, or if two replays run at the same time. (`docs/operating.md` describes
//! one exception.) A replay has these steps:
//!
//! 1. The bot finds the messages with a *walk* through the poison queue. The walk leases one batch of
//!    messages after another, i.e. hides the messages for 30 seconds.
//! 2. The bot gives the alert's record in the ledger (the table with one record for each alert) the status
//!    `queued`. This write fails if the record has changed after the bot read the record.
//! 3. The bot puts the message on the queue with the mark `once`. Before a run (one execution of the poller)
//!    sends a marked message, the run reads the record. The run does not send an alert that has already been
//!    delivered.
//! 4. The bot deletes the message from the poison queue, and then the message's row in the table of dead
//!    letters.
//!
//! If the bot is killed during a replay, a later replay finds the same messages after their lease, and
//! continues the work.

mod act;

use std::cell::RefCell;
use std::collections::BTreeSet;

use bot_framework::json::Fields;
use http::{Request, StatusCode};
use platform::{Deadline, Host, Level, RequestBody, response};
use serde_json::json;
use state::ledger::Ledger;
use state::runs::DeadLetterId;

use super::body::Selection;
use super::letter::Letter;
use super::search::{ACT_WITHIN, Pending, SEARCH_WITHIN, find, find_rows};
use super::why::Why;
use super::{Named, PUT_WITHIN, WITHIN, dead_letters, not_reached};
use crate::alerts::caller::Caller;
use crate::alerts::grant::Scope;
use crate::alerts::poison_walk::PoisonWalk;
use crate::answered::Answered;
use crate::limits::MAX_BODY_BYTES;
use crate::outbox::Outbox;
use crate::rejection::{AlertRejection, Rejection};
use crate::request::expect_json;
use crate::settings::{BotSettings, CallerSettings};
use act::{Replayer, Results};

pub(in crate::alerts) async fn post<H: Host>(
    host: &H,
    request: Request<impl RequestBody>,
    caller: &Caller,
) -> Result<Answered, Rejection> {
    caller.require(Scope::Operate)?;
    let deadline = Deadline::after(host, WITHIN);
    let (search_until, act_until) = (Deadline::after(host, SEARCH_WITHIN), Deadline::after(host, ACT_WITHIN));
    let settings = BotSettings::open(host, CallerSettings::read(host)?).await?;
    let (head, body) = request.into_parts();
    expect_json(&head.headers)?;
    let fields = Fields::of_request(&body.read(MAX_BODY_BYTES).await?).map_err(AlertRejection::from)?;
    let selection = Selection::read(fields)?;
    let replayer = Replayer {
        host,
        settings: &settings,
        caller,
        ledger: Ledger::new(host, &settings.queue.account, &settings.tables, deadline),
        dead: dead_letters(host, &settings, deadline),
        outbox: Outbox::new(host, &settings, deadline),
        act_until,
    };
    let poison = settings.queue.name.poison();
    let mut walk = PoisonWalk::new(host, &settings, &poison, deadline, search_until);
    let results = replayer.replay(&mut walk, selection).await;
    // The walk also hides messages that this API call does not want. `end` makes these messages visible
    // again. The bot does not call `end` in one case: the walk has not reached the end of the queue, and the
    // work of the API call is not complete. These messages then stay hidden until their lease ends. If the
    // caller sends the call again before that time, the new walk begins after the hidden messages.
    if walk.is_at_end() || results.as_ref().is_ok_and(|results| !results.has_more) {
        walk.end().await;
    }
    Ok(replayer.answer(results?))
}

/// The dead letters that an API call names by their ids.
struct Wanted {
    pending: Pending,
    /// The ids of the rows for which the walk has found a *copy*. If a run was killed while it moved a
    /// message, the poison queue can hold the message twice, with different texts. The row has the digest
    /// (hash) of one text. The message with the other text is the copy.
    copied: BTreeSet<DeadLetterId>,
    /// The ids of rows that the walk has found in messages without a valid seal.
    tampered: BTreeSet<DeadLetterId>,
}

impl Wanted {
    fn of(pending: Pending) -> Self {
        Self { pending, copied: BTreeSet::new(), tampered: BTreeSet::new() }
    }

    /// Decides whether the API call wants a message. Returns:
    ///
    /// - `Some(Some(row))` if the API call wants the message, and the bot knows the message's row;
    /// - `Some(None)` if the API call wants the message, and the bot does not know the message's row;
    /// - `None` if the API call does not want the message.
    ///
    /// If the message is a copy, the row stays pending, because the walk can still find the message with the
    /// digest in the row.
    fn take(&mut self, letter: &Letter) -> Option<Option<DeadLetterId>> {
        if let Some(row) = self.pending.take_exact(letter) {
            return Some(Some(row));
        }
        if let Some(row) = letter.row().filter(|row| self.pending.rows.contains_key(row)) {
            self.copied.insert(row.clone());
            return Some(Some(row));
        }
        if self.pending.take_message(letter).is_some() {
            return Some(letter.row());
        }
        self.tampered.extend(letter.named_row().filter(|row| self.pending.rows.contains_key(row)));
        None
    }
}

impl<H: Host> Replayer<'_, H> {
    async fn replay(
        &self,
        walk: &mut PoisonWalk<'_, H>,
        selection: Selection,
    ) -> Result<Results, AlertRejection> {
        let results = RefCell::new(Results::default());
        let now = self.host.now();
        // A message that the bot cannot replay stays on the poison queue. For example, the alert has expired.
        let may_send = |letter: &Letter, row: Option<DeadLetterId>| match letter.to_replay(now) {
            Ok(_) => Some(row),
            Err(why) => {
                results.borrow_mut().refuse(&letter.named(row.as_ref()), why);
                None
            }
        };
        let parts = (self.host, self.settings);
        let mut found = match selection {
            Selection::Matching(condition) => {
                let take = |letter: &Letter| {
                    condition.fits(letter).then(|| may_send(letter, letter.row())).flatten()
                };
                let mut found = find(parts, walk, take, || false).await?;
                find_rows(self.host, &self.dead, &mut found.jobs).await;
                found
            }
            Selection::Ids(ids) => {
                let wanted = RefCell::new(Wanted::of(Pending::read(&self.dead, ids).await?));
                let take = |letter: &Letter| may_send(letter, wanted.borrow_mut().take(letter)?);
                let found = find(parts, walk, take, || wanted.borrow().pending.is_empty()).await?;
                let mut so_far = results.take();
                self.refuse_missing(walk, wanted.into_inner(), &mut so_far).await?;
                results.replace(so_far);
                found
            }
        };
        let mut results = results.into_inner();
        results.has_more = found.has_more;
        // The alerts of one conversation keep the order in which the bot accepted the alerts.
        found.jobs.sort_by_key(|job| job.letter.enqueued_at());
        self.act(walk, found.jobs, results).await
    }

    /// Refuses each row id that the table does not have. If the walk stopped before the end of the poison
    /// queue, the function does nothing else. Otherwise, the function also refuses the dead letters whose
    /// messages the walk has not found, and removes each row that certainly has no message on the poison
    /// queue.
    async fn refuse_missing(
        &self,
        walk: &PoisonWalk<'_, H>,
        wanted: Wanted,
        results: &mut Results,
    ) -> Result<(), AlertRejection> {
        let Wanted { pending, copied, tampered } = wanted;
        for unknown in &pending.unknown {
            results.refuse(unknown, Why::Unknown);
        }
        if pending.is_empty() || !walk.is_at_end() {
            return Ok(());
        }
        let has_seen_all = walk.has_seen_all(0).await.map_err(|error| not_reached(self.host, &error))?;
        for id in pending.messages {
            results.refuse(&Named::Message(id), if has_seen_all { Why::Unknown } else { Why::Hidden });
        }
        for (id, row) in pending.rows {
            // The walk has found a copy of this row's message, and the bot replays the copy. So the bot does
            // not refuse this dead letter.
            if copied.contains(&id) {
                continue;
            }
            if tampered.contains(&id) {
                results.refuse(&Named::Row(id), Why::Tampered);
                continue;
            }
            let is_gone = has_seen_all && self.host.now() - row.died_at >= PUT_WITHIN;
            if is_gone {
                self.remove_row(&id).await;
            }
            results.refuse(&Named::Row(id), if is_gone { Why::Missing } else { Why::Hidden });
        }
        Ok(())
    }

    fn answer(&self, results: Results) -> Answered {
        let Results { replayed, refused, has_more, .. } = results;
        let alerts: Vec<_> = replayed.iter().map(|(_, alert)| alert.as_str()).collect();
        let ids: Vec<_> = replayed.iter().map(|(named, _)| named.to_text()).collect();
        let refusals: Vec<_> = refused
            .iter()
            .map(|(named, why)| json!({"dead": named.to_text(), "why": why.as_str()}))
            .collect();
        let fields = json!({"dead": ids, "alerts": alerts, "refused": refusals, "more": has_more});
        self.caller.event(self.host, Level::Info, "dead.replayed", fields);
        let refused: Vec<_> = refused
            .iter()
            .map(|(named, why)| json!({"id": named.to_text(), "why": why.as_str(), "message": why.message()}))
            .collect();
        let body = json!({"replayed": ids, "refused": refused, "more": has_more});
        let kick = self.settings.kick.clone().filter(|_| self.outbox.has_due());
        Answered::with_kick(response::json(StatusCode::OK, &body), kick)
    }
}
