//! Pauses a conversation whose person the channel cannot reach. A paused conversation gets no alerts.

use std::time::Duration;

use bot_framework::ConversationReference;
use chrono::{DateTime, Utc};
use platform::Host;
use storage_table::{Conditional, Entity};

use super::key::{ConversationKey, Row};
use super::record::{Stored, key_of};
use super::{ATTEMPTS, Conversations};
use crate::StateError;

/// The longest pause of a conversation. The channel can be wrong when it reports that it cannot reach the
/// person. Without a limit, such a pause would last until the person writes.
pub const PAUSED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

impl<H: Host> Conversations<'_, H> {
    /// Pauses a conversation until the time `until`, and deletes the conversation's fingerprint (hashes of
    /// the record, from which the bot knows whether an activity would change the table). Without the
    /// fingerprint, the bot reads the record when the person's next message arrives, and then ends the pause.
    ///
    /// The Connector of `reference` could not reach the person. If the record has the URL of another
    /// Connector, this method changes nothing, because the other Connector has not failed. If the
    /// conversation is already paused, this method only deletes the fingerprint.
    pub async fn pause(
        &self,
        reference: &ConversationReference,
        until: DateTime<Utc>,
    ) -> Result<(), StateError> {
        let key = ConversationKey::of(reference);
        for _ in 0..ATTEMPTS {
            let (Stored::Record(record), Some(etag)) = self.record_of(&key).await? else { return Ok(()) };
            if record.address.service_url != reference.service_url {
                return Ok(());
            }
            if !record.is_paused(self.host.now()) {
                let entity = Entity::new(key_of(&key, &Row::Record));
                let entity = entity.with_int64("pausedUntil", until.timestamp_millis());
                match self.table.merge(&entity, Some(&etag)).await? {
                    Conditional::Done(_) => {}
                    // Perhaps the person has written, or the conversation has another Connector now. So the
                    // record is read again.
                    Conditional::Changed => continue,
                    Conditional::Gone => return Ok(()),
                }
            }
            self.delete_fingerprint(&key).await;
            return Ok(());
        }
        Err(StateError::Contended { attempts: ATTEMPTS })
    }
}

#[cfg(test)]
mod tests {
    use platform::testing::run;
    use platform::{Clock, KeyValue};

    use super::super::testing::{Stage, key, place, read_entity, with, write_entity};
    use super::super::{Recorded, Sign, fingerprint_key};
    use super::*;

    fn pause(stage: &Stage, reference: &ConversationReference) {
        run(stage.conversations().pause(reference, stage.host.now() + PAUSED_FOR)).unwrap();
    }

    #[test]
    fn pause_ends_when_the_person_sends_a_message_or_installs_the_bot() {
        for (sign, expected) in [(Sign::Message, false), (Sign::Installed, false), (Sign::Update, true)] {
            let stage = Stage::new();
            stage.record_activity(&with(|_| {}), Sign::Message);
            pause(&stage, &with(|_| {}));
            assert!(stage.conversation().paused);
            // The activity changes the address, so that every kind of activity writes the record.
            let recorded =
                stage.record_activity(&with(|json| json["serviceUrlVerified"] = false.into()), sign);
            assert_eq!(
                recorded == Recorded::Paused,
                expected,
                "{sign:?}: the caller keeps no fingerprint of a paused record"
            );
            assert_eq!(stage.conversation().paused, expected, "{sign:?}");
        }
    }

    #[test]
    fn pause_ends_after_a_day() {
        let stage = Stage::new();
        stage.record_activity(&with(|_| {}), Sign::Message);
        pause(&stage, &with(|_| {}));
        for (seconds, expected) in [(86_399, true), (86_400, false)] {
            stage.at(seconds);
            assert_eq!(stage.conversation().paused, expected, "after {seconds} seconds");
        }
        let recorded = stage.record_activity(&with(|_| {}), Sign::Update);
        assert!(matches!(recorded, Recorded::Stored(_)), "{recorded:?}");
    }

    #[test]
    fn pause_of_a_paused_conversation_deletes_the_fingerprint_and_writes_nothing() {
        let stage = Stage::new();
        stage.record_activity(&with(|_| {}), Sign::Message);
        for writes in [1, 0] {
            let before = stage.writes();
            run(stage.host.set(&fingerprint_key(&key()), b"x")).unwrap();
            pause(&stage, &with(|_| {}));
            assert_eq!(stage.writes() - before, writes);
            assert_eq!(run(stage.host.get(&fingerprint_key(&key()))), Ok(None));
        }
    }

    #[test]
    fn pause_changes_only_paused_until_and_no_record_with_another_connector() {
        let stage = Stage::new();
        pause(&stage, &with(|_| {}));
        assert!(stage.rows().is_empty(), "a pause does not create a record");
        stage.record_activity(&with(|_| {}), Sign::Message);
        let (partition, row) = place();
        let before = read_entity(&partition, &row).unwrap();
        pause(&stage, &with(|json| json["serviceUrl"] = "https://smba.trafficmanager.net/other/".into()));
        assert_eq!(
            read_entity(&partition, &row),
            Some(before.clone()),
            "another Connector does not pause this conversation"
        );
        pause(&stage, &with(|json| json["locale"] = "fr".into()));
        let after = read_entity(&partition, &row).unwrap();
        let until = stage.host.now() + PAUSED_FOR;
        assert_eq!(after, before.with_int64("pausedUntil", until.timestamp_millis()));
        assert_eq!(stage.conversation().address.locale.as_deref(), Some("de"));
    }

    #[test]
    fn conversation_that_moves_to_another_connector_before_the_pause_is_written_is_not_paused() {
        let stage = Stage::new();
        stage.record_activity(&with(|_| {}), Sign::Message);
        let moved = with(|json| json["serviceUrl"] = "https://smba.trafficmanager.net/emea/".into());
        let other = Stage::record_entity(&moved);
        let (partition, row) = place();
        stage.before_call(2, move || write_entity(&partition, &row, |_| other));
        pause(&stage, &with(|_| {}));
        assert!(!stage.conversation().paused);
        assert_eq!(stage.conversation().address.service_url, moved.service_url);
    }
}
