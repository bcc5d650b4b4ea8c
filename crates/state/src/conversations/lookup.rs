//! Finds the conversation of a person, and the conversations to which the rows of an index point.

use std::cmp::Reverse;

use futures_util::{StreamExt, TryStreamExt, stream};
use platform::Host;
use storage_table::{Entity, Key};

use super::index::{Index, SEEN_AT};
use super::key::ConversationKey;
use super::record::{Conversation, FOREIGN_ROW, Rows, Stored, skipped};
use super::{AT_ONCE, Conversations};
use crate::StateError;

/// A lookup of a person reads at most this many of the person's conversations: the conversations that were
/// active last. A person can have many conversations, because Web Chat begins a new conversation with every
/// visit.
const MAX_OF_A_PERSON: usize = 50;

impl<H: Host> Conversations<'_, H> {
    /// Finds a person's own conversation (not a group) on a channel.
    pub async fn of_user(
        &self,
        channel_id: &str,
        user_id: &str,
    ) -> Result<Option<(ConversationKey, Conversation)>, StateError> {
        self.of_person(&Index::of_user(channel_id, user_id)).await
    }

    /// Finds a person's own conversation (not a group) by the person's object id in Entra.
    pub async fn of_aad_object(
        &self,
        id: &str,
    ) -> Result<Option<(ConversationKey, Conversation)>, StateError> {
        self.of_person(&Index::of_aad_object(id)).await
    }

    /// Finds the conversation that gets a person's alerts: the conversation in which the person was active
    /// last. A paused conversation is returned only if all conversations that the lookup reads are paused.
    async fn of_person(&self, index: &Index) -> Result<Option<(ConversationKey, Conversation)>, StateError> {
        let mut newest: Vec<Entity> = Vec::new();
        let mut continuation = None;
        loop {
            let page = self.table.query(&index.query(), continuation.as_ref()).await?;
            newest.extend(page.entities);
            newest.sort_by_key(|entity| Reverse(entity.int(SEEN_AT)));
            newest.truncate(MAX_OF_A_PERSON);
            continuation = page.next;
            if continuation.is_none() {
                break;
            }
        }
        let found = self.conversations_of_rows(index, newest).await?;
        Ok(found.into_iter().max_by_key(|(_, conversation)| (!conversation.paused, conversation.seen_at)))
    }

    /// Reads the conversations to which rows of an index point, in the order of the conversation keys.
    /// Deletes each stale row: its conversation is not stored, or does not belong to the index.
    pub(super) async fn conversations_of_rows(
        &self,
        index: &Index,
        rows: Vec<Entity>,
    ) -> Result<Vec<(ConversationKey, Conversation)>, StateError> {
        let mut keys = Vec::with_capacity(rows.len());
        for row in rows {
            match ConversationKey::parse(&row.key.row) {
                Some(key) => keys.push(key),
                None => skipped(self.host, &row.key, FOREIGN_ROW),
            }
        }
        let mut stale = Vec::new();
        let mut conversations = Vec::with_capacity(keys.len());
        for (key, rows) in self.rows_of_all(keys).await? {
            match self.index_row_state(index, &rows) {
                IndexRow::Valid => {
                    let conversation = rows.conversation(self.host.now());
                    conversations.extend(conversation.map(|conversation| (key, conversation)));
                }
                IndexRow::Unknown => {}
                IndexRow::Stale => stale.push(key),
            }
        }
        let remove = async |key: ConversationKey| self.remove_stale(index, &index.row(&key), &key).await;
        let remove = &remove;
        stream::iter(stale).map(Ok).try_for_each_concurrent(AT_ONCE, remove).await?;
        Ok(conversations)
    }

    /// Deletes a stale index row. If another writer has written the row again in the meantime, the row is
    /// kept.
    ///
    /// Another call, `record_activity`, can write the conversation at the same time. `record_activity` writes
    /// the record first, and the index row after the record. So this method reads in the opposite order:
    /// first the index row, and then the conversation. Suppose that this method does not see the new record.
    /// Then `record_activity` writes the record after this method has read the conversation, and the index
    /// row even later. There are two cases:
    ///
    /// - `record_activity` writes the index row before the delete. The write changes the ETag, so the service
    ///   refuses the delete.
    /// - `record_activity` writes the index row after the delete. The write restores the row.
    async fn remove_stale(&self, index: &Index, row: &Key, key: &ConversationKey) -> Result<(), StateError> {
        let Some(found) = self.table.get(row).await? else { return Ok(()) };
        if self.index_row_state(index, &self.rows_of(key).await?) == IndexRow::Stale {
            self.table.delete(row, Some(&found.etag)).await?;
        }
        Ok(())
    }

    fn index_row_state(&self, index: &Index, rows: &Rows) -> IndexRow {
        match &rows.stored {
            Stored::Record(record) if index.contains(&record.address, &rows.tags, self.unbound) => {
                IndexRow::Valid
            }
            Stored::Record(_) | Stored::Nothing => IndexRow::Stale,
            Stored::Newer | Stored::Broken => IndexRow::Unknown,
        }
    }
}

/// Whether the conversation to which an index row points belongs to the index.
#[derive(PartialEq)]
enum IndexRow {
    Valid,
    Stale,
    /// This version cannot read the conversation's record.
    Unknown,
}

#[cfg(test)]
mod tests {
    use bot_framework::UnboundUsers;
    use platform::Clock;
    use platform::testing::run;
    use serde_json::json;

    use super::super::testing::{
        Stage, delete_entity, key, place, read_entity, subscribers, with, write_entity,
    };
    use super::super::{Filter, PAUSED_FOR, Sign};
    use super::*;

    fn webchat(id: &str) -> bot_framework::ConversationReference {
        with(|json| {
            json["channelId"] = "webchat".into();
            json["conversation"] = json!({"id": id});
            json["user"]["id"] = "dl_u".into();
        })
    }

    #[test]
    fn person_with_several_conversations_is_found_in_the_newest_conversation_that_is_not_paused() {
        let stage = Stage::new();
        let of_user = || run(stage.conversations().of_user("webchat", "dl_u")).unwrap().map(|(key, _)| key);
        assert_eq!(of_user(), None);
        let keys: Vec<_> = (0..3)
            .map(|number| {
                stage.at(10 * number);
                let reference = webchat(&number.to_string());
                stage.record_activity(&reference, Sign::Message);
                ConversationKey::of(&reference)
            })
            .collect();
        assert_eq!(of_user().as_ref(), Some(&keys[2]));
        run(stage.conversations().pause(&webchat("2"), stage.host.now() + PAUSED_FOR)).unwrap();
        assert_eq!(of_user().as_ref(), Some(&keys[1]));
        for id in ["0", "1"] {
            run(stage.conversations().pause(&webchat(id), stage.host.now() + PAUSED_FOR)).unwrap();
        }
        assert_eq!(
            of_user().as_ref(),
            Some(&keys[2]),
            "all conversations are paused, so the newest one is found"
        );
        assert_eq!(
            run(stage.conversations().of_aad_object("E5")),
            Ok(None),
            "Web Chat does not vouch for object ids"
        );
        stage.record_activity(&with(|_| {}), Sign::Message);
        let found = run(stage.conversations().of_aad_object("E5")).unwrap().map(|(key, _)| key);
        assert_eq!(found, Some(key()));
        assert_eq!(run(stage.conversations().of_user("msteams", "dl_u")), Ok(None));
        assert_eq!(run(stage.conversations().of_aad_object("nobody")), Ok(None));
    }

    #[test]
    fn person_with_many_conversations_is_found_in_one_of_the_newest_50_conversations() {
        let stage = Stage::new();
        let mut references: Vec<_> = (0..60).map(|number| webchat(&number.to_string())).collect();
        // The conversations become active in the order of their keys. So the newest conversation has the last
        // row of the index.
        references.sort_by_key(ConversationKey::of);
        for (seconds, reference) in (0..).zip(&references) {
            stage.at(seconds);
            stage.record_activity(reference, Sign::Message);
        }
        let newest = ConversationKey::of(&references[59]);
        let calls = stage.calls();
        let found = run(stage.conversations().of_user("webchat", "dl_u")).unwrap().map(|(key, _)| key);
        assert_eq!(found.as_ref(), Some(&newest));
        let made = stage.calls() - calls;
        assert!(made <= 1 + 16, "expected a query of the index and one for each shard, found {made} calls");
        // The newest 50 conversations are paused. The ten older ones are not paused, but the lookup does not
        // read them.
        for reference in &references[60 - MAX_OF_A_PERSON..] {
            run(stage.conversations().pause(reference, stage.host.now() + PAUSED_FOR)).unwrap();
        }
        let found = run(stage.conversations().of_user("webchat", "dl_u")).unwrap().map(|(key, _)| key);
        assert_eq!(found, Some(newest));
    }

    #[test]
    fn user_id_that_the_client_chose_finds_no_conversation_unless_unbound_users_are_allowed() {
        let stage = Stage::new();
        let chosen = with(|json| {
            json["channelId"] = "webchat".into();
            json["user"] = json!({"id": "ann"});
        });
        let allowing = || stage.conversations().with_unbound_users(UnboundUsers::Allow);
        let of_user = |conversations: Conversations<'_, _>| {
            run(conversations.of_user("webchat", "ann")).unwrap().is_some()
        };
        stage.record_activity(&chosen, Sign::Message);
        assert!(!stage.rows().iter().any(|row| row.starts_with("u.")), "{:?}", stage.rows());
        run(allowing().record_activity(
            &with(|json| {
                json["channelId"] = "webchat".into();
                json["user"] = json!({"id": "ann", "name": "Ann"});
            }),
            Sign::Message,
            None,
        ))
        .unwrap();
        assert!(of_user(allowing()));
        // By default, the bot finds no conversation by an id that a client chose. So the index row is stale,
        // and the lookup deletes the row.
        assert!(!of_user(stage.conversations()));
        assert!(!stage.rows().iter().any(|row| row.starts_with("u.")), "{:?}", stage.rows());
    }

    #[test]
    fn stale_index_row_is_ignored_and_deleted() {
        let stage = Stage::new();
        let (partition, row) = place();
        stage.record_activity(&with(|_| {}), Sign::Message);
        // The first three rows are stale: the conversation belongs to another user, the conversation does not
        // have the tag, and the conversation is not stored. The bot did not write the fourth row.
        write_entity("u.msteams.29:other", &row, |entity| entity);
        write_entity("t.t.x", &row, |entity| entity);
        write_entity("u.msteams.29:u", &"0".repeat(32), |entity| entity);
        write_entity("u.msteams.29:u", "something else", |entity| entity);
        let conversations = stage.conversations();
        assert_eq!(run(conversations.of_user("msteams", "29:other")), Ok(None));
        let filter = Filter { tag: Some(subscribers("x", &[Some("t")])), tenant_id: None };
        assert!(run(conversations.page(None, 1, &filter)).unwrap().conversations.is_empty());
        assert_eq!(run(conversations.of_user("msteams", "29:u")).unwrap().unwrap().0, key());
        let expected = [
            format!("{partition}/{row}"),
            format!("e.e5/{row}"),
            format!("n.t/{row}"),
            format!("u.msteams.29:u/{row}"),
            "u.msteams.29:u/something else".to_owned(),
        ];
        assert_eq!(stage.rows(), expected);
        assert_eq!(stage.host.events("conversation.entity-skipped").len(), 1, "the foreign row");
        // If this version cannot read the record, the index rows of the conversation are kept.
        write_entity(&partition, &row, |entity| entity.with("version", 2));
        assert_eq!(run(conversations.of_user("msteams", "29:u")), Ok(None));
        assert_eq!(stage.rows(), expected);
    }

    #[test]
    fn stale_index_row_that_is_written_again_before_the_delete_is_kept() {
        // The lookup makes five calls. It queries the index, reads the conversation, reads the index row,
        // reads the conversation again, and deletes the index row.
        for (nth, is_found) in [(2, true), (3, false), (4, false), (5, false)] {
            let stage = Stage::new();
            let (partition, row) = place();
            stage.record_activity(&with(|_| {}), Sign::Message);
            let record = read_entity(&partition, &row).unwrap();
            let index = read_entity("u.msteams.29:u", &row).unwrap();
            delete_entity(&partition, &row);
            let index_row = row.clone();
            stage.before_call(nth, move || {
                write_entity(&partition, &row, |_| record);
                write_entity("u.msteams.29:u", &row, |_| index);
            });
            let found = run(stage.conversations().of_user("msteams", "29:u")).unwrap();
            assert_eq!(found.is_some(), is_found, "another write before call {nth}");
            assert!(read_entity("u.msteams.29:u", &index_row).is_some(), "another write before call {nth}");
        }
    }
}
