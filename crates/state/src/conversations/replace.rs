//! Moves a conversation to another id, because the channel has replaced it.

use bot_framework::ConversationReference;
use platform::Host;

use super::Conversations;
use super::activity::Sign;
use super::key::ConversationKey;
use crate::StateError;

impl<H: Host> Conversations<'_, H> {
    /// Stores `address` in the place of the conversation `old`: with its tags and its `stop`. The old
    /// conversation is forgotten. If it is not stored, nothing is. A call that was cut off can be repeated.
    pub async fn replace(
        &self,
        old: &ConversationKey,
        address: &ConversationReference,
    ) -> Result<(), StateError> {
        let rows = self.rows_of(old).await?;
        if !rows.has_record {
            return Ok(());
        }
        let new = ConversationKey::of(address);
        // A `stop` comes first, so that no alert is sent before the new conversation has it.
        if rows.stopped {
            self.stop(&new, self.host.now()).await?;
        }
        self.record_activity(address, Sign::Update, None).await?;
        for tag in &rows.tags {
            self.tag(&new, tag).await?;
        }
        self.forget(old).await
    }
}

#[cfg(test)]
mod tests {
    use platform::Clock;
    use platform::testing::run;
    use serde_json::json;

    use super::super::testing::{Stage, key, with};
    use super::*;

    fn new() -> ConversationReference {
        with(|json| json["conversation"]["id"] = json!("a:new"))
    }

    #[test]
    fn conversation_that_was_replaced_keeps_tags_and_stop_even_if_the_call_is_repeated() {
        for stopped in [false, true] {
            let stage = Stage::new();
            stage.record_activity(&with(|_| {}), Sign::Message);
            stage.tag(&key(), "x");
            if stopped {
                run(stage.conversations().stop(&key(), stage.host.now())).unwrap();
            }
            for _ in 0..2 {
                run(stage.conversations().replace(&key(), &new())).unwrap();
                let conversation =
                    run(stage.conversations().get(&ConversationKey::of(&new()))).unwrap().unwrap();
                assert_eq!((conversation.stopped, conversation.tags.len()), (stopped, 1));
                assert_eq!(run(stage.conversations().get(&key())), Ok(None));
            }
            let of_person = run(stage.conversations().of_aad_object("e5")).unwrap().map(|(key, _)| key);
            assert_eq!(of_person, Some(ConversationKey::of(&new())));
        }
    }

    #[test]
    fn conversation_that_is_not_stored_is_not_replaced() {
        let stage = Stage::new();
        run(stage.conversations().replace(&key(), &new())).unwrap();
        assert!(stage.rows().is_empty());
    }
}
