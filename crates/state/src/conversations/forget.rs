//! Forgets a conversation (deletes its rows), and finds all conversations of a person. If a person asks to be
//! forgotten, the bot needs both.

use bot_framework::{ConversationReference, vouches_for_identity};
use chrono::{DateTime, Utc};
use platform::Host;
use storage_table::Entity;

use super::Conversations;
use super::index::Index;
use super::key::{ConversationKey, Row};
use super::record::{Stored, key_of};
use super::rosters::key_of_ended_roster;
use crate::StateError;

impl<H: Host> Conversations<'_, H> {
    /// Deletes a conversation: its record, tags, quiet hours, counts of reactions and replies, index rows and
    /// [`Fingerprint`](super::Fingerprint). If a newer version wrote the record, the method deletes nothing.
    /// The method always keeps three rows:
    ///
    /// - the row of the command `stop`, because only the command `start` ends a `stop`,
    /// - the tombstone ([`Self::write_tombstone`]),
    /// - the row of the webhook address, so that an ended address never works again.
    pub async fn forget(&self, key: &ConversationKey) -> Result<(), StateError> {
        let rows = self.rows_of(key).await?;
        let address = match &rows.stored {
            Stored::Newer => return Ok(()),
            Stored::Record(record) => Some(&record.address),
            Stored::Nothing | Stored::Broken => None,
        };
        // The fingerprint is deleted before the record. If the bot is killed between the two deletes, no
        // fingerprint remains without a record. (With such a fingerprint, the next activity would not write a
        // new record.) The fingerprint is deleted again at the end, because perhaps an activity of the
        // conversation has written a fingerprint in the meantime.
        self.delete_fingerprint(key).await;
        self.delete_all([key_of(key, &Row::Record)]).await?;
        let mut indexes: Vec<_> = address.map(Index::ever_of_address).unwrap_or_default();
        match address {
            Some(address) => indexes.extend(rows.tags.iter().map(|tag| Index::of_tag_at(address, tag))),
            // Without a record that this version can read, the address is unknown. So the index rows of the
            // person, of the tenant, and of the tags in the tenant can remain. These rows are stale. When the
            // bot next reads such a row, the bot deletes the row.
            None => indexes.extend(rows.tags.iter().map(|tag| Index::of_tag(None, tag))),
        }
        let index_rows = indexes.iter().map(|index| index.row(key));
        let tag_rows = rows.tags.into_iter().map(|tag| key_of(key, &Row::Tag(tag)));
        let quiet = rows.has_hours.then(|| key_of(key, &Row::Quiet));
        let responses = rows.responses.into_iter().map(|of| key_of(key, &Row::Responses(of.message)));
        let roster = address.and_then(key_of_ended_roster);
        let ended = index_rows.chain(tag_rows).chain(responses).chain(quiet).chain(roster);
        self.delete_all(ended).await?;
        self.delete_fingerprint(key).await;
        Ok(())
    }

    /// Writes the *tombstone* of a conversation: the time `now`, at which the bot forgets the conversation.
    /// The poller does not deliver the alerts that the bot accepted for the conversation at `now` or earlier.
    /// This is so even if the conversation is stored again later.
    pub async fn write_tombstone(&self, key: &ConversationKey, now: DateTime<Utc>) -> Result<(), StateError> {
        let entity = Entity::new(key_of(key, &Row::Forgotten)).with_int64("at", now.timestamp_millis());
        self.table.put(&entity).await?;
        Ok(())
    }

    /// Finds the conversations that belong to the person of `reference`. The result contains the conversation
    /// of `reference` if this conversation is not a group. If the channel vouches for the person's id (sets
    /// the id itself, as Teams does), the result also contains the person's other conversations. A group
    /// belongs to no person, and the record of a group contains nothing about a person.
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
                own.extend(
                    self.conversations_of_rows(&index, page.entities).await?.into_iter().map(|(key, _)| key),
                );
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

    use super::super::testing::{Stage, key, place, with, write_entity};
    use super::super::{Recorded, Sign, fingerprint_key};
    use super::*;

    #[test]
    fn forgotten_conversation_keeps_the_stop_and_loses_the_record_tags_and_quiet_hours() {
        let stage = Stage::new();
        stage.record_activity(&with(|json| json["conversation"]["id"] = "a:other".into()), Sign::Message);
        let others = stage.rows();
        let Recorded::Stored(fingerprint) = stage.record_activity(&with(|_| {}), Sign::Message) else {
            panic!("expected a fingerprint")
        };
        run(stage.host.set(&fingerprint_key(&key()), &fingerprint.to_bytes())).unwrap();
        stage.tag(&key(), "x#1");
        stage.tag(&key(), "y");
        run(stage.conversations().stop(&key(), stage.host.now())).unwrap();
        let night = zones::ClockSpan::parse("22-7").unwrap();
        run(stage.conversations().set_quiet(&key(), night, stage.host.now())).unwrap();
        assert_eq!(stage.rows().len(), others.len() + 10);
        let (partition, row) = place();
        let expected = BTreeSet::from_iter([others, vec![format!("{partition}/{row}.s")]].concat());
        for _ in 0..2 {
            run(stage.conversations().forget(&key())).unwrap();
            assert_eq!(BTreeSet::from_iter(stage.rows()), expected);
        }
        assert_eq!(run(stage.host.get(&fingerprint_key(&key()))), Ok(None));
    }

    #[test]
    fn forgotten_conversation_without_a_readable_record_loses_the_tags() {
        let stage = Stage::new();
        let (partition, row) = place();
        write_entity(&partition, &row, |entity| entity.with("version", 1));
        write_entity(&partition, &format!("{row}.t.x"), |entity| entity);
        write_entity("t..x", &row, |entity| entity);
        run(stage.conversations().forget(&key())).unwrap();
        assert!(stage.rows().is_empty(), "{:?}", stage.rows());
    }

    #[test]
    fn tombstone_keeps_the_time_until_the_next_request_to_be_forgotten() {
        let stage = Stage::new();
        stage.record_activity(&with(|_| {}), Sign::Message);
        run(stage.conversations().write_tombstone(&key(), stage.host.now())).unwrap();
        run(stage.conversations().forget(&key())).unwrap();
        let delivery_state = || run(stage.conversations().delivery_state(&key())).unwrap();
        assert_eq!(delivery_state().forgotten_at, Some(stage.host.now()));
        assert_eq!(
            run(stage.conversations().get(&key())),
            Ok(None),
            "a tombstone alone is not a conversation"
        );
        // The person writes again, and asks to be forgotten again.
        stage.at(60);
        stage.record_activity(&with(|_| {}), Sign::Message);
        assert!(run(stage.conversations().get(&key())).unwrap().is_some());
        assert_eq!(delivery_state().forgotten_at, Some(stage.host.now() - TimeDelta::seconds(60)));
        run(stage.conversations().write_tombstone(&key(), stage.host.now())).unwrap();
        assert_eq!(delivery_state().forgotten_at, Some(stage.host.now()));
    }

    fn conversation(id: &str, user: &str) -> ConversationReference {
        with(|json| {
            json["conversation"]["id"] = id.into();
            json["user"] = json!({"id": user, "aadObjectId": if user == "29:u" { "e5" } else { "e6" }});
        })
    }

    fn own(stage: &Stage, reference: &ConversationReference) -> Vec<ConversationKey> {
        run(stage.conversations().own_of_person(reference)).unwrap()
    }

    #[test]
    fn own_conversations_of_a_person_are_complete_and_contain_none_of_another_person() {
        let stage = Stage::new();
        let mut expected: Vec<_> = (0..10)
            .map(|number| {
                let reference = conversation(&format!("a:{number}"), "29:u");
                stage.record_activity(&reference, Sign::Message);
                ConversationKey::of(&reference)
            })
            .collect();
        expected.sort();
        let others = conversation("a:others", "29:other-person");
        stage.record_activity(&others, Sign::Message);
        let theirs = ConversationKey::of(&others);
        // This index row is stale: it points to a conversation of another person.
        write_entity("u.msteams.29:u", theirs.as_str(), |entity| entity);
        assert_eq!(own(&stage, &conversation("a:3", "29:u")), expected);
        // The result contains the conversation of the reference even if this conversation is not stored,
        // because the queue can still hold alerts for the conversation.
        assert_eq!(own(&stage, &conversation("a:new", "29:u")).len(), 11);
        let without_person = with(|json| {
            json["conversation"]["id"] = "a:others".into();
            json["user"] = json!(null);
        });
        assert_eq!(own(&stage, &without_person), [theirs]);
    }

    #[test]
    fn own_conversations_of_a_group_member_do_not_contain_the_group() {
        let stage = Stage::new();
        stage.record_activity(&conversation("a:1", "29:u"), Sign::Message);
        let group = with(|json| {
            json["conversation"] =
                json!({"id": "19:group", "conversationType": "groupChat", "tenantId": "t"});
        });
        stage.record_activity(&group, Sign::Message);
        assert_eq!(own(&stage, &group), [ConversationKey::of(&conversation("a:1", "29:u"))]);
    }

    #[test]
    fn web_chat_visitor_with_the_id_of_another_person_owns_only_the_visitor_s_conversation() {
        let stage = Stage::new();
        stage.record_activity(&with(|_| {}), Sign::Message);
        let visitor = |id: &str, user: serde_json::Value| {
            with(|json| {
                json["channelId"] = "webchat".into();
                json["conversation"]["id"] = id.into();
                json["user"] = user;
            })
        };
        let victim = visitor("victim", json!({"id": "dl_ann"}));
        stage.record_activity(&victim, Sign::Message);
        for user in [json!({"id": "29:u", "aadObjectId": "e5"}), json!({"id": "dl_ann", "aadObjectId": "e5"})]
        {
            let attacker = visitor("attacker", user);
            stage.record_activity(&attacker, Sign::Message);
            assert_eq!(own(&stage, &attacker), [ConversationKey::of(&attacker)]);
            let found = run(stage.conversations().of_aad_object("e5")).unwrap().map(|(key, _)| key);
            assert_eq!(found, Some(key()), "the person's own conversation, on Teams");
            let rows = stage.rows();
            assert_eq!(rows.iter().filter(|row| row.starts_with("n.")).count(), 1, "{rows:?}");
        }
    }
}
