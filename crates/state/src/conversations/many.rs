//! Reads many conversations. One query can read several conversations if the table has few other
//! conversations between them.

use futures_util::{StreamExt, TryStreamExt, stream};
use platform::Host;
use storage_table::{Filter as Rule, Query};

use super::key::{ConversationKey, Row};
use super::known::Known;
use super::record::{Rows, partition_of};
use super::{AT_ONCE, Conversations};
use crate::StateError;

/// A *range* is the rows from the first to the last requested conversation of a shard (a partition
/// `c<digit>`). The query of a range reads at most this number of rows, times the number of requested
/// conversations in the range. The limit saves time, because a range can also contain many rows of
/// conversations that were not requested. If a query of a range reads only one requested conversation
/// completely, or none, each remaining requested conversation is read with its own query.
const ROWS_FOR_EACH: usize = 8;

/// A value for each conversation, e.g. its stored facts ([`Known`]), sorted by the conversations' keys.
pub type ByKey<T> = Vec<(ConversationKey, T)>;

/// Finds the value for the conversation with this key.
pub fn of_key<'a, T>(all: &'a ByKey<T>, key: &ConversationKey) -> Option<&'a T> {
    let at = all.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
    all.get(at).map(|(_, found)| found)
}

impl<H: Host> Conversations<'_, H> {
    /// Reads the stored facts about each of these conversations. If a key occurs twice, its conversation is
    /// read once. The conversations are in 16 shards (the partitions `c<digit>`). The method makes at most
    /// one query for each conversation, plus one query for each shard. The method makes fewer queries if the
    /// table has few other conversations between the requested conversations.
    pub async fn get_all(
        &self,
        keys: impl IntoIterator<Item = ConversationKey>,
    ) -> Result<ByKey<Known>, StateError> {
        let now = self.host.now();
        let known = |(key, rows): (ConversationKey, Rows)| (key, Known::of(rows, now));
        Ok(self.rows_of_all(keys.into_iter().collect()).await?.into_iter().map(known).collect())
    }

    /// Reads the rows of each of these conversations. If a conversation is not stored, its [`Rows`] are
    /// empty.
    pub(super) async fn rows_of_all(
        &self,
        mut keys: Vec<ConversationKey>,
    ) -> Result<ByKey<Rows>, StateError> {
        keys.sort_unstable();
        keys.dedup();
        let read = async |keys: &[ConversationKey]| self.rows_in_shard(keys).await;
        let read = &read;
        // The first digit of a key names the shard. The results of the shards are joined in the order of
        // these digits. So the joined results are sorted by key.
        let shards = keys.chunk_by(|one, other| one.digit() == other.digit());
        let found = stream::iter(shards).map(read).buffered(AT_ONCE);
        found.try_concat().await
    }

    /// Reads the rows of conversations of one shard. The keys must be sorted.
    async fn rows_in_shard(&self, keys: &[ConversationKey]) -> Result<ByKey<Rows>, StateError> {
        let mut found = Vec::with_capacity(keys.len());
        let mut left = keys;
        let mut use_ranges = true;
        while let [first, rest @ ..] = left {
            if use_ranges && let [.., last] = rest {
                let before = found.len();
                self.rows_between(first, last, left, &mut found).await?;
                let more = found.len() - before;
                // If the query of this range has read all rows of at most one conversation, more queries of
                // ranges would save nothing.
                use_ranges = more > 1;
                left = &left[more..];
            } else {
                found.push((first.clone(), self.rows_of(first).await?));
                left = rest;
            }
        }
        Ok(found)
    }

    /// Reads one page of the rows from `first` to `last`. Goes through `keys` in order, and adds a
    /// conversation to `found` if all rows of the conversation are on this page.
    async fn rows_between(
        &self,
        first: &ConversationKey,
        last: &ConversationKey,
        keys: &[ConversationKey],
        found: &mut ByKey<Rows>,
    ) -> Result<(), StateError> {
        let filter = Rule::partition(&partition_of(first)).rows(first.as_str(), &format!("{last}/"));
        let query = Query { filter, top: super::list::top(keys.len() * ROWS_FOR_EACH), select: Vec::new() };
        let page = self.table.query(&query, None).await?;
        let mut rows =
            page.entities.iter().filter_map(|entity| Some((Row::parse(&entity.key.row)?, entity))).peekable();
        for key in keys {
            let mut own = Rows::default();
            while let Some(((other, row), entity)) = rows.next_if(|((other, _), _)| other <= key) {
                if other == *key {
                    own.add(row, entity, self.host);
                }
            }
            // The next page can have further rows of the last conversation on this page.
            if page.next.is_some() && rows.peek().is_none() {
                break;
            }
            found.push((key.clone(), own));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use platform::Clock;
    use platform::testing::run;

    use super::super::PAUSED_FOR;
    use super::super::testing::{Stage, numbered, write_entity};
    use super::*;

    fn conversations(stage: &Stage, numbers: std::ops::Range<usize>) -> Vec<ConversationKey> {
        numbers.map(|number| stage.add(number, "29:u", "t")).collect()
    }

    #[test]
    fn conversations_that_are_alone_in_the_table_take_one_query_for_each_shard() {
        let stage = Stage::new();
        // The table has only the requested conversations.
        let keys = conversations(&stage, 0..100);
        keys.iter().for_each(|key| stage.tag(key, "x"));
        let calls = stage.calls();
        let found = run(stage.conversations().get_all(keys.clone())).unwrap();
        assert_eq!(stage.calls() - calls, 16);
        assert_eq!(found.len(), 100);
        for key in keys {
            let alone = run(stage.conversations().get(&key)).unwrap();
            assert_eq!(of_key(&found, &key).unwrap().conversation, alone);
            assert_eq!(alone.unwrap().tags.len(), 1);
        }
    }

    #[test]
    fn few_conversations_in_a_large_table_take_at_most_one_query_each_and_one_query_for_each_shard() {
        let stage = Stage::new();
        let keys = conversations(&stage, 0..640);
        let few: Vec<_> = keys.iter().step_by(40).cloned().collect();
        let calls = stage.calls();
        let found = run(stage.conversations().get_all(few.clone())).unwrap();
        assert!(stage.calls() - calls <= few.len() + 16, "{} calls", stage.calls() - calls);
        for key in few {
            assert_eq!(
                of_key(&found, &key).unwrap().conversation,
                run(stage.conversations().get(&key)).unwrap()
            );
        }
    }

    #[test]
    fn each_conversation_and_its_pause_and_stop_are_read_even_if_a_stop_has_no_record() {
        let stage = Stage::new();
        let mut keys = conversations(&stage, 0..40);
        keys.extend((40..60).map(|number| ConversationKey::of(&numbered(number, "29:u", "t"))));
        for key in [&keys[3], &keys[50]] {
            run(stage.conversations().stop(key, stage.host.now())).unwrap();
        }
        run(stage.conversations().pause(&numbered(5, "29:u", "t"), stage.host.now() + PAUSED_FOR)).unwrap();
        // A foreign row is ignored.
        write_entity("c7", "foreign row", |entity| entity);
        let found = run(stage.conversations().get_all(keys.clone())).unwrap();
        for (number, key) in keys.iter().enumerate() {
            let Known { standing, conversation, .. } = of_key(&found, key).unwrap();
            assert_eq!(conversation.is_some(), number < 40, "{number}");
            assert_eq!(standing.stopped, [3, 50].contains(&number), "{number}");
            assert_eq!(standing.paused, number == 5, "{number}");
        }
        assert!(run(stage.conversations().get_all([])).unwrap().is_empty());
    }

    #[test]
    fn conversation_whose_rows_are_on_two_pages_is_read_completely() {
        let stage = Stage::new();
        let keys = conversations(&stage, 0..60);
        for (number, key) in keys.iter().enumerate() {
            (0..number % 30).for_each(|tag| stage.tag(key, &format!("tag-{tag}")));
        }
        let found = run(stage.conversations().get_all(keys.clone())).unwrap();
        for (number, key) in keys.iter().enumerate() {
            assert_eq!(
                of_key(&found, key).unwrap().conversation.as_ref().unwrap().tags.len(),
                number % 30,
                "{number}"
            );
        }
        // The service can return an empty page with a continuation.
        stage.respond_with_empty_pages(40);
        assert_eq!(run(stage.conversations().get_all(keys)).unwrap(), found);
    }
}
