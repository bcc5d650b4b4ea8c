//! Subscribing to tags.

use bot_framework::ConversationReference;
use platform::Host;
use storage_table::{Entity, Key};

use super::Conversations;
use super::index::Index;
use super::key::{ConversationKey, Row, Tag};
use super::record::{Stored, key_of};
use super::subscribers::tenant_of;
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
        let address = match rows.stored {
            Stored::Record(record) => record.address,
            Stored::Newer => return Err(StateError::Newer),
            Stored::Nothing | Stored::Broken => return Err(StateError::NotStored),
        };
        if rows.tags.len() >= MAX_TAGS && !rows.tags.contains(tag) {
            return Ok(Tagged::TooMany);
        }
        // The conversation's own row first: an index that leads to a conversation without the tag is deleted.
        self.put_tag(key_of(key, &Row::Tag(tag.clone()))).await?;
        self.put_tag(Index::of_tag_at(&address, tag).row(key)).await?;
        Ok(Tagged::Yes)
    }

    /// Ends the subscription of a conversation to a tag. Returns whether the conversation is known.
    pub async fn untag(&self, key: &ConversationKey, tag: &Tag) -> Result<bool, StateError> {
        let rows = self.rows_of(key).await?;
        // The own row is what counts. Without a readable record, the first reader of the index deletes the other one.
        self.table.delete(&key_of(key, &Row::Tag(tag.clone())), None).await?;
        if let Stored::Record(record) = &rows.stored {
            self.table.delete(&Index::of_tag_at(&record.address, tag).row(key), None).await?;
        }
        Ok(rows.has_record)
    }

    /// The tags that move to the lists of another tenant, because the conversation's address changes.
    pub(super) async fn moving_tags(
        &self,
        key: &ConversationKey,
        before: &ConversationReference,
        after: &ConversationReference,
    ) -> Result<Vec<Tag>, StateError> {
        let of = |address| tenant_of(address).map(str::to_lowercase);
        if of(before) == of(after) { Ok(Vec::new()) } else { Ok(self.rows_of(key).await?.tags) }
    }

    pub(super) async fn put_tag(&self, row: Key) -> Result<(), StateError> {
        let at = self.host.now().timestamp_millis();
        self.table.put(&Entity::new(row).with_int64("at", at)).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use platform::testing::run;

    use super::super::testing::{Stage, key, lose, place, plant, subscribers, with};
    use super::super::{Filter, Sign};
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

    /// The conversations that subscribe to `x` in these tenants.
    fn found(stage: &Stage, tenants: &[Option<&str>]) -> Vec<ConversationKey> {
        let filter = Filter { tag: Some(subscribers("x", tenants)), tenant_id: None };
        let page = run(stage.book().page(None, 100, &filter)).unwrap();
        page.conversations.into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn a_tag_leads_to_conversations_of_the_tenants_that_are_asked_for() {
        let stage = Stage::new();
        let [ours, theirs] = [(1, "ours"), (2, "theirs")].map(|(number, tenant)| {
            let key = stage.add(number, "29:u", tenant);
            stage.tag(&key, "x");
            key
        });
        let visitor = with(|json| json["channelId"] = "webchat".into());
        stage.hear(&visitor, Sign::Message);
        let visitor = ConversationKey::of(&visitor);
        stage.tag(&visitor, "x");
        let mut both = vec![ours.clone(), visitor.clone()];
        both.sort();
        for (tenants, expected) in [
            (&[Some("OURS")][..], vec![ours]),
            (&[Some("theirs")], vec![theirs]),
            (&[None], vec![visitor]),
            (&[Some("ours"), None], both),
            (&[Some("")], found(&stage, &[None])),
            (&[Some("t"), Some("nobody")], vec![]),
            (&[], vec![]),
        ] {
            assert_eq!(found(&stage, tenants), expected, "{tenants:?}");
        }
    }

    #[test]
    fn tags_move_with_the_conversation_into_another_tenant() {
        let stage = Stage::new();
        let unverified = with(|json| json["serviceUrlVerified"] = false.into());
        stage.hear(&unverified, Sign::Message);
        stage.tag(&key(), "x");
        stage.tag(&key(), "y");
        assert_eq!((found(&stage, &[None]), found(&stage, &[Some("t")])), (vec![key()], vec![]));
        let before = stage.rows().len();
        stage.hear(&with(|_| {}), Sign::Message);
        assert_eq!((found(&stage, &[None]), found(&stage, &[Some("t")])), (vec![], vec![key()]));
        assert_eq!((stage.conversation().tags.len(), stage.rows().len()), (2, before));
        // The case of a tenant's id means nothing.
        stage.hear(&with(|json| json["conversation"]["tenantId"] = "T".into()), Sign::Message);
        assert_eq!(found(&stage, &[Some("t")]), vec![key()]);
        run(stage.book().forget(&key())).unwrap();
        assert!(stage.rows().is_empty(), "{:?}", stage.rows());
    }

    #[test]
    fn a_row_that_a_reader_deleted_while_a_tag_moved_is_written_again() {
        let stage = Stage::new();
        stage.hear(&with(|json| json["serviceUrlVerified"] = false.into()), Sign::Message);
        stage.tag(&key(), "x");
        // The calls: the record, its rows, the new row, and then the record's merge.
        let (_, row) = place();
        stage.before_call(4, move || lose("t.t.x", &row));
        stage.hear(&with(|_| {}), Sign::Message);
        assert_eq!(found(&stage, &[Some("t")]), vec![key()]);
    }

    #[test]
    fn a_tag_is_taken_from_a_conversation_that_is_not_known_too() {
        let stage = Stage::new();
        stage.hear(&with(|_| {}), Sign::Message);
        stage.tag(&key(), "x");
        let (partition, row) = place();
        plant(&partition, &row, |entity| entity.with("version", 2));
        assert_eq!(run(stage.book().untag(&key(), &tag("x"))), Ok(true));
        lose(&partition, &row);
        assert_eq!(run(stage.book().untag(&key(), &tag("x"))), Ok(false));
        assert!(found(&stage, &[Some("t")]).is_empty());
        assert!(!stage.rows().iter().any(|row| row.contains(".x")), "{:?}", stage.rows());
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
