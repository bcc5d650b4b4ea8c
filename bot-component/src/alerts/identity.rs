//! Recognises repeated API calls. For 24 hours (the *term*), an idempotency key identifies one call. If a
//! program repeats the call in this time, the bot makes no new alerts: the response shows the alerts of the
//! first call.

use chrono::{DateTime, Utc};
use platform::{Clock, HttpClient, Randomness};
use state::ledger::{Accepted, CallId, CallNote, KEY_TERM, Ledger, NewAlert, Period, Record};

use super::body::{Identity, MAX_IDEMPOTENCY_KEY_CHARACTERS};
use super::named_key::SIMPLE_NAME;
use super::paging::Cursor;
use crate::rejection::AlertRejection;

/// How many calls one idempotency key can identify within a *period* of the ledger (eight days). The calls
/// with one key in one period have the *turns* 0, 1, 2 and so on. A key identifies a new call at most once in
/// 24 hours, i.e. eight times in a period. So no key reaches this limit.
const MOST_TURNS: u32 = 12;

/// Whether a call is new or repeated.
#[derive(Debug)]
pub(super) enum Met {
    /// The call is new. The ledger has accepted its alerts.
    ForTheFirstTime,
    /// An earlier call with the same idempotency key and the same body made the alerts.
    Again(Earlier),
}

/// An earlier call with the same idempotency key and the same body.
#[derive(Debug)]
pub(super) struct Earlier {
    pub(super) id: CallId,
    /// The records of the alerts of the earlier call.
    pub(super) records: Vec<Record>,
    /// The `next` of the response to the earlier call.
    pub(super) next: Option<Cursor>,
}

impl Identity {
    /// Returns the id of the call. `turn` is the number of calls that the idempotency key identified earlier
    /// in the period.
    fn call_id(&self, period: Period, turn: u32) -> CallId {
        // For an API key from `alertkey`, the bot makes the id of the call without the name of the API key.
        // Older versions of the bot, which had no named API keys, made the id in the same way. So the bot
        // recognises a call that is repeated after an update.
        let owner = Some(self.key_name.as_str()).filter(|name| *name != SIMPLE_NAME);
        CallId::of_key(period, owner, &self.idempotency_key, turn)
    }

    /// Makes the note about the call that the ledger stores. With this note, the bot can recognise a repeated
    /// call, and repeat the response.
    pub(super) fn note(&self, alerts: usize, next: Option<&Cursor>) -> CallNote {
        CallNote {
            fingerprint: self.fingerprint.clone(),
            alerts: u32::try_from(alerts).unwrap_or(u32::MAX),
            next: next.map(Cursor::to_string),
        }
    }

    /// The identity of one page of the call. (The bot splits the conversations of a call into pages of at
    /// most 100.) Each page has its own identity, because a program can repeat the call for a single page.
    /// The first page has the idempotency key from the call. For each later page, the function makes a longer
    /// key. The bot refuses such long keys in calls, so no call can have the key of a later page.
    pub(super) fn of_page(&self, at: Option<&Cursor>) -> Self {
        let Self { key_name, idempotency_key: key, fingerprint } = self;
        let idempotency_key = match at {
            None => key.clone(),
            Some(at) => format!("{:<MAX_IDEMPOTENCY_KEY_CHARACTERS$} {key}", at.to_string()),
        };
        Self { key_name: key_name.clone(), idempotency_key, fingerprint: fingerprint.clone() }
    }
}

/// Accepts the alerts of a call without an idempotency key.
pub(super) async fn accept_new<'n, H: HttpClient + Clock + Randomness>(
    ledger: &Ledger<'_, H>,
    alerts: impl Iterator<Item = &'n NewAlert>,
) -> Result<(), AlertRejection> {
    let alerts: Vec<NewAlert> = alerts.cloned().collect();
    // The ids are random, so no other call has made a record with the same id. If the ledger already has the
    // record, the first attempt of this write inserted it, and only the response to this attempt was lost.
    ledger.accept_call(&alerts).await?;
    Ok(())
}

/// Accepts the alerts of a call with an idempotency key, unless an earlier call had the same key. `make`
/// gets the id of the call, and makes the alerts. The ids of the alerts depend on the id of the call.
pub(super) async fn meet<H: HttpClient + Clock + Randomness>(
    ledger: &Ledger<'_, H>,
    identity: &Identity,
    now: DateTime<Utc>,
    mut make: impl FnMut(&CallId) -> Result<Vec<NewAlert>, AlertRejection>,
) -> Result<Met, AlertRejection> {
    let this = Period::of(now);
    if let Some(earlier) = find_in_period_before(ledger, identity, now).await? {
        return Ok(Met::Again(earlier));
    }
    for turn in 0..MOST_TURNS {
        let id = identity.call_id(this, turn);
        match ledger.accept_call(&make(&id)?).await? {
            Accepted::New => return Ok(Met::ForTheFirstTime),
            Accepted::Known(record) => {
                if let Some(earlier) = earlier_call(ledger, identity, id, &record, now).await? {
                    return Ok(Met::Again(earlier));
                }
            }
        }
    }
    Err(AlertRejection::IdempotencyKeyReused)
}

/// Finds the alerts of an earlier call with the same idempotency key and body, if the term of the key has not
/// ended.
pub(super) async fn find<H: HttpClient + Clock + Randomness>(
    ledger: &Ledger<'_, H>,
    identity: &Identity,
    now: DateTime<Utc>,
) -> Result<Option<Earlier>, AlertRejection> {
    if let Some(found) = find_in_period_before(ledger, identity, now).await? {
        return Ok(Some(found));
    }
    find_in(ledger, identity, Period::of(now), now).await
}

/// Finds an earlier call in the previous period. The function searches only on the first day of the current
/// period. On later days, the terms of all calls of the previous period have ended.
async fn find_in_period_before<H: HttpClient + Clock + Randomness>(
    ledger: &Ledger<'_, H>,
    identity: &Identity,
    now: DateTime<Utc>,
) -> Result<Option<Earlier>, AlertRejection> {
    let before = Period::of(now - KEY_TERM);
    if before == Period::of(now) {
        return Ok(None);
    }
    find_in(ledger, identity, before, now).await
}

async fn find_in<H: HttpClient + Clock + Randomness>(
    ledger: &Ledger<'_, H>,
    identity: &Identity,
    period: Period,
    now: DateTime<Utc>,
) -> Result<Option<Earlier>, AlertRejection> {
    for turn in 0..MOST_TURNS {
        let id = identity.call_id(period, turn);
        let Some(record) = ledger.find(&id.alert(0)).await? else { return Ok(None) };
        if let Some(earlier) = earlier_call(ledger, identity, id, &record, now).await? {
            return Ok(Some(earlier));
        }
    }
    Ok(None)
}

/// Returns the earlier call whose first record is `first`. Returns `None` if the term of that call's
/// idempotency key has ended. Returns an error if the earlier call had another body.
async fn earlier_call<H: HttpClient + Clock + Randomness>(
    ledger: &Ledger<'_, H>,
    identity: &Identity,
    id: CallId,
    first: &Record,
    now: DateTime<Utc>,
) -> Result<Option<Earlier>, AlertRejection> {
    if !first.answers_for_key(now) {
        return Ok(None);
    }
    match &first.call {
        Some(call) if call.fingerprint == identity.fingerprint => {
            let records = match call.alerts {
                0 => Vec::new(),
                alerts => ledger.of_call(&id, alerts).await?,
            };
            Ok(Some(Earlier { id, records, next: call.next.as_deref().and_then(Cursor::parse) }))
        }
        _ => Err(AlertRejection::IdempotencyKeyReused),
    }
}
