//! The teams and chats that the bot is in, by tenant. The *roster* of a team or chat is the list of its
//! members. For an alert to an e-mail address, the poller asks the Connector which roster contains the
//! address.

use std::cmp::Reverse;

use bot_framework::ConversationReference;
use chrono::{DateTime, Utc};
use platform::Host;
use storage_table::{Entity, Filter as Rule, Key, Query};

use super::Conversations;
use super::index::{Index, MAX_TOP, SEEN_AT};
use super::key::ConversationKey;
use super::record::skipped;
use crate::StateError;

/// In the conversation id of a thread, this text separates the id of the team's channel from the id of the
/// thread's first message.
const THREAD: &str = ";messageid=";

/// A team or chat that the bot is in, and the URL of its Connector. The Connector knows the members of
/// the team or chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamOrChat {
    /// The conversation id of the team's channel or of the chat, without the part that names a thread.
    pub conversation_id: String,
    /// The URL of the Connector, from the address of a conversation. The caller has to check whether the bot
    /// trusts this URL.
    pub service_url: String,
}

/// Returns the id of the team's channel or of the chat to which a conversation belongs. This is the
/// conversation id without the part that names a thread.
pub fn without_thread(conversation_id: &str) -> &str {
    conversation_id.split_once(THREAD).map_or(conversation_id, |(channel, _)| channel)
}

/// The key of the row for the team or chat to which a conversation belongs. Each channel of a team has its
/// own row, which all threads of the channel share. The result is `None` for a conversation of one person,
/// and for a conversation without a [vouched tenant](ConversationReference::vouched_tenant).
fn key_of_roster(address: &ConversationReference) -> Option<Key> {
    let tenant = address.vouched_tenant().filter(|_| address.conversation.is_group())?;
    let id = without_thread(&address.conversation.id);
    let key = ConversationKey::of_ids(&address.channel_id, id);
    Some(Key::new(Index::of_rosters(tenant).partition(), key.as_str()))
}

/// The key of the row for a conversation's team or chat, for [`Conversations::forget`], which deletes this
/// row. The result is `None` if the conversation has no such row. The result is also `None` if the
/// conversation is a thread, because the channel and the other threads of the channel still need the row.
pub(super) fn key_of_ended_roster(address: &ConversationReference) -> Option<Key> {
    key_of_roster(address).filter(|_| without_thread(&address.conversation.id) == address.conversation.id)
}

impl<H: Host> Conversations<'_, H> {
    /// Records the team or chat to which a conversation belongs. Writes nothing for a conversation of one
    /// person, or for a conversation without a vouched tenant.
    pub(super) async fn put_roster(
        &self,
        address: &ConversationReference,
        seen_at: DateTime<Utc>,
    ) -> Result<(), StateError> {
        let Some(key) = key_of_roster(address) else { return Ok(()) };
        let entity = Entity::new(key)
            .with("conversation", without_thread(&address.conversation.id))
            .with("serviceUrl", address.service_url.as_str())
            .with_int64(SEEN_AT, seen_at.timestamp_millis());
        self.table.put(&entity).await?;
        Ok(())
    }

    /// Reads at most `limit` teams and chats of a tenant. The team or chat that was active last comes first.
    /// The method makes one query, or several if the tenant has more than a thousand teams and chats.
    pub async fn rosters(&self, tenant_id: &str, limit: usize) -> Result<Vec<TeamOrChat>, StateError> {
        let index = Index::of_rosters(tenant_id);
        let query = Query { filter: Rule::partition(index.partition()), top: MAX_TOP, select: Vec::new() };
        let mut rows: Vec<Entity> = Vec::new();
        let mut continuation = None;
        loop {
            let page = self.table.query(&query, continuation.as_ref()).await?;
            rows.extend(page.entities);
            rows.sort_by_key(|entity| Reverse(entity.int(SEEN_AT)));
            rows.truncate(limit);
            continuation = page.next;
            if continuation.is_none() {
                break;
            }
        }
        let roster = |entity: &Entity| {
            let text = |name: &str| entity.str(name).filter(|text| !text.is_empty()).map(str::to_owned);
            let roster = text("conversation").zip(text("serviceUrl"));
            if roster.is_none() {
                skipped(self.host, &entity.key, "conversation, serviceUrl: expected text");
            }
            roster.map(|(conversation_id, service_url)| TeamOrChat { conversation_id, service_url })
        };
        Ok(rows.iter().filter_map(roster).collect())
    }

    /// Returns the address of a *neighbour*: any stored conversation of a tenant. Returns `None` if it finds
    /// no such conversation. To create a new conversation in the tenant, the bot uses the Connector and the
    /// bot account of the neighbour. This method makes two storage calls. It makes a few more if index rows
    /// are stale (they point to conversations that no longer belong to the tenant).
    pub async fn neighbour(&self, tenant_id: &str) -> Result<Option<ConversationReference>, StateError> {
        const MOST_TRIED: usize = 3;
        let index = Index::of_tenant(tenant_id);
        // The caller can use any conversation of the tenant, so the first page of the index is enough. From
        // this page, the method first tries the conversation that was active last.
        let query = Query { top: 100, ..index.query() };
        let mut rows = self.table.query(&query, None).await?.entities;
        rows.sort_by_key(|entity| Reverse(entity.int(SEEN_AT)));
        for row in rows.into_iter().take(MOST_TRIED) {
            if let Some((_, conversation)) = self.conversations_of_rows(&index, vec![row]).await?.pop() {
                return Ok(Some(conversation.address));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use platform::testing::run;
    use serde_json::json;

    use super::super::Sign;
    use super::super::testing::{Stage, with};
    use super::*;

    fn group(id: &str, tenant: &str) -> ConversationReference {
        with(|json| {
            json["conversation"] = json!({"id": id, "conversationType": "channel", "tenantId": tenant});
        })
    }

    fn found(stage: &Stage, limit: usize) -> Vec<String> {
        let rosters = run(stage.conversations().rosters("T", limit)).unwrap();
        rosters.into_iter().map(|roster| roster.conversation_id).collect()
    }

    #[test]
    fn teams_and_chats_of_a_tenant_are_found_once_and_the_latest_first() {
        let stage = Stage::new();
        for (seconds, id, tenant) in [
            (0, "19:a@thread.tacv2;messageid=1", "t"),
            (1, "19:b@thread.v2", "t"),
            (2, "19:a@thread.tacv2;messageid=2", "t"),
            (3, "19:other@thread.v2", "u"),
        ] {
            stage.at(seconds);
            stage.record_activity(&group(id, tenant), Sign::Message);
        }
        stage.record_activity(&with(|_| {}), Sign::Message);
        assert_eq!(found(&stage, 20), ["19:a@thread.tacv2", "19:b@thread.v2"]);
        assert_eq!(found(&stage, 1), ["19:a@thread.tacv2"]);
        let connector = &run(stage.conversations().rosters("t", 1)).unwrap()[0].service_url;
        assert_eq!(connector, "https://smba.trafficmanager.net/amer/");
    }

    #[test]
    fn team_is_forgotten_with_the_channel_but_not_with_a_thread() {
        let stage = Stage::new();
        for id in ["19:a@thread.tacv2", "19:a@thread.tacv2;messageid=1"] {
            stage.record_activity(&group(id, "t"), Sign::Message);
        }
        let forget =
            |id: &str| run(stage.conversations().forget(&ConversationKey::of_ids("msteams", id))).unwrap();
        forget("19:a@thread.tacv2;messageid=1");
        assert_eq!(found(&stage, 20), ["19:a@thread.tacv2"]);
        forget("19:a@thread.tacv2");
        assert!(stage.rows().is_empty(), "{:?}", stage.rows());
    }

    #[test]
    fn neighbour_is_a_conversation_of_the_tenant() {
        let stage = Stage::new();
        assert_eq!(run(stage.conversations().neighbour("t")), Ok(None));
        stage.record_activity(&with(|_| {}), Sign::Message);
        let calls = stage.calls();
        let neighbour = run(stage.conversations().neighbour("T")).unwrap().unwrap();
        assert_eq!(neighbour.service_url, "https://smba.trafficmanager.net/amer/");
        assert_eq!(stage.calls() - calls, 2);
        assert_eq!(run(stage.conversations().neighbour("u")), Ok(None));
    }
}
