//! `DELETE /api/targets/{conversation}`: deletes the bot's record of a conversation, and all messages to the
//! conversation in the *poison queue*. This queue holds the *dead letters*, i.e. the messages that the poller
//! could not deliver.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use platform::{Deadline, Host, Level, response};
use serde_json::json;
use state::ConversationKey;
use state::runs::DeadLetterId;
use storage_queue::QueueError;
use storage_table::TableError;

use super::caller::Caller;
use super::grant::Scope;
use super::operating::dead::{Letter, dead_letters};
use super::poison_walk::PoisonWalk;
use crate::conversation;
use crate::rejection::{AlertRejection, Rejection};
use crate::settings::{BotSettings, CallerSettings};

/// The longest time for the storage calls. Hosted platforms end a request after 30 s.
const WITHIN: Duration = Duration::from_secs(20);
/// The search in the poison queue sends no Get Messages after this time, counted from the beginning of the
/// deletion.
const SEARCH_WITHIN: Duration = Duration::from_secs(15);
/// The highest number of query pages that the bot reads from the table of dead letters. Each query page has
/// up to a thousand rows. The table has one row for each dead letter. A message from an older version of the
/// poller does not name its row, so the bot has to search for the row.
const MAX_DIGEST_PAGES: u32 = 4;

/// The result of the search in the poison queue.
#[derive(Debug, Default)]
struct Search {
    /// How many messages to the conversation the search has found and deleted.
    removed: u32,
    /// How many messages hold no alert that the bot can read. The bot does not know the conversation of these
    /// messages, so they stay in the poison queue.
    unreadable: u32,
    /// Whether the search read every message.
    is_complete: bool,
    /// The rows of the deleted messages in the table of dead letters.
    rows: Vec<DeadLetterId>,
    /// The digests (hashes) of the deleted messages that do not name their row. The row of a message contains
    /// the same digest.
    digests: BTreeSet<String>,
}

/// Deletes the bot's record of the conversation, and all messages to the conversation in the poison queue.
/// The function deletes these messages even if the bot has no record of the conversation.
///
/// When a person asks to be forgotten (the activity `deleteUserData`), the bot deletes the record in the same
/// way, but does not search the poison queue.
pub(super) async fn delete<H: Host>(
    host: &H,
    conversation: &str,
    caller: &Caller,
) -> Result<Response<Bytes>, Rejection> {
    caller.require(Scope::Operate)?;
    let unknown = || AlertRejection::UnknownTarget { path: "conversation".into() };
    let key = ConversationKey::parse(conversation).ok_or_else(unknown)?;
    let settings = BotSettings::open(host, CallerSettings::read(host)?).await?;
    let (deadline, search_until) = (Deadline::after(host, WITHIN), Deadline::after(host, SEARCH_WITHIN));
    conversation::forget_for_good(host, &settings, &key, deadline).await.map_err(AlertRejection::from)?;
    let search = search_poison(host, &settings, &key, deadline, search_until).await.map_err(|error| {
        host.event(Level::Error, "poison.not-searched", json!({"reason": error.to_string()}));
        AlertRejection::PoisonNotSearched
    })?;
    remove_rows(host, &settings, &search, deadline).await;
    let Search { removed, unreadable, is_complete, .. } = search;
    let fields = json!({
        "conversation": key.as_str(), "removed": removed, "unreadable": unreadable, "complete": is_complete,
    });
    caller.event(host, Level::Info, "target.forgotten", fields.clone());
    Ok(response::json(StatusCode::OK, &fields))
}

async fn search_poison<H: Host>(
    host: &H,
    settings: &BotSettings,
    key: &ConversationKey,
    deadline: Deadline,
    search_until: Deadline,
) -> Result<Search, QueueError> {
    let name = settings.queue.name.poison();
    let mut walk = PoisonWalk::new(host, settings, &name, deadline, search_until);
    let mut search = Search::default();
    while let Some(messages) = walk.next().await? {
        for message in messages {
            let letter =
                Letter::open(&message.id, message.insertion_time, &message.text, settings.seal_key.as_ref());
            match letter.envelope() {
                Some(_) if letter.conversation() == key.as_str() => {
                    walk.delete(&message).await?;
                    search.removed += 1;
                    match letter.row() {
                        Some(row) => search.rows.push(row),
                        None => _ = search.digests.insert(letter.digest),
                    }
                }
                Some(_) => walk.leave(&message),
                None => {
                    search.unreadable += 1;
                    walk.leave(&message);
                }
            }
        }
    }
    // Perhaps another API call has *leased* (hidden for some seconds) messages of the poison queue. For
    // example, a replay leases dead letters, and puts them on the queue again. This search cannot get the
    // leased messages, so the search is then not complete.
    search.is_complete = walk.has_seen_all(search.removed.into()).await?;
    // The messages that the search has read, but not deleted, become visible again. In the poison queue,
    // these messages are then behind the messages that the search has not read. So a second search continues
    // where this search stopped.
    walk.end().await;
    Ok(search)
}

/// Deletes the rows of the deleted messages from the table of dead letters. If the bot cannot delete a row,
/// the API call still succeeds, because the text of the alert was in the deleted message, and a row never
/// holds this text. The row then stays until an operator drops the dead letter.
async fn remove_rows<H: Host>(host: &H, settings: &BotSettings, search: &Search, deadline: Deadline) {
    let dead = dead_letters(host, settings, deadline);
    let removed = async {
        let mut rows = search.rows.clone();
        if !search.digests.is_empty() {
            rows.extend(dead.with_digests(&search.digests, MAX_DIGEST_PAGES).await?.0.into_values());
        }
        for row in rows {
            dead.remove(&row).await?;
        }
        Ok::<_, TableError>(())
    };
    if let Err(error) = removed.await {
        host.event(Level::Warn, "dead.not-removed", json!({"reason": error.to_string()}));
    }
}
