//! The webhook address of a conversation: a URL to which programs can post alerts for this conversation. Each
//! new address has a new *generation* (a number). The older addresses then no longer work. The row `<key>.h`
//! records the generation of the newest address, and whether the bot has ended this address. The bot changes
//! the row for:
//!
//! - the commands `webhook`, `webhook new` and `webhook off`,
//! - the HTTP routes for webhook addresses,
//! - a request to forget the conversation. The bot then ends the address, but keeps the row, so that the
//!   ended address never works again.
//!
//! The address itself is not stored, because the token in the address holds the conversation's key and the
//! generation.

use platform::Host;
use storage_table::{Conditional, ETag, Entity, Inserted};

use super::key::{ConversationKey, Row};
use super::record::key_of;
use super::rows::hook::{GENERATION, Hook, OFF};
use super::{ATTEMPTS, Conversations};
use crate::StateError;

/// A change of the row `<key>.h`: opens, renews or ends the webhook address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Open,
    Renew,
    End,
}

impl Change {
    /// Returns the row after the change; `None` if the change leaves the row as it is.
    fn of(self, hook: Option<Hook>) -> Option<Hook> {
        match (self, hook) {
            (Self::Open, Some(hook)) if !hook.is_ended => None,
            (Self::Open | Self::Renew, hook) => {
                Some(Hook { generation: hook.map_or(1, Hook::next), is_ended: false })
            }
            (Self::End, Some(hook)) if !hook.is_ended => Some(Hook { is_ended: true, ..hook }),
            (Self::End, _) => None,
        }
    }
}

impl<H: Host> Conversations<'_, H> {
    /// Returns the generation of the conversation's working webhook address. If no webhook address works, the
    /// method begins a new generation, and returns the new generation.
    pub async fn open_hook(&self, key: &ConversationKey) -> Result<u16, StateError> {
        Ok(self.change_hook(key, Change::Open).await?.map_or(0, |hook| hook.generation))
    }

    /// Begins a new generation, so that no earlier address of the conversation works any more. Returns the
    /// new generation.
    pub async fn renew_hook(&self, key: &ConversationKey) -> Result<u16, StateError> {
        Ok(self.change_hook(key, Change::Renew).await?.map_or(0, |hook| hook.generation))
    }

    /// Ends the webhook address of the conversation. If no address works, nothing is written.
    pub async fn end_hook(&self, key: &ConversationKey) -> Result<(), StateError> {
        self.change_hook(key, Change::End).await?;
        Ok(())
    }

    /// Makes the change, and returns the content of the row after the change; `None` if there is no row.
    async fn change_hook(&self, key: &ConversationKey, change: Change) -> Result<Option<Hook>, StateError> {
        let row = key_of(key, &Row::Hook);
        for _ in 0..ATTEMPTS {
            let found = self.table.get(&row).await?;
            let hook = found.as_ref().map(|found| Hook::read(&found.entity));
            let Some(changed) = change.of(hook) else { return Ok(hook) };
            let entity = Entity::new(row.clone())
                .with(GENERATION, i32::from(changed.generation))
                .with(OFF, changed.is_ended);
            if self.write_hook(&entity, found.map(|found| found.etag)).await? {
                return Ok(Some(changed));
            }
        }
        Err(StateError::Contended { attempts: ATTEMPTS })
    }

    /// Writes the row, and returns true. If another writer was faster, the method writes nothing and returns
    /// false.
    async fn write_hook(&self, entity: &Entity, etag: Option<ETag>) -> Result<bool, StateError> {
        Ok(match etag {
            None => matches!(self.table.insert(entity).await?, Inserted::New(_)),
            Some(etag) => matches!(self.table.merge(entity, Some(&etag)).await?, Conditional::Done(_)),
        })
    }
}

#[cfg(test)]
mod tests {
    use platform::testing::run;

    use super::super::Sign;
    use super::super::testing::{Stage, key, place, read_entity, with, write_entity};
    use super::*;

    /// Reads the generation whose address works. The bot calls the same method, `known`, when a program posts
    /// to the webhook address.
    fn working(stage: &Stage) -> Option<u16> {
        run(stage.conversations().known(&key())).unwrap().hook
    }

    fn stored() -> Stage {
        let stage = Stage::new();
        stage.record_activity(&with(|_| {}), Sign::Message);
        stage
    }

    #[test]
    fn hook_works_from_the_opening_until_the_next_renewal_or_end() {
        let stage = stored();
        let conversations = stage.conversations();
        assert_eq!(working(&stage), None, "no address works before the first one is opened");
        run(conversations.end_hook(&key())).unwrap();
        assert_eq!(run(conversations.open_hook(&key())), Ok(1));
        assert_eq!((run(conversations.open_hook(&key())), working(&stage)), (Ok(1), Some(1)));
        assert_eq!((run(conversations.renew_hook(&key())), working(&stage)), (Ok(2), Some(2)));
        run(conversations.end_hook(&key())).unwrap();
        assert_eq!(working(&stage), None);
        assert_eq!(run(conversations.open_hook(&key())), Ok(3), "an ended address stays ended");
        run(conversations.end_hook(&key())).unwrap();
        assert_eq!(run(conversations.renew_hook(&key())), Ok(4));
    }

    #[test]
    fn forgotten_conversation_keeps_the_generation_of_the_hook() {
        let stage = stored();
        let conversations = stage.conversations();
        assert_eq!(run(conversations.renew_hook(&key())), Ok(1));
        // The method `forget` does not end the address. If a person or a program asks the bot to forget the
        // conversation, the bot calls `end_hook` before `forget`.
        run(conversations.forget(&key())).unwrap();
        assert_eq!(run(conversations.known(&key())).unwrap().conversation, None);
        stage.record_activity(&with(|_| {}), Sign::Installed);
        assert_eq!((working(&stage), run(conversations.renew_hook(&key()))), (Some(1), Ok(2)));
    }

    #[test]
    fn hook_that_another_writer_changes_between_read_and_write_is_read_again() {
        // `renew_hook` makes two calls: it reads the row, and writes the row. Another writer acts between the
        // two calls.
        let stage = stored();
        let (partition, row) = place();
        let hook_row = format!("{row}.h");
        let other = (partition.clone(), hook_row.clone());
        stage.before_call(2, move || {
            write_entity(&other.0, &other.1, |entity| entity.with(GENERATION, 7).with(OFF, false));
        });
        assert_eq!(run(stage.conversations().renew_hook(&key())), Ok(8));
        // After the greatest generation, the generations begin again at 1.
        write_entity(&partition, &hook_row, |entity| entity.with(GENERATION, 65_535).with(OFF, false));
        assert_eq!(run(stage.conversations().renew_hook(&key())), Ok(1));
        // If the row cannot be read, no address works, and the generations begin again at 1.
        write_entity(&partition, &hook_row, |entity| entity.with(GENERATION, "x"));
        assert_eq!((working(&stage), run(stage.conversations().open_hook(&key()))), (None, Ok(1)));
        assert!(read_entity(&partition, &hook_row).is_some());
        assert!(stage.host.events("conversation.entity-skipped").is_empty());
    }
}
