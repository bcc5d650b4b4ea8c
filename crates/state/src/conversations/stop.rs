//! `stop` and `start`. A `stop` is an entity of its own, which nothing else writes: so no other write can undo it.

use chrono::{DateTime, Utc};
use platform::Host;
use storage_table::Entity;

use super::Conversations;
use super::key::{ConversationKey, Row};
use super::record::key_of;
use crate::StateError;

impl<H: Host> Conversations<'_, H> {
    /// The person wants no alerts from others. It holds even where no record stands.
    pub async fn stop(&self, key: &ConversationKey, now: DateTime<Utc>) -> Result<(), StateError> {
        let entity = Entity::new(key_of(key, &Row::Stop)).with_int64("at", now.timestamp_millis());
        // A `stop` that stands already keeps its time.
        self.table.insert(&entity).await?;
        Ok(())
    }

    /// The person wants alerts again.
    pub async fn start(&self, key: &ConversationKey) -> Result<(), StateError> {
        self.table.delete(&key_of(key, &Row::Stop), None).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use platform::Clock;
    use platform::testing::run;

    use super::super::testing::{Stage, key, place, plant, with};
    use super::super::{PAUSED_FOR, Sign, Standing, Tag};

    #[test]
    fn a_stop_survives_every_other_write_until_start() {
        let stage = Stage::new();
        stage.hear(&with(|_| {}), Sign::Message);
        let book = stage.book();
        let tag = Tag::parse("x").unwrap();
        run(book.stop(&key(), stage.host.now())).unwrap();
        run(book.stop(&key(), stage.host.now())).unwrap();
        stage.hear(&with(|json| json["locale"] = "fr".into()), Sign::Message);
        run(book.tag(&key(), &tag)).unwrap();
        run(book.untag(&key(), &tag)).unwrap();
        run(book.pause(&with(|_| {}), stage.host.now() + PAUSED_FOR)).unwrap();
        stage.at(24 * 60 * 60);
        stage.hear(&with(|_| {}), Sign::Installed);
        assert!(stage.conversation().stopped);
        // The person asks to be forgotten, or the bot is uninstalled, and comes back.
        run(book.entomb(&key(), stage.host.now())).unwrap();
        run(book.forget(&key())).unwrap();
        stage.hear(&with(|_| {}), Sign::Installed);
        assert!(stage.conversation().stopped);
        run(book.start(&key())).unwrap();
        run(book.start(&key())).unwrap();
        assert!(!stage.conversation().stopped);
    }

    #[test]
    fn a_stop_during_another_write_survives() {
        for nth in 1..=5 {
            let stage = Stage::new();
            let (partition, row) = place();
            stage.before_call(nth, move || plant(&partition, &format!("{row}.s"), |entity| entity));
            stage.hear(&with(|_| {}), Sign::Message);
            assert!(stage.conversation().stopped, "before call {nth}");
        }
    }

    #[test]
    fn a_stop_is_seen_without_a_record_and_beside_one_of_a_newer_version() {
        let stage = Stage::new();
        assert_eq!(run(stage.book().standing(&key())), Ok(Standing::default()));
        run(stage.book().stop(&key(), stage.host.now())).unwrap();
        let stopped = Standing { stopped: true, ..Standing::default() };
        assert_eq!(run(stage.book().standing(&key())), Ok(stopped));
        assert_eq!(run(stage.book().get(&key())), Ok(None), "a stop makes no conversation");
        let (partition, row) = place();
        plant(&partition, &row, |entity| entity.with("version", 2));
        assert_eq!(run(stage.book().standing(&key())), Ok(stopped));
    }
}
