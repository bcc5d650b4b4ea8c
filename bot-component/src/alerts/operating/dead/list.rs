//! `GET /api/dead`: lists the dead letters. The list comes from a table with one row for each dead letter.
//! For a list with the texts of the alerts, the bot also peeks at the 32 oldest messages of the poison queue.
//! Peeking leaves the messages visible, so replays and drops still find the messages.

use std::collections::{BTreeMap, BTreeSet};

use bot_framework::json::put;
use chrono::{DateTime, SecondsFormat, Utc};
use http::StatusCode;
use platform::{Deadline, Host, Level, excerpt, response};
use serde_json::{Map, Value, json};
use state::runs::{DeadLetter, DeadLetterId, DeadLetters};
use storage_queue::{QueueClient, QueueError};

use super::body::ListQuery;
use super::letter::Letter;
use super::{WITHIN, dead_letters, not_reached};
use crate::alerts::caller::Caller;
use crate::alerts::grant::Scope;
use crate::alerts::poison_walk::BATCH;
use crate::answered::Answered;
use crate::rejection::{AlertRejection, Rejection};
use crate::settings::{BotSettings, CallerSettings};

/// The highest number of rows that one storage call reads, if the query has a filter.
const ROWS_AT_ONCE: u16 = 500;
/// The highest number of storage calls for one page of the list.
const MAX_CALLS: usize = 4;
/// The highest number of pages of table rows that an API call reads to find out which messages have no row.
/// Such a page has up to a thousand rows.
const MAX_DIGEST_PAGES: u32 = 4;
/// If a message holds no envelope (the JSON of an alert), the list shows at most this many characters of the
/// message.
const MAX_RAW_CHARACTERS: usize = 300;

pub(in crate::alerts) async fn get<H: Host>(
    host: &H,
    query: &str,
    caller: &Caller,
) -> Result<Answered, Rejection> {
    caller.require(Scope::Operate)?;
    let query = ListQuery::read(query).map_err(AlertRejection::from)?;
    let settings = BotSettings::open(host, CallerSettings::read(host)?).await?;
    let deadline = Deadline::after(host, WITHIN);
    let dead = dead_letters(host, &settings, deadline);
    let (rows, next) = page(&dead, &query).await?;
    let name = settings.queue.name.poison();
    let poison = QueueClient::new(host, &settings.queue.account, &name, deadline);
    let messages = match poison.approximate_count().await {
        Ok(messages) => messages,
        Err(QueueError::QueueMissing) => 0,
        Err(error) => return Err(not_reached(host, &error).into()),
    };
    let peeked = if query.with_texts { peek(host, &settings, &poison).await? } else { BTreeMap::new() };
    let now = host.now();
    // The messages without a row are on the first page of the list, if the query asks for texts and has no
    // filter.
    let is_first = query.after.is_none() && !query.has_filter();
    let without_row = if is_first { without_row(&dead, &rows, &peeked).await? } else { Vec::new() };
    let shown: Vec<_> = without_row
        .into_iter()
        .map(|(letter, text)| show_message(letter, text, now))
        .chain(rows.iter().map(|row| {
            let text = peeked.get(&row.digest).map(|(_, text)| text.as_str());
            show_row(row, text, now)
        }))
        .collect();
    let fields = json!({"dead": shown.len(), "messages": messages, "texts": query.with_texts});
    caller.event(host, Level::Info, "dead.listed", fields);
    let mut body = json!({"messages": messages, "dead": shown});
    if let Some(next) = next {
        body["next"] = next.as_str().into();
    }
    Ok(response::json(StatusCode::OK, &body).into())
}

/// Reads the rows of one page of the list. If the table can have more rows for the list, also returns the id
/// of the last row that the function read. The response has this id as `next`.
async fn page<H: Host>(
    dead: &DeadLetters<'_, H>,
    query: &ListQuery,
) -> Result<(Vec<DeadLetter>, Option<DeadLetterId>), AlertRejection> {
    let fits = |row: &DeadLetter| {
        query.outcome.as_ref().is_none_or(|outcome| *outcome == row.outcome)
            && query.conversation.as_ref().is_none_or(|key| key.as_str() == row.conversation)
    };
    let at_once =
        if query.has_filter() { ROWS_AT_ONCE } else { u16::try_from(query.limit).unwrap_or(u16::MAX) };
    let (mut rows, mut last) = (Vec::new(), query.after.clone());
    for _ in 0..MAX_CALLS {
        let page = dead.page(last.as_ref(), at_once).await?;
        let mut unread = page.letters.into_iter().peekable();
        while let Some(row) = unread.next() {
            last = Some(row.id.clone());
            if fits(&row) {
                rows.push(row);
            }
            if rows.len() >= query.limit {
                let has_more = page.has_more || unread.peek().is_some();
                return Ok((rows, last.filter(|_| has_more)));
            }
        }
        if !page.has_more {
            return Ok((rows, None));
        }
    }
    Ok((rows, last))
}

/// Peeks at the oldest messages of the poison queue. Returns each message with the text for the list. The key
/// in the map is the digest (hash) of the message.
async fn peek<H: Host>(
    host: &H,
    settings: &BotSettings,
    poison: &QueueClient<'_, H>,
) -> Result<BTreeMap<String, (Letter, String)>, AlertRejection> {
    let messages = match poison.peek_messages(BATCH).await {
        Ok(messages) => messages,
        Err(QueueError::QueueMissing) => Vec::new(),
        Err(error) => return Err(not_reached(host, &error)),
    };
    let open = |message: storage_queue::PeekedMessage| {
        let letter =
            Letter::open(&message.id, message.insertion_time, &message.text, settings.seal_key.as_ref());
        let text = match letter.envelope() {
            Some(envelope) => envelope.text.clone(),
            None => message.text.chars().take(MAX_RAW_CHARACTERS).collect(),
        };
        (letter.digest.clone(), (letter, text))
    };
    Ok(messages.into_iter().map(open).collect())
}

/// Returns the messages that have no row. If the table has more rows than this function reads, the result is
/// empty, because one of the unread rows can belong to a message.
async fn without_row<'p, H: Host>(
    dead: &DeadLetters<'_, H>,
    rows: &[DeadLetter],
    peeked: &'p BTreeMap<String, (Letter, String)>,
) -> Result<Vec<&'p (Letter, String)>, AlertRejection> {
    let mut unknown: BTreeSet<String> = peeked.keys().cloned().collect();
    for row in rows {
        unknown.remove(&row.digest);
    }
    if unknown.is_empty() {
        return Ok(Vec::new());
    }
    let (known, is_complete) = dead.with_digests(&unknown, MAX_DIGEST_PAGES).await?;
    unknown.retain(|digest| is_complete && !known.contains_key(digest));
    Ok(unknown.iter().filter_map(|digest| peeked.get(digest)).collect())
}

fn show_row(row: &DeadLetter, text: Option<&str>, now: DateTime<Utc>) -> Value {
    let mut shown = Map::new();
    put(&mut shown, "id", Some(row.id.as_str()));
    put(&mut shown, "alert", Some(row.alert.as_str()));
    put(&mut shown, "outcome", Some(row.outcome.as_str()));
    put(&mut shown, "reason", Some(row.reason.as_str()));
    put(&mut shown, "status", row.status);
    put_times(&mut shown, row.died_at, row.enqueued_at, now);
    put(&mut shown, "conversation", Some(row.conversation.as_str()).filter(|key| !key.is_empty()));
    put(&mut shown, "sender", row.origin.sender.as_deref());
    put(&mut shown, "tag", row.origin.tag.as_deref());
    put(&mut shown, "attempts", Some(row.attempts));
    let has_expired = row.expires_at.is_some_and(|expires_at| expires_at <= now);
    put(&mut shown, "replayable", Some(row.is_genuine && !has_expired));
    put(&mut shown, "text", text);
    shown.into()
}

fn show_message(letter: &Letter, text: &str, now: DateTime<Utc>) -> Value {
    let mut shown = Map::new();
    let alert = letter.envelope().map(|envelope| envelope.id.excerpt()).unwrap_or_default();
    put(&mut shown, "id", Some(letter.id_without_row().to_text()));
    put(&mut shown, "alert", Some(alert.as_ref()));
    put(&mut shown, "outcome", Some(excerpt(letter.outcome()).as_ref()));
    let reason = letter.failure.reason.as_deref().map(|reason| reason.chars().take(500).collect::<String>());
    put(
        &mut shown,
        "reason",
        Some(reason.unwrap_or_else(|| "unknown: the table has no row for this message".to_owned())),
    );
    put(&mut shown, "status", letter.failure.status);
    put_times(&mut shown, letter.died_at(), letter.enqueued_at(), now);
    put(&mut shown, "conversation", Some(letter.conversation()).filter(|key| !key.is_empty()));
    put(&mut shown, "attempts", Some(letter.failure.attempts));
    put(&mut shown, "replayable", Some(letter.to_replay(now).is_ok()));
    put(&mut shown, "text", Some(text));
    shown.into()
}

fn put_times(
    shown: &mut Map<String, Value>,
    died_at: DateTime<Utc>,
    enqueued_at: DateTime<Utc>,
    now: DateTime<Utc>,
) {
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
    put(shown, "diedAt", Some(time(died_at)));
    put(shown, "enqueuedAt", Some(time(enqueued_at)));
    put(shown, "ageSeconds", Some((now - died_at).num_seconds().max(0)));
}
