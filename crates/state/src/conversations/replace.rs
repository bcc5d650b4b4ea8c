//! Replaces a conversation whose chat Teams has purged. The poller has created a new chat with the person.

use bot_framework::ConversationReference;
use platform::Host;

use super::Conversations;
use super::key::ConversationKey;
use super::record::Stored;
use super::stored_form::Sign;
use crate::StateError;

impl<H: Host> Conversations<'_, H> {
    /// Stores the new chat at `address` as a new conversation that replaces `old`. The new conversation gets
    /// the time zone, the tags, the `stop` (the person wants no alerts of programs) and the quiet hours of
    /// `old`. Then the method deletes `old` with [`Self::forget`]. If `old` has no record, the method writes
    /// nothing. If a call to this method is interrupted, the caller can repeat the call.
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
        // The `stop` is written before the record. Otherwise the new conversation could get an alert although
        // the person has sent `stop`.
        if rows.stopped {
            self.stop(&new, self.host.now()).await?;
        }
        let quiet = rows.quiet();
        if let Some(quiet) = quiet {
            self.set_quiet(&new, quiet.hours, self.host.now()).await?;
        }
        let zone = match rows.stored {
            Stored::Record(ref record) => record.zone,
            Stored::Nothing | Stored::Newer | Stored::Broken => None,
        };
        self.record(address, Sign::Update, zone).await?;
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

    use zones::{ClockSpan, Zone};

    use super::super::Quiet;
    use super::super::testing::{Stage, key, with};
    use super::*;

    fn new() -> ConversationReference {
        with(|json| json["conversation"]["id"] = json!("a:new"))
    }

    #[test]
    fn replace_that_is_repeated_keeps_tags_stop_and_quiet_hours() {
        for stopped in [false, true] {
            let stage = Stage::new();
            let in_berlin = stage.conversations().in_zone(Zone::parse("Europe/Berlin"));
            run(in_berlin.record_activity(&with(|_| {}), Sign::Message, None)).unwrap();
            stage.tag(&key(), "x");
            if stopped {
                run(stage.conversations().stop(&key(), stage.host.now())).unwrap();
            }
            let quiet = Quiet {
                hours: ClockSpan::parse("22-7").unwrap(),
                zone: Zone::parse("Europe/Berlin").unwrap(),
            };
            run(stage.conversations().set_quiet(&key(), quiet.hours, stage.host.now())).unwrap();
            for _ in 0..2 {
                run(stage.conversations().replace(&key(), &new())).unwrap();
                let conversation =
                    run(stage.conversations().get(&ConversationKey::of(&new()))).unwrap().unwrap();
                assert_eq!((conversation.stopped, conversation.tags.len()), (stopped, 1));
                assert_eq!(conversation.quiet, Some(quiet));
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
