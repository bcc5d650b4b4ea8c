//! Recognises repeated API calls. A program can give a call an *idempotency key*, which identifies the call
//! for 24 hours (the *term* of the key). If the program repeats the call within the term, the bot makes no
//! new alerts. The response then shows the alerts of the first call.
//!
//! The bot refuses the repeated call if its *fingerprint* differs. For `POST /api/alerts`, the fingerprint is
//! a hash of the body. If a program posts an alert in another format (see `hooks`), the fingerprint is a
//! constant. So the bodies of such posts can differ.

use chrono::{DateTime, Utc};
use platform::{Clock, HttpClient, Randomness};
use state::ledger::{Accepted, CallId, CallNote, KEY_TERM, Ledger, NewAlert, Period, Record};

use super::body::{Identity, MAX_IDEMPOTENCY_KEY_CHARACTERS};
use super::named_key::SIMPLE_NAME;
use super::paging::Cursor;
use crate::rejection::AlertRejection;

/// The highest number of calls that one idempotency key can identify within a *period* of the ledger (eight
/// days). The bot numbers these calls from 0. The number of a call is its *turn*. A key can identify a new
/// call only after 24 hours. So a key identifies at most eight calls in a period, and never reaches this
/// limit.
const MOST_TURNS: u32 = 12;

/// Whether a call is new or repeated.
#[derive(Debug)]
pub(super) enum NewOrRepeated {
    /// The call is new. The ledger now has the records of the call's alerts.
    New,
    /// The call repeats an earlier call.
    Repeated(Earlier),
}

/// An earlier call with the same idempotency key and the same fingerprint.
#[derive(Debug)]
pub(super) struct Earlier {
    pub(super) id: CallId,
    /// The records of the alerts of the earlier call.
    pub(super) records: Vec<Record>,
    /// The `next` of the response to the earlier call.
    pub(super) next: Option<Cursor>,
}

impl Identity {
    /// Returns the id of the call. `turn` is 0 for the first call with this idempotency key in the period, 1
    /// for the second call, and so on.
    fn call_id(&self, period: Period, turn: u32) -> CallId {
        // An API key in the variable `alertkey` has no name of its own, so the id of a call with this API key
        // contains no name. Older versions of the bot had only such API keys, and made the same ids. So after
        // an update of the bot, the bot still recognises a call that it accepted before the update.
        let owner = Some(self.key_name.as_str()).filter(|name| *name != SIMPLE_NAME);
        CallId::of_key(period, owner, &self.idempotency_key, turn)
    }

    /// Makes the note that the ledger stores about the call. With this note, the bot can recognise a repeated
    /// call, and repeat the response.
    pub(super) fn note(&self, alerts: usize, next: Option<&Cursor>) -> CallNote {
        CallNote {
            fingerprint: self.fingerprint.clone(),
            alerts: u32::try_from(alerts).unwrap_or(u32::MAX),
            next: next.map(Cursor::to_string),
        }
    }

    /// Returns the identity of one page of the call. A *page* is a group of at most 100 conversations. If a
    /// call has more conversations, the bot processes one page after the other. A program can repeat the call
    /// for a single page, so each page has its own identity.
    ///
    /// The first page has the idempotency key of the call. For a later page, the function makes a longer key,
    /// with more than 200 characters. The bot refuses a call with such a long key, so no call can have the
    /// key of a later page.
    pub(super) fn of_page(&self, at: Option<&Cursor>) -> Self {
        let Self { key_name, idempotency_key: key, fingerprint } = self;
        let idempotency_key = match at {
            None => key.clone(),
            Some(at) => format!("{:<MAX_IDEMPOTENCY_KEY_CHARACTERS$} {key}", at.to_string()),
        };
        Self { key_name: key_name.clone(), idempotency_key, fingerprint: fingerprint.clone() }
    }
}

/// Accepts the alerts of a call without an idempotency key, i.e. inserts their records in the ledger.
pub(super) async fn accept_new<'n, H: HttpClient + Clock + Randomness>(
    ledger: &Ledger<'_, H>,
    alerts: impl Iterator<Item = &'n NewAlert>,
) -> Result<(), AlertRejection> {
    let alerts: Vec<NewAlert> = alerts.cloned().collect();
    // The ids are random, so only this call can have made records with these ids. If a record already exists,
    // an earlier attempt of this write inserted the record, but the response was lost. So the function
    // ignores whether the ledger already knows the alerts.
    ledger.accept_call(&alerts).await?;
    Ok(())
}

/// Accepts the alerts of a call with an idempotency key. If an earlier call had the same key and the same
/// fingerprint, returns the earlier call instead. `make` gets the id of the new call, and makes the alerts.
/// (The ids of the alerts depend on the id of the call.)
pub(super) async fn accept_or_find<H: HttpClient + Clock + Randomness>(
    ledger: &Ledger<'_, H>,
    identity: &Identity,
    now: DateTime<Utc>,
    mut make: impl FnMut(&CallId) -> Result<Vec<NewAlert>, AlertRejection>,
) -> Result<NewOrRepeated, AlertRejection> {
    let period = Period::of(now);
    if let Some(earlier) = find_in_period_before(ledger, identity, now).await? {
        return Ok(NewOrRepeated::Repeated(earlier));
    }
    for turn in 0..MOST_TURNS {
        let id = identity.call_id(period, turn);
        match ledger.accept_call(&make(&id)?).await? {
            Accepted::New => return Ok(NewOrRepeated::New),
            Accepted::Known(record) => {
                if let Some(earlier) = earlier_call(ledger, identity, id, &record, now).await? {
                    return Ok(NewOrRepeated::Repeated(earlier));
                }
            }
        }
    }
    Err(AlertRejection::IdempotencyKeyReused)
}

/// Finds an earlier call with the same idempotency key. Returns `None` if the bot accepted no call with this
/// key in the last 24 hours. Returns an error if the earlier call had another fingerprint.
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

/// Finds an earlier call in the previous period. The function searches only in the first 24 hours of the
/// current period. Later, the terms of all idempotency keys of the previous period have ended.
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

/// Returns the earlier call whose first record is `first`. Returns `None` if the term of the idempotency key
/// has ended. Returns an error if the earlier call had another fingerprint.
async fn earlier_call<H: HttpClient + Clock + Randomness>(
    ledger: &Ledger<'_, H>,
    identity: &Identity,
    id: CallId,
    first: &Record,
    now: DateTime<Utc>,
) -> Result<Option<Earlier>, AlertRejection> {
    if !first.is_within_key_term(now) {
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
