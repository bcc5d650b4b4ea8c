//! Recording what an activity tells about its conversation.

use bot_framework::ConversationReference;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};
use platform::Host;
use storage_table::{Conditional, Entity, Inserted};

use super::fingerprint::{Fingerprint, day};
use super::index::{Index, SEEN_AT};
use super::key::ConversationKey;
use super::record::{Record, Stored};
use super::{AT_ONCE, ATTEMPTS, Conversations};
use crate::StateError;

/// What kind of activity came from a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// A person wrote.
    Message,
    /// The bot was installed or added.
    Installed,
    /// Anything else. Its sender may be anybody, and it does not show that somebody is there.
    Update,
}

/// What became of a sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// The fingerprint says that the table would learn nothing new. No call was made.
    Known,
    /// The record and its indexes stand. Keep the fingerprint under [`known_key`](super::known_key).
    Stored(Fingerprint),
    /// The record and its indexes stand, and the conversation is paused. Keep no fingerprint, so that the person's next
    /// message is not taken for one of a conversation without a pause.
    Paused,
    /// A newer version wrote the record. It was left alone.
    Newer,
}

impl<H: Host> Conversations<'_, H> {
    /// Records an activity of a conversation, with the fingerprint that the bot has kept of it, if any. The table is
    /// written only if it would change.
    pub async fn hear(
        &self,
        reference: &ConversationReference,
        sign: Sign,
        known: Option<&Fingerprint>,
    ) -> Result<Heard, StateError> {
        let now = self.host.now();
        let key = ConversationKey::of(reference);
        let heard = stored_form(reference);
        if known.is_some_and(|known| known.covers(&Fingerprint::of(&self.place(), &heard, now), sign)) {
            return Ok(Heard::Known);
        }
        let is_sign_of_life = sign != Sign::Update;
        for _ in 0..ATTEMPTS {
            let (stored, etag) = self.record_of(&key).await?;
            let before = match stored {
                Stored::Newer => return Ok(Heard::Newer),
                Stored::Nothing | Stored::Broken => None,
                Stored::Record(record) => Some(*record),
            };
            let mut after = match &before {
                None => Record { address: heard.clone(), seen_at: now, paused_until: None },
                Some(before) => Record { address: merged(&before.address, &heard, sign), ..before.clone() },
            };
            let indexes = Index::of_address(&after.address, self.unbound);
            if let Some(before) = &before {
                let is_news = after.address != before.address
                    || is_sign_of_life && (before.is_paused(now) || day(before.seen_at) != day(now));
                if !is_news {
                    // The bot may have died between the record and its indexes.
                    self.put_indexes(&key, &indexes, after.seen_at, true).await?;
                    return Ok(heard_of(&self.place(), &after, now));
                }
            }
            let moving = match &before {
                Some(before) => self.moving_tags(&key, &before.address, &after.address).await?,
                None => Vec::new(),
            };
            // Before the record: if the bot dies in between, the next activity moves them again.
            for tag in &moving {
                self.put_tag(Index::of_tag_at(&after.address, tag).row(&key)).await?;
            }
            after.seen_at = now;
            let mut entity = after.to_entity(&key)?;
            if is_sign_of_life || before.is_none() {
                // A merge removes no property, so the time of a pause that has ended is zero.
                after.paused_until = None;
                entity = entity.with_int64("pausedUntil", 0);
            }
            // A merge, because properties of later versions stay.
            let is_written = match &etag {
                None => matches!(self.table.insert(&entity).await?, Inserted::New(_)),
                Some(etag) => matches!(self.table.merge(&entity, Some(etag)).await?, Conditional::Done(_)),
            };
            if !is_written {
                continue;
            }
            // The record stands. Each index is written with it, once a day at least: so an entry that was lost comes back.
            self.put_indexes(&key, &indexes, now, false).await?;
            let mut old = Vec::new();
            if let Some(before) = &before {
                old = Index::ever_of_address(&before.address);
                old.extend(moving.iter().map(|tag| Index::of_tag_at(&before.address, tag)));
            }
            self.delete_all(old.iter().filter(|index| !indexes.contains(index)).map(|index| index.row(&key)))
                .await?;
            return Ok(heard_of(&self.place(), &after, now));
        }
        Err(StateError::Contended { attempts: ATTEMPTS })
    }

    /// Writes the indexes of a conversation, or only those that are missing.
    async fn put_indexes(
        &self,
        key: &ConversationKey,
        indexes: &[Index],
        seen_at: DateTime<Utc>,
        if_missing: bool,
    ) -> Result<(), StateError> {
        let put = async |index: &Index| -> Result<(), StateError> {
            let row = index.row(key);
            if !if_missing || self.table.get(&row).await?.is_none() {
                let entity = Entity::new(row).with_int64(SEEN_AT, seen_at.timestamp_millis());
                self.table.put(&entity).await?;
            }
            Ok(())
        };
        let put = &put;
        stream::iter(indexes).map(Ok).try_for_each_concurrent(AT_ONCE, put).await
    }
}

fn heard_of(place: &[&str; 2], after: &Record, now: DateTime<Utc>) -> Heard {
    if after.is_paused(now) {
        Heard::Paused
    } else {
        Heard::Stored(Fingerprint::of(place, &after.address, after.seen_at))
    }
}

/// What is kept of a reference: not which activity it was taken from, and of a group not who happened to speak.
pub(super) fn stored_form(reference: &ConversationReference) -> ConversationReference {
    let is_bot = |id: &str| reference.bot.as_ref().is_some_and(|bot| bot.id == id);
    let mut stored = reference.clone();
    stored.activity_id = None;
    stored.user = stored.user.filter(|user| !stored.conversation.is_group() && !is_bot(&user.id));
    if stored.conversation.is_group() {
        stored.locale = None;
    }
    stored
}

/// The known address, with what was heard. [`Fingerprint::covers`] says the same of fingerprints.
pub(super) fn merged(
    known: &ConversationReference,
    heard: &ConversationReference,
    sign: Sign,
) -> ConversationReference {
    let mut after = known.clone();
    after.service_url.clone_from(&heard.service_url);
    after.service_url_verified = heard.service_url_verified;
    let person_speaks = sign == Sign::Message;
    let or = |heard: &Option<_>, known| heard.clone().or(known);
    if person_speaks {
        after.conversation.clone_from(&heard.conversation);
        after.bot = or(&heard.bot, after.bot);
        after.locale = heard.locale.clone().or(after.locale);
    }
    if person_speaks || after.user.is_none() {
        after.user = or(&heard.user, after.user);
    }
    after
}

#[cfg(test)]
mod tests {
    use platform::testing::run;
    use serde_json::{Value, json};

    use super::super::record::MAX_ADDRESS_BYTES;
    use super::super::testing::{Stage, key, lose, place, plant, planted, with};
    use super::*;

    const DAY: u64 = 24 * 60 * 60;

    fn fingerprint(heard: Heard) -> Fingerprint {
        match heard {
            Heard::Stored(fingerprint) => fingerprint,
            other => panic!("expected a fingerprint, found {other:?}"),
        }
    }

    #[test]
    fn a_new_conversation_is_stored_with_its_indexes_and_without_the_activity() {
        let stage = Stage::new();
        fingerprint(stage.hear(&with(|_| {}), Sign::Message));
        let stored = stage.conversation();
        assert_eq!(stored.address, stored_form(&with(|_| {})));
        assert_eq!(stored.address.activity_id, None);
        assert!(stored.address.service_url_verified && !stored.paused && !stored.stopped);
        let (partition, row) = place();
        let expected = [
            format!("{partition}/{row}"),
            format!("e.e5/{row}"),
            format!("n.t/{row}"),
            format!("u.msteams.29:u/{row}"),
        ];
        assert_eq!(stage.rows(), expected);
    }

    #[test]
    fn an_activity_that_the_fingerprint_covers_makes_no_call() {
        let stage = Stage::new();
        let known = fingerprint(stage.hear(&with(|_| {}), Sign::Message));
        let calls = stage.calls();
        for (activity, sign) in [("8", Sign::Message), ("9", Sign::Update), ("10", Sign::Installed)] {
            let heard =
                run(stage.book().hear(&with(|json| json["id"] = activity.into()), sign, Some(&known)));
            assert_eq!(heard, Ok(Heard::Known), "{sign:?}");
        }
        assert_eq!(stage.calls(), calls);
        // Another locale is news, and its fingerprint takes the place of the first.
        let french = with(|json| json["locale"] = "fr".into());
        let known = fingerprint(run(stage.book().hear(&french, Sign::Message, Some(&known))).unwrap());
        let calls = stage.calls();
        assert_eq!(run(stage.book().hear(&french, Sign::Message, Some(&known))), Ok(Heard::Known));
        assert_eq!(stage.calls(), calls);
        assert_eq!(stage.conversation().address.locale.as_deref(), Some("fr"));
    }

    #[test]
    fn a_lost_fingerprint_costs_reads_and_no_write() {
        let stage = Stage::new();
        let known = fingerprint(stage.hear(&with(|_| {}), Sign::Message));
        let (calls, writes) = (stage.calls(), stage.writes());
        for sign in [Sign::Message, Sign::Installed, Sign::Update] {
            assert_eq!(fingerprint(stage.hear(&with(|_| {}), sign)), known, "{sign:?}");
        }
        assert_eq!(
            (stage.calls() - calls, stage.writes() - writes),
            (12, 0),
            "a record and three indexes each"
        );
    }

    #[test]
    fn an_index_that_is_missing_comes_back_without_the_fingerprint_and_with_the_next_day() {
        let (_, row) = place();
        for partition in ["e.e5", "n.t", "u.msteams.29:u"] {
            let stage = Stage::new();
            let known = fingerprint(stage.hear(&with(|_| {}), Sign::Message));
            lose(partition, &row);
            stage.hear(&with(|_| {}), Sign::Update);
            assert!(planted(partition, &row).is_some(), "{partition}");
            lose(partition, &row);
            stage.at(DAY);
            run(stage.book().hear(&with(|_| {}), Sign::Message, Some(&known))).unwrap();
            assert!(planted(partition, &row).is_some(), "{partition}, the next day");
            lose(partition, &row);
        }
    }

    #[test]
    fn seen_at_is_renewed_once_a_day_by_signs_of_life() {
        let stage = Stage::new();
        let mut known = fingerprint(stage.hear(&with(|_| {}), Sign::Message));
        let first = stage.conversation().seen_at;
        for day in [1, 2] {
            stage.at(day * DAY);
            let update = run(stage.book().hear(&with(|_| {}), Sign::Update, Some(&known)));
            assert_eq!(update, Ok(Heard::Known), "an update is no sign of life");
            let writes = stage.writes();
            known = fingerprint(run(stage.book().hear(&with(|_| {}), Sign::Message, Some(&known))).unwrap());
            assert_eq!(stage.writes() - writes, 4, "the record and its indexes");
            let again = run(stage.book().hear(&with(|_| {}), Sign::Message, Some(&known)));
            assert_eq!(again, Ok(Heard::Known));
            assert_eq!(stage.conversation().seen_at, first + std::time::Duration::from_secs(day * DAY));
        }
        // A clock that was ahead is forgotten.
        stage.at(0);
        stage.hear(&with(|_| {}), Sign::Message);
        assert_eq!(stage.conversation().seen_at, first);
    }

    #[test]
    fn a_change_is_merged_into_what_is_known() {
        let stage = Stage::new();
        stage.hear(&with(|json| json["user"] = json!({"id": "28:b"})), Sign::Update);
        assert_eq!(stage.conversation().address.user, None, "the bot is not the person");
        stage.hear(&with(|json| json["user"] = json!({"id": "29:installer"})), Sign::Installed);
        stage.hear(&with(|json| json["user"] = json!({"id": "29:other"})), Sign::Update);
        assert_eq!(stage.conversation().address.user.unwrap().id, "29:installer");
        stage.hear(&with(|_| {}), Sign::Message);
        assert_eq!(stage.conversation().address.user.unwrap().id, "29:u", "the one who writes is the person");
        assert!(!stage.rows().iter().any(|row| row.contains("installer")), "the index follows");
        let moved = "https://smba.trafficmanager.net/emea/";
        let update = with(|json| {
            json["serviceUrl"] = moved.into();
            json["locale"] = "fr".into();
            json["conversation"].as_object_mut().unwrap().remove("tenantId");
        });
        stage.hear(&update, Sign::Update);
        let address = stage.conversation().address;
        assert_eq!((address.service_url.as_str(), address.locale.as_deref()), (moved, Some("de")));
        assert_eq!(address.conversation.tenant_id(), Some("t"));
    }

    #[test]
    fn a_group_has_no_person_and_is_written_once_whoever_speaks() {
        let stage = Stage::new();
        let group = |user: &str| {
            with(|json| {
                json["conversation"]["conversationType"] = "groupChat".into();
                json["user"] = json!({"id": user, "aadObjectId": user});
                json["locale"] = user.into();
            })
        };
        let known = fingerprint(stage.hear(&group("29:a"), Sign::Message));
        let heard = run(stage.book().hear(&group("29:b"), Sign::Message, Some(&known)));
        assert_eq!(heard, Ok(Heard::Known));
        let address = stage.conversation().address;
        assert_eq!((address.user, address.locale), (None, None));
        assert_eq!(stage.rows().len(), 2, "a record, and the tenant's index: {:?}", stage.rows());
        assert_eq!(run(stage.book().of_user("msteams", "29:a")), Ok(None));
    }

    #[test]
    fn a_conflict_is_tried_again_and_loses_nothing() {
        // A rival inserts the record between the read and the insert.
        let stage = Stage::new();
        let (partition, row) = place();
        let rival = with(|json| json["serviceUrl"] = "https://smba.trafficmanager.net/emea/".into());
        let entity =
            Record { address: stored_form(&rival), seen_at: DateTime::UNIX_EPOCH, paused_until: None };
        let entity = entity.to_entity(&key()).unwrap();
        stage.before_call(2, move || plant(&partition, &row, |_| entity));
        stage.hear(&with(|json| json["locale"] = "fr".into()), Sign::Message);
        let address = stage.conversation().address;
        assert_eq!(
            (address.service_url.as_str(), address.locale.as_deref()),
            ("https://smba.trafficmanager.net/amer/", Some("fr"))
        );

        // A rival changes the person between the read and the merge: an update does not undo it.
        let stage = Stage::new();
        stage.hear(&with(|_| {}), Sign::Message);
        let (partition, row) = place();
        let rival = Record {
            address: stored_form(&with(|json| json["user"] = json!({"id": "29:new"}))),
            seen_at: DateTime::UNIX_EPOCH,
            paused_until: None,
        };
        let rival = rival.to_entity(&key()).unwrap();
        stage.before_call(2, move || plant(&partition, &row, |_| rival));
        stage.hear(&with(|json| json["serviceUrlVerified"] = false.into()), Sign::Update);
        let address = stage.conversation().address;
        assert_eq!(address.user.unwrap().id, "29:new");
        assert!(!address.service_url_verified);
    }

    #[test]
    fn fingerprint_of_another_table_counts_for_nothing() {
        let mut stage = Stage::new();
        let known = fingerprint(stage.hear(&with(|_| {}), Sign::Message));
        // The operator has moved the bot to other tables, or to another account.
        stage.host.settings.borrow_mut().insert("tableprefix".into(), "moved".into());
        stage.tables = crate::Tables::read(&stage.host).unwrap();
        let moved = fingerprint(run(stage.book().hear(&with(|_| {}), Sign::Message, Some(&known))).unwrap());
        assert!(run(stage.book().get(&key())).unwrap().is_some());
        stage.account = storage_account::Account::parse(
            "AccountName=a;AccountKey=a2V5;QueueEndpoint=http://127.0.0.1:10001/b;TableEndpoint=http://127.0.0.1:10002/devstoreaccount1/b",
        )
        .unwrap();
        assert!(!moved.covers(
            &Fingerprint::of(&stage.book().place(), &with(|_| {}), platform::Clock::now(&stage.host)),
            Sign::Message
        ));
    }

    #[test]
    fn a_third_conflict_is_an_error() {
        for (conflicts, expected) in [(2, true), (3, false)] {
            let stage = Stage::new();
            stage.hear(&with(|_| {}), Sign::Message);
            for nth in 1..=conflicts {
                let (partition, row) = place();
                stage.before_call(2 * nth, move || plant(&partition, &row, |entity| entity));
            }
            let heard =
                run(stage.book().hear(&with(|json| json["locale"] = "fr".into()), Sign::Message, None));
            assert_eq!(heard.is_ok(), expected, "{conflicts}: {heard:?}");
            if !expected {
                assert_eq!(heard, Err(StateError::Contended { attempts: 3 }));
            }
        }
    }

    #[test]
    fn a_record_of_a_newer_version_is_left_alone() {
        let stage = Stage::new();
        let (partition, row) = place();
        plant(&partition, &row, |entity| entity.with("version", 2).with("address", "else"));
        let before = planted(&partition, &row);
        assert_eq!(stage.hear(&with(|_| {}), Sign::Message), Heard::Newer);
        run(stage.book().pause(&with(|_| {}), DateTime::UNIX_EPOCH)).unwrap();
        run(stage.book().forget(&key())).unwrap();
        assert_eq!((planted(&partition, &row), stage.writes()), (before, 0));
        assert_eq!(run(stage.book().get(&key())), Ok(None));
    }

    #[test]
    fn properties_of_later_versions_survive() {
        let stage = Stage::new();
        stage.hear(&with(|_| {}), Sign::Message);
        let (partition, row) = place();
        plant(&partition, &row, |entity| entity.with("aPropertyOfTheFuture", 7));
        stage.hear(&with(|json| json["locale"] = "fr".into()), Sign::Message);
        assert_eq!(planted(&partition, &row).unwrap().int("aPropertyOfTheFuture"), Some(7));
    }

    #[test]
    fn a_record_that_nobody_can_read_is_logged_and_written_anew_by_the_next_sign() {
        type Change = fn(Entity) -> Entity;
        let changes: [(Change, bool); 5] = [
            (|entity| entity.with("version", "first"), false),
            (|entity| entity.with("address", 7), false),
            (|entity| entity.with("address", "{}"), false),
            // What can be read is kept.
            (|entity| entity.with("seenAt", "yesterday"), true),
            (|entity| entity.with("pausedUntil", "soon"), true),
        ];
        for (nth, (change, is_readable)) in changes.into_iter().enumerate() {
            let stage = Stage::new();
            stage.hear(&with(|_| {}), Sign::Message);
            let (partition, row) = place();
            plant(&partition, &row, change);
            let found = run(stage.book().get(&key())).unwrap();
            assert_eq!(found.is_some(), is_readable, "{nth}");
            let logged = stage.host.events("conversation.entity-skipped");
            assert_eq!(logged.len(), 1, "{nth}");
            assert_eq!(logged[0]["row"], Value::from(row.clone()));
            stage.at(DAY);
            stage.hear(&with(|_| {}), Sign::Message);
            assert!(run(stage.book().get(&key())).unwrap().is_some(), "{nth}");
            lose(&partition, &row);
        }
    }

    #[test]
    fn an_address_that_is_too_large_is_not_stored() {
        let stage = Stage::new();
        let large = with(|json| json["conversation"]["name"] = "x".repeat(MAX_ADDRESS_BYTES).into());
        let error = run(stage.book().hear(&large, Sign::Message, None)).expect_err("too large");
        assert!(matches!(error, StateError::TooLarge { .. }), "{error}");
        assert!(stage.rows().is_empty());
    }
}
