//! Subscribing to tags.

use platform::Host;
use storage_table::Entity;

use super::Conversations;
use super::index::Index;
use super::key::{ConversationKey, Row, Tag};
use super::record::{Stored, key_of};
use crate::StateError;

/// The most tags that one conversation may have. Two calls at the same moment may exceed it by one.
pub const MAX_TAGS: usize = 32;

/// What became of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tagged {
    /// The conversation subscribes to the tag.
    Yes,
    /// It has [`MAX_TAGS`] tags, and this is none of them.
    TooMany,
}

impl<H: Host> Conversations<'_, H> {
    /// Subscribes a conversation to a tag. It has to be known: a tag of nobody would lead nowhere.
    pub async fn tag(&self, key: &ConversationKey, tag: &Tag) -> Result<Tagged, StateError> {
        let rows = self.rows_of(key).await?;
        match rows.stored {
            Stored::Record(_) => {}
            Stored::Newer => return Err(StateError::Newer),
            Stored::Nothing | Stored::Broken => return Err(StateError::NotStored),
        }
        if rows.tags.len() >= MAX_TAGS && !rows.tags.contains(tag) {
            return Ok(Tagged::TooMany);
        }
        let at = self.host.now().timestamp_millis();
        // The conversation's own row first: an index that leads to a conversation without the tag is deleted.
        self.table.put(&Entity::new(key_of(key, &Row::Tag(tag.clone()))).with_int64("at", at)).await?;
        self.table.put(&Entity::new(Index::of_tag(tag).row(key)).with_int64("at", at)).await?;
        Ok(Tagged::Yes)
    }

    /// Ends the subscription of a conversation to a tag.
    pub async fn untag(&self, key: &ConversationKey, tag: &Tag) -> Result<(), StateError> {
        self.table.delete(&key_of(key, &Row::Tag(tag.clone())), None).await?;
        self.table.delete(&Index::of_tag(tag).row(key), None).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use platform::testing::run;

    use super::super::Sign;
    use super::super::testing::{Stage, key, place, plant, with};
    use super::*;

    fn tag(text: &str) -> Tag {
        Tag::parse(text).unwrap()
    }

    #[test]
    fn a_tag_is_kept_until_it_is_taken_away() {
        let stage = Stage::new();
        stage.hear(&with(|_| {}), Sign::Message);
        let before = stage.rows();
        for text in ["b#1", "a.s", "b#1"] {
            assert_eq!(run(stage.book().tag(&key(), &tag(text))), Ok(Tagged::Yes));
        }
        stage.hear(&with(|json| json["locale"] = "fr".into()), Sign::Message);
        assert_eq!(stage.conversation().tags, [tag("a.s"), tag("b#1")]);
        for text in ["b#1", "a.s", "b#1"] {
            run(stage.book().untag(&key(), &tag(text))).unwrap();
        }
        assert!(stage.conversation().tags.is_empty());
        assert_eq!(stage.rows(), before, "nothing is left");
    }

    #[test]
    fn a_conversation_has_32_tags_at_most() {
        let stage = Stage::new();
        stage.hear(&with(|_| {}), Sign::Message);
        for number in 0..MAX_TAGS {
            assert_eq!(run(stage.book().tag(&key(), &tag(&number.to_string()))), Ok(Tagged::Yes));
        }
        assert_eq!(run(stage.book().tag(&key(), &tag("one-more"))), Ok(Tagged::TooMany));
        assert_eq!(run(stage.book().tag(&key(), &tag("0"))), Ok(Tagged::Yes), "one that it has");
        assert_eq!(stage.conversation().tags.len(), MAX_TAGS);
    }

    #[test]
    fn only_known_conversations_are_tagged() {
        let stage = Stage::new();
        assert_eq!(run(stage.book().tag(&key(), &tag("x"))), Err(StateError::NotStored));
        let (partition, row) = place();
        plant(&partition, &row, |entity| entity.with("version", 2));
        assert_eq!(run(stage.book().tag(&key(), &tag("x"))), Err(StateError::Newer));
        assert_eq!(stage.writes(), 0);
    }
}
