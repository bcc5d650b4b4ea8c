//! The commands `stop` and `start`. With `stop`, a person refuses the alerts of programs. With `start`, the
//! person accepts these alerts again. The table has a separate row for a conversation's `stop`. Two
//! operations insert this row: the command `stop`, and the move of a stopped conversation to a new chat. Only
//! the command `start` deletes the row.

use chrono::{DateTime, Utc};
use platform::Host;
use storage_table::Entity;

use super::Conversations;
use super::key::{ConversationKey, Row};
use super::record::key_of;
use crate::StateError;

impl<H: Host> Conversations<'_, H> {
    /// Records that the person refuses the alerts of programs. The conversation needs no record.
    pub async fn stop(&self, key: &ConversationKey, now: DateTime<Utc>) -> Result<(), StateError> {
        let entity = Entity::new(key_of(key, &Row::Stop)).with_int64("at", now.timestamp_millis());
        // If the row exists already, the insert changes nothing. So the row keeps the time of the first
        // `stop`.
        self.table.insert(&entity).await?;
        Ok(())
    }

    /// Records that the person accepts the alerts of programs again.
    pub async fn start(&self, key: &ConversationKey) -> Result<(), StateError> {
        self.table.delete(&key_of(key, &Row::Stop), None).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use platform::Clock;
    use platform::testing::run;

    use super::super::testing::{Stage, key, place, with, write_entity};
    use super::super::{DeliveryState, PAUSED_FOR, Sign, Tag};

    #[test]
    fn stop_survives_all_writes_until_start() {
        let stage = Stage::new();
        stage.record_activity(&with(|_| {}), Sign::Message);
        let conversations = stage.conversations();
        let tag = Tag::parse("x").unwrap();
        run(conversations.stop(&key(), stage.host.now())).unwrap();
        run(conversations.stop(&key(), stage.host.now())).unwrap();
        stage.record_activity(&with(|json| json["locale"] = "fr".into()), Sign::Message);
        run(conversations.tag(&key(), &tag)).unwrap();
        run(conversations.untag(&key(), &tag)).unwrap();
        run(conversations.pause(&with(|_| {}), stage.host.now() + PAUSED_FOR)).unwrap();
        stage.at(24 * 60 * 60);
        stage.record_activity(&with(|_| {}), Sign::Installed);
        assert!(stage.conversation().stopped);
        // The person asks to be forgotten, and installs the bot again.
        run(conversations.write_tombstone(&key(), stage.host.now())).unwrap();
        run(conversations.forget(&key())).unwrap();
        stage.record_activity(&with(|_| {}), Sign::Installed);
        assert!(stage.conversation().stopped);
        run(conversations.start(&key())).unwrap();
        run(conversations.start(&key())).unwrap();
        assert!(!stage.conversation().stopped);
    }

    #[test]
    fn stop_between_the_calls_of_another_write_survives() {
        for nth in 1..=5 {
            let stage = Stage::new();
            let (partition, row) = place();
            stage.before_call(nth, move || write_entity(&partition, &format!("{row}.s"), |entity| entity));
            stage.record_activity(&with(|_| {}), Sign::Message);
            assert!(stage.conversation().stopped, "`stop` before call {nth}");
        }
    }

    #[test]
    fn stop_without_a_readable_record_is_found() {
        let stage = Stage::new();
        assert_eq!(run(stage.conversations().delivery_state(&key())), Ok(DeliveryState::default()));
        run(stage.conversations().stop(&key(), stage.host.now())).unwrap();
        let stopped = DeliveryState { stopped: true, ..DeliveryState::default() };
        assert_eq!(run(stage.conversations().delivery_state(&key())), Ok(stopped));
        assert_eq!(
            run(stage.conversations().get(&key())),
            Ok(None),
            "a `stop` without a record is not a conversation"
        );
        let (partition, row) = place();
        write_entity(&partition, &row, |entity| entity.with("version", 2));
        assert_eq!(run(stage.conversations().delivery_state(&key())), Ok(stopped));
    }
}
