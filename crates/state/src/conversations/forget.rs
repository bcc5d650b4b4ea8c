//! Forgetting a conversation, or a person.

use bot_framework::ConversationReference;
use platform::Host;

use super::Conversations;
use super::index::Index;
use super::key::{ConversationKey, Row};
use super::record::{Stored, key_of};
use crate::StateError;

impl<H: Host> Conversations<'_, H> {
    /// Forgets a conversation: its record, `stop`, tags, indexes and fingerprint. A record of a newer version is left alone,
    /// with everything that belongs to it.
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
        let mut rest: Vec<_> = address.map(Index::of_address).unwrap_or_default();
        match address {
            Some(address) => rest.extend(rows.tags.iter().map(|tag| Index::of_tag_at(address, tag))),
            // Nobody knows the tenant. A list of another one leads nowhere, and its reader deletes the row.
            None => rest.extend(rows.tags.iter().map(|tag| Index::of_tag(None, tag))),
        }
        let indexes = rest.iter().map(|index| index.row(key));
        let own = rows.tags.into_iter().map(Row::Tag).chain(rows.stopped.then_some(Row::Stop));
        self.delete_all(indexes.chain(own.map(|row| key_of(key, &row)))).await?;
        self.forget_fingerprint(key).await;
        Ok(())
    }

    /// Forgets this conversation, and every other that is this person's own.
    pub async fn forget_person(&self, reference: &ConversationReference) -> Result<(), StateError> {
        self.forget(&ConversationKey::of(reference)).await?;
        let Some(user) = &reference.user else { return Ok(()) };
        let indexes = [
            Some(Index::of_user(&reference.channel_id, &user.id)),
            user.aad_object_id().map(Index::of_aad_object),
        ];
        for index in indexes.into_iter().flatten() {
            let mut continuation = None;
            loop {
                let page = self.table.query(&index.query(), continuation.as_ref()).await?;
                for (key, _) in self.behind(&index, page.entities).await? {
                    self.forget(&key).await?;
                }
                continuation = page.next;
                if continuation.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use platform::testing::run;
    use platform::{Clock, KeyValue};
    use serde_json::json;

    use super::super::testing::{Stage, key, place, plant, with};
    use super::super::{Heard, Sign, known_key};
    use super::*;

    #[test]
    fn nothing_is_left_of_a_forgotten_conversation() {
        let stage = Stage::new();
        stage.hear(&with(|json| json["conversation"]["id"] = "a:other".into()), Sign::Message);
        let others = stage.rows();
        let Heard::Stored(fingerprint) = stage.hear(&with(|_| {}), Sign::Message) else { panic!("expected") };
        run(stage.host.set(&known_key(&key()), &fingerprint.to_bytes())).unwrap();
        stage.tag(&key(), "x#1");
        stage.tag(&key(), "y");
        run(stage.book().stop(&key(), stage.host.now())).unwrap();
        assert_eq!(stage.rows().len(), others.len() + 9);
        for _ in 0..2 {
            run(stage.book().forget(&key())).unwrap();
            assert_eq!(stage.rows(), others);
        }
        assert_eq!(run(stage.host.get(&known_key(&key()))), Ok(None));
    }

    #[test]
    fn a_stop_or_tag_without_a_readable_record_is_forgotten_too() {
        let stage = Stage::new();
        let (partition, row) = place();
        plant(&partition, &row, |entity| entity.with("version", 1));
        plant(&partition, &format!("{row}.t.x"), |entity| entity);
        plant("t..x", &row, |entity| entity);
        run(stage.book().stop(&key(), stage.host.now())).unwrap();
        run(stage.book().forget(&key())).unwrap();
        assert!(stage.rows().is_empty(), "{:?}", stage.rows());
    }

    #[test]
    fn a_person_is_forgotten_with_every_own_conversation_and_nobody_else() {
        let stage = Stage::new();
        let conversation = |id: &str, user: &str| {
            with(|json| {
                json["conversation"]["id"] = id.into();
                json["user"] = json!({"id": user, "aadObjectId": if user == "29:u" { "e5" } else { "e6" }});
            })
        };
        for number in 0..10 {
            stage.hear(&conversation(&format!("a:{number}"), "29:u"), Sign::Message);
        }
        // On another channel, found by the Entra object id.
        stage.hear(&with(|json| json["channelId"] = "webchat".into()), Sign::Message);
        let others = conversation("a:others", "29:somebody-else");
        stage.hear(&others, Sign::Message);
        let theirs = ConversationKey::of(&others);
        // An index that leads to a conversation of somebody else forgets nothing there.
        plant("u.msteams.29:u", theirs.as_str(), |entity| entity);
        run(stage.book().forget_person(&conversation("a:3", "29:u"))).unwrap();
        let rows = stage.rows();
        assert!(rows.len() == 4 && rows.iter().all(|row| row.ends_with(theirs.as_str())), "{rows:?}");
        assert!(run(stage.book().get(&theirs)).unwrap().is_some());
        // Nobody is named: this conversation alone is forgotten.
        let nobody = with(|json| {
            json["conversation"]["id"] = "a:others".into();
            json["user"] = json!(null);
        });
        run(stage.book().forget_person(&nobody)).unwrap();
        assert!(stage.rows().is_empty());
        assert_eq!(run(stage.book().of_user("msteams", "29:somebody-else")), Ok(None));
    }
}
