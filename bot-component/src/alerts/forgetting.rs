//! `DELETE /api/targets/{conversation}`: deletes a conversation, and its messages in the poison queue.

use std::time::Duration;

use bytes::Bytes;
use envelope::{Arrival, Envelope, EnvelopeId};
use futures_util::{StreamExt, stream};
use http::{Response, StatusCode};
use platform::{Deadline, Host, Level, answer};
use serde_json::json;
use state::ConversationKey;
use storage_queue::{MessageId, PopReceipt, QueueClient, QueueError};

use super::caller::Caller;
use super::grant::Scope;
use crate::conversation;
use crate::rejection::{AlertRejection, Rejection};
use crate::settings::{BotSettings, CallerSettings};

/// The longest time for the calls to the storage account, because hosted platforms end a request after 30 s.
const WITHIN: Duration = Duration::from_secs(20);
/// The search begins no Get after this time.
const SEARCH_WITHIN: Duration = Duration::from_secs(15);
/// How long the search hides each message. At its end, the search makes the messages visible that it did not
/// delete. If the bot is killed before, they become visible after this time.
const LEASE_SECONDS: u32 = 30;
/// How many messages the search makes visible at once.
const RELEASED_AT_ONCE: usize = 8;
/// The most messages that a Get returns.
const BATCH: u8 = 32;

/// The result of the search in the poison queue.
#[derive(Debug, Default)]
struct Search {
    /// How many messages to the conversation were found and deleted.
    removed: u32,
    /// How many messages hold no envelope, so that their conversation is unknown. They stay.
    unreadable: u32,
    /// Whether the search read every message.
    is_complete: bool,
}

/// Deletes the conversation as `deleteUserData` does, and deletes its messages in the poison queue. The bot
/// searches also for an unknown conversation, because the poison queue may hold messages to it.
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
    let Search { removed, unreadable, is_complete } = search;
    let fields = json!({
        "conversation": key.as_str(), "removed": removed, "unreadable": unreadable, "complete": is_complete,
    });
    caller.event(host, Level::Info, "target.forgotten", fields.clone());
    Ok(answer::json(StatusCode::OK, &fields))
}

async fn search_poison<H: Host>(
    host: &H,
    settings: &BotSettings,
    key: &ConversationKey,
    deadline: Deadline,
    search_until: Deadline,
) -> Result<Search, QueueError> {
    let name = settings.queue.name.poison();
    let poison = QueueClient::new(host, &settings.queue.account, &name, deadline);
    let mut search = Search::default();
    let mut others = Vec::new();
    while !search_until.has_passed(host) {
        let messages = match poison.get(BATCH, LEASE_SECONDS).await {
            Ok(messages) if !messages.is_empty() => messages,
            Ok(_) | Err(QueueError::QueueMissing) => {
                search.is_complete = true;
                break;
            }
            Err(error) => return Err(error),
        };
        for message in messages {
            let id = EnvelopeId::of_queue_message(message.id.as_str());
            let arrival = Arrival { id, at: message.insertion_time };
            match Envelope::decode(&message.text, None, arrival) {
                Ok((envelope, _)) if ConversationKey::of(&envelope.address) == *key => {
                    poison.delete(&message.id, &message.pop_receipt).await?;
                    search.removed += 1;
                }
                Ok(_) => others.push((message.id, message.pop_receipt)),
                Err(_) => {
                    search.unreadable += 1;
                    others.push((message.id, message.pop_receipt));
                }
            }
        }
    }
    // The next search must find these messages, and not an empty queue.
    let release = async |(id, receipt): (MessageId, PopReceipt)| {
        if let Err(error) = poison.hide(&id, &receipt, 0, None).await {
            host.event(Level::Warn, "poison.not-released", json!({"reason": error.to_string()}));
        }
    };
    let release = &release;
    stream::iter(others).for_each_concurrent(RELEASED_AT_ONCE, release).await;
    Ok(search)
}
