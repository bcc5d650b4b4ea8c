//! `DELETE /api/targets/{conversation}`: forgets a conversation, also in the poison queue.

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

/// Hosted platforms end a request after 30 s.
const WITHIN: Duration = Duration::from_secs(20);
/// A Get begins no later than that.
const SEARCH_WITHIN: Duration = Duration::from_secs(15);
/// The search hides each message that it looks at, and shows it again at its end. If the bot dies, this time does.
const LEASE_SECONDS: u32 = 30;
/// How many messages are given back to the queue side by side.
const RELEASED_AT_ONCE: usize = 8;
/// The most that a Get hands out.
const BATCH: u8 = 32;

/// What became of the poison queue's messages.
#[derive(Debug, Default)]
struct Search {
    /// They led to the conversation, and are deleted.
    removed: u32,
    /// Nobody can say where they lead to; they stay.
    unreadable: u32,
    /// Whether every message was looked at.
    is_complete: bool,
}

/// Forgets the conversation as `deleteUserData` does, and takes its messages out of the poison queue. A conversation that is
/// not known may have messages there all the same.
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
    // The next search must not take the queue for empty.
    let release = async |(id, receipt): (MessageId, PopReceipt)| {
        if let Err(error) = poison.hide(&id, &receipt, 0, None).await {
            host.event(Level::Warn, "poison.not-released", json!({"reason": error.to_string()}));
        }
    };
    let release = &release;
    stream::iter(others).for_each_concurrent(RELEASED_AT_ONCE, release).await;
    Ok(search)
}
