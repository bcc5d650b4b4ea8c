//! Finding conversations by person, and what stands behind the rows of an index.

use std::cmp::Reverse;

use futures_util::{StreamExt, TryStreamExt, stream};
use platform::Host;
use storage_table::{Entity, Key};

use super::index::{Index, SEEN_AT};
use super::key::ConversationKey;
use super::record::{Conversation, FOREIGN_ROW, Rows, Stored, skipped};
use super::{AT_ONCE, Conversations};
use crate::StateError;

/// Of a person with more conversations, the newest are looked at: Web Chat begins a new one with every visit.
const MOST_OF_A_PERSON: usize = 50;

impl<H: Host> Conversations<'_, H> {
    /// A person's own conversation on a channel.
    pub async fn of_user(
        &self,
        channel_id: &str,
        user_id: &str,
    ) -> Result<Option<(ConversationKey, Conversation)>, StateError> {
        self.of_person(&Index::of_user(channel_id, user_id)).await
    }

    /// The own conversation of the person with this object id in Entra.
    pub async fn of_aad_object(
        &self,
        id: &str,
    ) -> Result<Option<(ConversationKey, Conversation)>, StateError> {
        self.of_person(&Index::of_aad_object(id)).await
    }

    /// The conversation in which the person was last seen: an alert for a person is said once. A paused one only if there is
    /// no other.
    async fn of_person(&self, index: &Index) -> Result<Option<(ConversationKey, Conversation)>, StateError> {
        let mut newest: Vec<Entity> = Vec::new();
        let mut continuation = None;
        loop {
            let page = self.table.query(&index.query(), continuation.as_ref()).await?;
            newest.extend(page.entities);
            newest.sort_by_key(|entity| Reverse(entity.int(SEEN_AT)));
            newest.truncate(MOST_OF_A_PERSON);
            continuation = page.next;
            if continuation.is_none() {
                break;
            }
        }
        let found = self.behind(index, newest).await?;
        Ok(found.into_iter().max_by_key(|(_, conversation)| (!conversation.paused, conversation.seen_at)))
    }

    /// The conversations to which rows of an index lead, in the order of their keys. A row that leads nowhere is deleted.
    pub(super) async fn behind(
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
            match self.leads_to(index, &rows) {
                Leads::There => {
                    let conversation = rows.conversation(self.host.now());
                    conversations.extend(conversation.map(|conversation| (key, conversation)));
                }
                Leads::Unknown => {}
                Leads::Nowhere => stale.push(key),
            }
        }
        let remove = async |key: ConversationKey| self.remove_stale(index, &index.row(&key), &key).await;
        let remove = &remove;
        stream::iter(stale).map(Ok).try_for_each_concurrent(AT_ONCE, remove).await?;
        Ok(conversations)
    }

    /// Deletes a row that leads nowhere, unless somebody has written it meanwhile. The row is read before the conversation,
    /// because `hear` writes them in the opposite order: a row that this read has not seen changes the version.
    async fn remove_stale(&self, index: &Index, row: &Key, key: &ConversationKey) -> Result<(), StateError> {
        let Some(found) = self.table.get(row).await? else { return Ok(()) };
        if self.leads_to(index, &self.rows_of(key).await?) == Leads::Nowhere {
            self.table.delete(row, Some(&found.etag)).await?;
        }
        Ok(())
    }

    fn leads_to(&self, index: &Index, rows: &Rows) -> Leads {
        match &rows.stored {
            Stored::Record(record) if index.leads_to(&record.address, &rows.tags, self.unbound) => {
                Leads::There
            }
            Stored::Record(_) | Stored::Nothing => Leads::Nowhere,
            Stored::Newer | Stored::Broken => Leads::Unknown,
        }
    }
}

#[derive(PartialEq)]
enum Leads {
    There,
    Nowhere,
    /// It may lead there once the record can be read.
    Unknown,
}

#[cfg(test)]
mod tests {
    use bot_framework::UnboundUsers;
    use platform::Clock;
    use platform::testing::run;
    use serde_json::json;

    use super::super::testing::{Stage, key, lose, place, plant, planted, subscribers, with};
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
    fn a_person_is_found_in_the_youngest_conversation_where_somebody_is() {
        let stage = Stage::new();
        let of_user = || run(stage.book().of_user("webchat", "dl_u")).unwrap().map(|(key, _)| key);
        assert_eq!(of_user(), None);
        let keys: Vec<_> = (0..3)
            .map(|number| {
                stage.at(10 * number);
                let reference = webchat(&number.to_string());
                stage.hear(&reference, Sign::Message);
                ConversationKey::of(&reference)
            })
            .collect();
        assert_eq!(of_user().as_ref(), Some(&keys[2]));
        run(stage.book().pause(&webchat("2"), stage.host.now() + PAUSED_FOR)).unwrap();
        assert_eq!(of_user().as_ref(), Some(&keys[1]));
        for id in ["0", "1"] {
            run(stage.book().pause(&webchat(id), stage.host.now() + PAUSED_FOR)).unwrap();
        }
        assert_eq!(of_user().as_ref(), Some(&keys[2]), "a paused one rather than none");
        assert_eq!(run(stage.book().of_aad_object("E5")), Ok(None), "a visitor wrote it");
        stage.hear(&with(|_| {}), Sign::Message);
        let found = run(stage.book().of_aad_object("E5")).unwrap().map(|(key, _)| key);
        assert_eq!(found, Some(key()));
        assert_eq!(run(stage.book().of_user("msteams", "dl_u")), Ok(None));
        assert_eq!(run(stage.book().of_aad_object("nobody")), Ok(None));
    }

    #[test]
    fn of_a_person_with_many_conversations_the_newest_are_looked_at() {
        let stage = Stage::new();
        let mut references: Vec<_> = (0..60).map(|number| webchat(&number.to_string())).collect();
        // The newest is the last one of the index.
        references.sort_by_key(ConversationKey::of);
        for (seconds, reference) in (0..).zip(&references) {
            stage.at(seconds);
            stage.hear(reference, Sign::Message);
        }
        let newest = ConversationKey::of(&references[59]);
        let calls = stage.calls();
        let found = run(stage.book().of_user("webchat", "dl_u")).unwrap().map(|(key, _)| key);
        assert_eq!(found.as_ref(), Some(&newest));
        assert!(stage.calls() - calls <= 1 + 16, "a query of the index, and one for each shard");
        // Nobody is in any of the 50, and the ten before them are not looked at.
        for reference in &references[60 - MOST_OF_A_PERSON..] {
            run(stage.book().pause(reference, stage.host.now() + PAUSED_FOR)).unwrap();
        }
        let found = run(stage.book().of_user("webchat", "dl_u")).unwrap().map(|(key, _)| key);
        assert_eq!(found, Some(newest));
    }

    #[test]
    fn an_id_that_the_client_chose_finds_nobody_unless_that_is_allowed() {
        let stage = Stage::new();
        let chosen = with(|json| {
            json["channelId"] = "webchat".into();
            json["user"] = json!({"id": "ann"});
        });
        let allowing = || stage.book().with_unbound_users(UnboundUsers::Allow);
        let of_user = |book: Conversations<'_, _>| run(book.of_user("webchat", "ann")).unwrap().is_some();
        stage.hear(&chosen, Sign::Message);
        assert!(!stage.rows().iter().any(|row| row.starts_with("u.")), "{:?}", stage.rows());
        run(allowing().hear(
            &with(|json| {
                json["channelId"] = "webchat".into();
                json["user"] = json!({"id": "ann", "name": "Ann"});
            }),
            Sign::Message,
            None,
        ))
        .unwrap();
        assert!(of_user(allowing()));
        // The variable was changed: the row that was written meanwhile leads nowhere, and is deleted.
        assert!(!of_user(stage.book()));
        assert!(!stage.rows().iter().any(|row| row.starts_with("u.")), "{:?}", stage.rows());
    }

    #[test]
    fn an_index_that_leads_nowhere_is_passed_over_and_deleted() {
        let stage = Stage::new();
        let (partition, row) = place();
        stage.hear(&with(|_| {}), Sign::Message);
        // Of somebody else, of nobody, and one that the bot did not write.
        plant("u.msteams.29:other", &row, |entity| entity);
        plant("t.t.x", &row, |entity| entity);
        plant("u.msteams.29:u", &"0".repeat(32), |entity| entity);
        plant("u.msteams.29:u", "something else", |entity| entity);
        let book = stage.book();
        assert_eq!(run(book.of_user("msteams", "29:other")), Ok(None));
        let filter = Filter { tag: Some(subscribers("x", &[Some("t")])), tenant_id: None };
        assert!(run(book.page(None, 1, &filter)).unwrap().conversations.is_empty());
        assert_eq!(run(book.of_user("msteams", "29:u")).unwrap().unwrap().0, key());
        let expected = [
            format!("{partition}/{row}"),
            format!("e.e5/{row}"),
            format!("n.t/{row}"),
            format!("u.msteams.29:u/{row}"),
            "u.msteams.29:u/something else".to_owned(),
        ];
        assert_eq!(stage.rows(), expected);
        assert_eq!(stage.host.events("conversation.entity-skipped").len(), 1, "the foreign row");
        // A record that this version cannot read keeps its indexes.
        plant(&partition, &row, |entity| entity.with("version", 2));
        assert_eq!(run(book.of_user("msteams", "29:u")), Ok(None));
        assert_eq!(stage.rows(), expected);
    }

    #[test]
    fn an_index_that_is_written_while_it_is_found_stale_is_not_deleted() {
        // The calls: the query, the conversation, the row, the conversation again, the delete.
        for (nth, is_seen) in [(2, true), (3, false), (4, false), (5, false)] {
            let stage = Stage::new();
            let (partition, row) = place();
            stage.hear(&with(|_| {}), Sign::Message);
            let record = planted(&partition, &row).unwrap();
            let index = planted("u.msteams.29:u", &row).unwrap();
            lose(&partition, &row);
            let index_row = row.clone();
            stage.before_call(nth, move || {
                plant(&partition, &row, |_| record);
                plant("u.msteams.29:u", &row, |_| index);
            });
            let found = run(stage.book().of_user("msteams", "29:u")).unwrap();
            assert_eq!(found.is_some(), is_seen, "before call {nth}");
            assert!(planted("u.msteams.29:u", &index_row).is_some(), "before call {nth}");
        }
    }
}
