//! The subscriptions of conversations to tags. An alert to a tag goes to each conversation that subscribes to
//! the tag.

use bot_framework::ConversationReference;
use platform::Host;
use storage_table::{Entity, Key};

use super::Conversations;
use super::index::Index;
use super::key::{ConversationKey, Row, Tag};
use super::record::{Stored, key_of};
use super::tag_tenant::tenant_of;
use crate::StateError;

/// The most tags of a conversation. If two requests add a tag at the same moment, the conversation can get
/// one tag more than this.
pub const MAX_TAGS: usize = 32;

/// The result of [`Conversations::tag`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tagged {
    /// The conversation subscribes to the tag.
    Yes,
    /// The conversation has [`MAX_TAGS`] other tags already.
    TooMany,
}

impl<H: Host> Conversations<'_, H> {
    /// Subscribes a conversation to a tag. Writes two rows: a row of the conversation itself, and an *index
    /// row*. The index of a tag in a tenant has an index row for each subscriber in the tenant. The key of
    /// the index row contains the tenant, and the conversation's record holds the tenant. So the conversation
    /// must have a record.
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
        // The conversation's own row is written first. Without this row, the index row would be stale, and
        // another call that reads the index would delete the index row.
        self.put_tag(key_of(key, &Row::Tag(tag.clone()))).await?;
        self.put_tag(Index::of_tag_at(&address, tag).row(key)).await?;
        Ok(Tagged::Yes)
    }

    /// Ends the subscription of a conversation to a tag. Returns whether the conversation has a record. The
    /// subscription ends even without a record.
    pub async fn untag(&self, key: &ConversationKey, tag: &Tag) -> Result<bool, StateError> {
        let rows = self.rows_of(key).await?;
        // Deleting the conversation's own row ends the subscription. The key of the index row contains the
        // tenant. If the record is missing or cannot be read, the tenant is unknown, so the index row stays
        // and becomes stale. A later call that reads the index deletes the stale row, unless the conversation
        // then has a record that cannot be read.
        self.table.delete(&key_of(key, &Row::Tag(tag.clone())), None).await?;
        if let Stored::Record(record) = &rows.stored {
            self.table.delete(&Index::of_tag_at(&record.address, tag).row(key), None).await?;
        }
        Ok(rows.has_record)
    }

    /// Returns the tags whose index rows have to move to another tenant. If the addresses `before` and
    /// `after` have different tenants, returns all tags of the conversation, because each tenant has its own
    /// index of a tag. Otherwise returns an empty list.
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

    use super::super::testing::{Stage, delete_entity, key, place, subscribers, with, write_entity};
    use super::super::{Filter, Sign};
    use super::*;

    fn tag(text: &str) -> Tag {
        Tag::parse(text).unwrap()
    }

    #[test]
    fn tag_is_kept_until_the_subscription_ends() {
        let stage = Stage::new();
        stage.record_activity(&with(|_| {}), Sign::Message);
        let before = stage.rows();
        for text in ["b#1", "a.s", "b#1"] {
            assert_eq!(run(stage.conversations().tag(&key(), &tag(text))), Ok(Tagged::Yes));
        }
        stage.record_activity(&with(|json| json["locale"] = "fr".into()), Sign::Message);
        assert_eq!(stage.conversation().tags, [tag("a.s"), tag("b#1")]);
        for text in ["b#1", "a.s", "b#1"] {
            run(stage.conversations().untag(&key(), &tag(text))).unwrap();
        }
        assert!(stage.conversation().tags.is_empty());
        assert_eq!(stage.rows(), before, "all rows of the tags are deleted");
    }

    #[test]
    fn conversation_with_32_tags_gets_no_further_tag() {
        let stage = Stage::new();
        stage.record_activity(&with(|_| {}), Sign::Message);
        for number in 0..MAX_TAGS {
            assert_eq!(run(stage.conversations().tag(&key(), &tag(&number.to_string()))), Ok(Tagged::Yes));
        }
        assert_eq!(run(stage.conversations().tag(&key(), &tag("one-more"))), Ok(Tagged::TooMany));
        assert_eq!(
            run(stage.conversations().tag(&key(), &tag("0"))),
            Ok(Tagged::Yes),
            "the conversation already has this tag"
        );
        assert_eq!(stage.conversation().tags.len(), MAX_TAGS);
    }

    /// The conversations that subscribe to `x` in these tenants.
    fn found(stage: &Stage, tenants: &[Option<&str>]) -> Vec<ConversationKey> {
        let filter = Filter { tag: Some(subscribers("x", tenants)), tenant_id: None };
        let page = run(stage.conversations().page(None, 100, &filter)).unwrap();
        page.conversations.into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn subscribers_of_a_tag_in_several_tenants_are_found_only_in_the_given_tenants() {
        let stage = Stage::new();
        let [ours, theirs] = [(1, "ours"), (2, "theirs")].map(|(number, tenant)| {
            let key = stage.add(number, "29:u", tenant);
            stage.tag(&key, "x");
            key
        });
        let visitor = with(|json| json["channelId"] = "webchat".into());
        stage.record_activity(&visitor, Sign::Message);
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
    fn tags_move_with_the_conversation_to_another_tenant() {
        let stage = Stage::new();
        let unverified = with(|json| json["serviceUrlVerified"] = false.into());
        stage.record_activity(&unverified, Sign::Message);
        stage.tag(&key(), "x");
        stage.tag(&key(), "y");
        assert_eq!(found(&stage, &[None]), [key()]);
        assert_eq!(found(&stage, &[Some("t")]), []);
        let before = stage.rows().len();
        stage.record_activity(&with(|_| {}), Sign::Message);
        assert_eq!(found(&stage, &[None]), []);
        assert_eq!(found(&stage, &[Some("t")]), [key()]);
        assert_eq!(stage.conversation().tags.len(), 2);
        assert_eq!(stage.rows().len(), before);
        // The letter case of a tenant's id does not matter.
        stage.record_activity(&with(|json| json["conversation"]["tenantId"] = "T".into()), Sign::Message);
        assert_eq!(found(&stage, &[Some("t")]), vec![key()]);
        run(stage.conversations().forget(&key())).unwrap();
        assert!(stage.rows().is_empty(), "{:?}", stage.rows());
    }

    #[test]
    fn index_row_that_a_reader_deletes_while_a_tag_moves_is_written_again() {
        let stage = Stage::new();
        stage.record_activity(&with(|json| json["serviceUrlVerified"] = false.into()), Sign::Message);
        stage.tag(&key(), "x");
        // The first four storage calls by `record_activity` read the record, read all rows of the
        // conversation, write the new index row, and merge the record. Right before the fourth storage call,
        // a reader of the index deletes the new index row as stale.
        let (_, row) = place();
        stage.before_call(4, move || delete_entity("t.t.x", &row));
        stage.record_activity(&with(|_| {}), Sign::Message);
        assert_eq!(found(&stage, &[Some("t")]), vec![key()]);
    }

    #[test]
    fn subscription_of_a_conversation_without_a_readable_record_can_be_ended() {
        let stage = Stage::new();
        stage.record_activity(&with(|_| {}), Sign::Message);
        stage.tag(&key(), "x");
        let (partition, row) = place();
        write_entity(&partition, &row, |entity| entity.with("version", 2));
        assert_eq!(run(stage.conversations().untag(&key(), &tag("x"))), Ok(true));
        delete_entity(&partition, &row);
        assert_eq!(run(stage.conversations().untag(&key(), &tag("x"))), Ok(false));
        assert!(found(&stage, &[Some("t")]).is_empty());
        assert!(!stage.rows().iter().any(|row| row.contains(".x")), "{:?}", stage.rows());
    }

    #[test]
    fn conversation_that_is_not_stored_gets_no_tag() {
        let stage = Stage::new();
        assert_eq!(run(stage.conversations().tag(&key(), &tag("x"))), Err(StateError::NotStored));
        let (partition, row) = place();
        write_entity(&partition, &row, |entity| entity.with("version", 2));
        assert_eq!(run(stage.conversations().tag(&key(), &tag("x"))), Err(StateError::Newer));
        assert_eq!(stage.writes(), 0);
    }
}
