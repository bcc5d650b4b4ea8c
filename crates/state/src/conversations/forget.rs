//! Forgetting a conversation, or a person.

use bot_framework::{ConversationReference, vouches_for_identity};
use chrono::{DateTime, Utc};
use platform::Host;
use storage_table::Entity;

use super::Conversations;
use super::index::Index;
use super::key::{ConversationKey, Row};
use super::record::{Stored, key_of};
use crate::StateError;

impl<H: Host> Conversations<'_, H> {
    /// Forgets a conversation: its record, tags, indexes and fingerprint. A `stop` stays, because only `start` ends it, and so
    /// does a tombstone. A record of a newer version is left alone, with everything that belongs to it.
    pub async fn forget(&self, key: &ConversationKey) -> Result<(), StateError> {
        let rows = self.rows_of(key).await?;
        let address = match &rows.stored {
            Stored::Newer => return Ok(()),
            Stored::Record(record) => Some(&record.address),
            Stored::Nothing | Stored::Broken => None,
        };
        // Before the record is deleted, in case that the bot dies; and after it, in case that an activity of the
        // conversation is answered meanwhile.
        self.forget_fingerprint(key).await;
        self.delete_all([key_of(key, &Row::Record)]).await?;
        let mut rest: Vec<_> = address.map(Index::ever_of_address).unwrap_or_default();
        match address {
            Some(address) => rest.extend(rows.tags.iter().map(|tag| Index::of_tag_at(address, tag))),
            // Nobody knows the tenant. A list of another one leads nowhere, and its reader deletes the row.
            None => rest.extend(rows.tags.iter().map(|tag| Index::of_tag(None, tag))),
        }
        let indexes = rest.iter().map(|index| index.row(key));
        let own = rows.tags.into_iter().map(Row::Tag);
        self.delete_all(indexes.chain(own.map(|row| key_of(key, &row)))).await?;
        self.forget_fingerprint(key).await;
        Ok(())
    }

    /// Leaves a tombstone: what was accepted for the conversation until now is not said, whatever becomes known of it later.
    pub async fn entomb(&self, key: &ConversationKey, now: DateTime<Utc>) -> Result<(), StateError> {
        let entity = Entity::new(key_of(key, &Row::Forgotten)).with_int64("at", now.timestamp_millis());
        self.table.put(&entity).await?;
        Ok(())
    }

    /// The conversations that are this person's own: this one, and where the channel vouches for who the person is, every
    /// other. A group is nobody's own; its record has nothing of the person.
    pub async fn own_of_person(
        &self,
        reference: &ConversationReference,
    ) -> Result<Vec<ConversationKey>, StateError> {
        let mut own = Vec::new();
        if !reference.conversation.is_group() {
            own.push(ConversationKey::of(reference));
        }
        let user = reference.user.as_ref().filter(|_| vouches_for_identity(&reference.channel_id));
        let Some(user) = user else { return Ok(own) };
        let indexes = [
            Some(Index::of_user(&reference.channel_id, &user.id)),
            reference.vouched_aad_object_id().map(Index::of_aad_object),
        ];
        for index in indexes.into_iter().flatten() {
            let mut continuation = None;
            loop {
                let page = self.table.query(&index.query(), continuation.as_ref()).await?;
                own.extend(self.behind(&index, page.entities).await?.into_iter().map(|(key, _)| key));
                continuation = page.next;
                if continuation.is_none() {
                    break;
                }
            }
        }
        own.sort();
        own.dedup();
        Ok(own)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::TimeDelta;
    use platform::testing::run;
    use platform::{Clock, KeyValue};
    use serde_json::json;

    use super::super::testing::{Stage, key, place, plant, with};
    use super::super::{Heard, Sign, known_key};
    use super::*;

    #[test]
    fn nothing_but_its_stop_is_left_of_a_forgotten_conversation() {
        let stage = Stage::new();
        stage.hear(&with(|json| json["conversation"]["id"] = "a:other".into()), Sign::Message);
        let others = stage.rows();
        let Heard::Stored(fingerprint) = stage.hear(&with(|_| {}), Sign::Message) else { panic!("expected") };
        run(stage.host.set(&known_key(&key()), &fingerprint.to_bytes())).unwrap();
        stage.tag(&key(), "x#1");
        stage.tag(&key(), "y");
        run(stage.book().stop(&key(), stage.host.now())).unwrap();
        assert_eq!(stage.rows().len(), others.len() + 9);
        let (partition, row) = place();
        let expected = BTreeSet::from_iter([others, vec![format!("{partition}/{row}.s")]].concat());
        for _ in 0..2 {
            run(stage.book().forget(&key())).unwrap();
            assert_eq!(BTreeSet::from_iter(stage.rows()), expected);
        }
        assert_eq!(run(stage.host.get(&known_key(&key()))), Ok(None));
    }

    #[test]
    fn a_tag_without_a_readable_record_is_forgotten_too() {
        let stage = Stage::new();
        let (partition, row) = place();
        plant(&partition, &row, |entity| entity.with("version", 1));
        plant(&partition, &format!("{row}.t.x"), |entity| entity);
        plant("t..x", &row, |entity| entity);
        run(stage.book().forget(&key())).unwrap();
        assert!(stage.rows().is_empty(), "{:?}", stage.rows());
    }

    #[test]
    fn a_tombstone_stays_and_tells_its_time() {
        let stage = Stage::new();
        stage.hear(&with(|_| {}), Sign::Message);
        run(stage.book().entomb(&key(), stage.host.now())).unwrap();
        run(stage.book().forget(&key())).unwrap();
        let standing = || run(stage.book().standing(&key())).unwrap();
        assert_eq!(standing().forgotten_at, Some(stage.host.now()));
        assert_eq!(run(stage.book().get(&key())), Ok(None), "a tombstone makes no conversation");
        // The person is back, and asks once more.
        stage.at(60);
        stage.hear(&with(|_| {}), Sign::Message);
        assert!(run(stage.book().get(&key())).unwrap().is_some());
        assert_eq!(standing().forgotten_at, Some(stage.host.now() - TimeDelta::seconds(60)));
        run(stage.book().entomb(&key(), stage.host.now())).unwrap();
        assert_eq!(standing().forgotten_at, Some(stage.host.now()));
    }

    fn conversation(id: &str, user: &str) -> ConversationReference {
        with(|json| {
            json["conversation"]["id"] = id.into();
            json["user"] = json!({"id": user, "aadObjectId": if user == "29:u" { "e5" } else { "e6" }});
        })
    }

    fn own(stage: &Stage, reference: &ConversationReference) -> Vec<ConversationKey> {
        run(stage.book().own_of_person(reference)).unwrap()
    }

    #[test]
    fn every_conversation_of_a_person_is_their_own_and_nobody_elses() {
        let stage = Stage::new();
        let mut expected: Vec<_> = (0..10)
            .map(|number| {
                let reference = conversation(&format!("a:{number}"), "29:u");
                stage.hear(&reference, Sign::Message);
                ConversationKey::of(&reference)
            })
            .collect();
        expected.sort();
        let others = conversation("a:others", "29:somebody-else");
        stage.hear(&others, Sign::Message);
        let theirs = ConversationKey::of(&others);
        // An index that leads to a conversation of somebody else.
        plant("u.msteams.29:u", theirs.as_str(), |entity| entity);
        assert_eq!(own(&stage, &conversation("a:3", "29:u")), expected);
        // One that is not stored is the person's own too: something may wait for it.
        assert_eq!(own(&stage, &conversation("a:new", "29:u")).len(), 11);
        let nobody = with(|json| {
            json["conversation"]["id"] = "a:others".into();
            json["user"] = json!(null);
        });
        assert_eq!(own(&stage, &nobody), [theirs]);
    }

    #[test]
    fn a_group_is_nobodys_own() {
        let stage = Stage::new();
        stage.hear(&conversation("a:1", "29:u"), Sign::Message);
        let group = with(|json| {
            json["conversation"] =
                json!({"id": "19:group", "conversationType": "groupChat", "tenantId": "t"});
        });
        stage.hear(&group, Sign::Message);
        assert_eq!(own(&stage, &group), [ConversationKey::of(&conversation("a:1", "29:u"))]);
    }

    #[test]
    fn whoever_writes_the_id_of_another_on_web_chat_has_only_their_own_conversation() {
        let stage = Stage::new();
        stage.hear(&with(|_| {}), Sign::Message);
        let visitor = |id: &str, user: serde_json::Value| {
            with(|json| {
                json["channelId"] = "webchat".into();
                json["conversation"]["id"] = id.into();
                json["user"] = user;
            })
        };
        let victim = visitor("victim", json!({"id": "dl_ann"}));
        stage.hear(&victim, Sign::Message);
        for user in [json!({"id": "29:u", "aadObjectId": "e5"}), json!({"id": "dl_ann", "aadObjectId": "e5"})]
        {
            let attacker = visitor("attacker", user);
            stage.hear(&attacker, Sign::Message);
            assert_eq!(own(&stage, &attacker), [ConversationKey::of(&attacker)]);
            let found = run(stage.book().of_aad_object("e5")).unwrap().map(|(key, _)| key);
            assert_eq!(found, Some(key()), "the person's own conversation, on Teams");
            let rows = stage.rows();
            assert_eq!(rows.iter().filter(|row| row.starts_with("n.")).count(), 1, "{rows:?}");
        }
    }
}
