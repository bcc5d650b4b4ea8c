//! Pausing a conversation in which the channel found nobody.

use std::time::Duration;

use bot_framework::ConversationReference;
use chrono::{DateTime, Utc};
use platform::Host;
use storage_table::{Conditional, Entity};

use super::key::{ConversationKey, Row};
use super::record::{Stored, key_of};
use super::{ATTEMPTS, Conversations};
use crate::StateError;

/// How long a pause lasts at most. The channel may have been wrong, and no message of the person would say so.
pub const PAUSED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

impl<H: Host> Conversations<'_, H> {
    /// Pauses the conversation until then, and deletes its fingerprint, so that the person's next message ends the pause. A
    /// record that names another Connector stays as it is, and so does a pause that has not ended.
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
                    // The person may be back, or elsewhere.
                    Conditional::Changed => continue,
                    Conditional::Gone => return Ok(()),
                }
            }
            self.forget_fingerprint(&key).await;
            return Ok(());
        }
        Err(StateError::Contended { attempts: ATTEMPTS })
    }
}

#[cfg(test)]
mod tests {
    use platform::testing::run;
    use platform::{Clock, KeyValue};

    use super::super::testing::{Stage, key, place, plant, planted, with};
    use super::super::{Heard, Sign, known_key};
    use super::*;

    fn pause(stage: &Stage, reference: &ConversationReference) {
        run(stage.book().pause(reference, stage.host.now() + PAUSED_FOR)).unwrap();
    }

    #[test]
    fn a_pause_ends_when_the_person_writes_or_installs() {
        for (sign, expected) in [(Sign::Message, false), (Sign::Installed, false), (Sign::Update, true)] {
            let stage = Stage::new();
            stage.hear(&with(|_| {}), Sign::Message);
            pause(&stage, &with(|_| {}));
            assert!(stage.conversation().paused);
            // With news, so that the record is written whatever the sign.
            let heard = stage.hear(&with(|json| json["serviceUrlVerified"] = false.into()), sign);
            assert_eq!(heard == Heard::Paused, expected, "{sign:?}: no fingerprint may hide the pause");
            assert_eq!(stage.conversation().paused, expected, "{sign:?}");
        }
    }

    #[test]
    fn a_pause_ends_after_a_day() {
        let stage = Stage::new();
        stage.hear(&with(|_| {}), Sign::Message);
        pause(&stage, &with(|_| {}));
        for (seconds, expected) in [(86_399, true), (86_400, false)] {
            stage.at(seconds);
            assert_eq!(stage.conversation().paused, expected, "{seconds}");
        }
        let heard = stage.hear(&with(|_| {}), Sign::Update);
        assert!(matches!(heard, Heard::Stored(_)), "{heard:?}");
    }

    #[test]
    fn a_pause_deletes_the_fingerprint_and_writes_only_once() {
        let stage = Stage::new();
        stage.hear(&with(|_| {}), Sign::Message);
        for writes in [1, 0] {
            let before = stage.writes();
            run(stage.host.set(&known_key(&key()), b"x")).unwrap();
            pause(&stage, &with(|_| {}));
            assert_eq!(stage.writes() - before, writes);
            assert_eq!(run(stage.host.get(&known_key(&key()))), Ok(None));
        }
    }

    #[test]
    fn a_pause_changes_nothing_but_its_time_and_only_at_the_same_connector() {
        let stage = Stage::new();
        pause(&stage, &with(|_| {}));
        assert!(stage.rows().is_empty(), "a pause makes no record");
        stage.hear(&with(|_| {}), Sign::Message);
        let (partition, row) = place();
        let before = planted(&partition, &row).unwrap();
        pause(&stage, &with(|json| json["serviceUrl"] = "https://smba.trafficmanager.net/other/".into()));
        assert_eq!(
            planted(&partition, &row),
            Some(before.clone()),
            "another Connector says nothing about this one"
        );
        pause(&stage, &with(|json| json["locale"] = "fr".into()));
        let after = planted(&partition, &row).unwrap();
        let until = stage.host.now() + PAUSED_FOR;
        assert_eq!(after, before.with_int64("pausedUntil", until.timestamp_millis()));
        assert_eq!(stage.conversation().address.locale.as_deref(), Some("de"));
    }

    #[test]
    fn a_conversation_that_moved_meanwhile_is_not_paused() {
        let stage = Stage::new();
        stage.hear(&with(|_| {}), Sign::Message);
        let moved = with(|json| json["serviceUrl"] = "https://smba.trafficmanager.net/emea/".into());
        let other = Stage::elsewhere(&moved);
        let (partition, row) = place();
        stage.before_call(2, move || plant(&partition, &row, |_| other));
        pause(&stage, &with(|_| {}));
        assert!(!stage.conversation().paused);
        assert_eq!(stage.conversation().address.service_url, moved.service_url);
    }
}
