//! Many conversations at once. Where they lie close together in the table, one query reads several of them.

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};
use platform::Host;
use storage_table::{Filter as Rule, Query};

use super::key::{ConversationKey, Row};
use super::record::{Conversation, Rows, partition_of};
use super::{AT_ONCE, Conversations, Standing};
use crate::StateError;

/// The most rows that a query reads for each conversation that it looks for. Where the table is larger, each conversation is
/// read by itself: rows that nobody asked for cost time too.
const ROWS_FOR_EACH: usize = 8;

/// What the table has of a conversation that somebody named.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// Whether it may be sent alerts: this is known of conversations without a record too.
    pub standing: Standing,
    /// Its record, where this version can read one.
    pub conversation: Option<Conversation>,
}

impl Known {
    pub(super) fn of(rows: Rows, now: DateTime<Utc>) -> Self {
        let (stopped, forgotten_at) = (rows.stopped, rows.forgotten_at);
        let conversation = rows.conversation(now);
        let paused = conversation.as_ref().is_some_and(|conversation| conversation.paused);
        Self { standing: Standing { stopped, paused, forgotten_at }, conversation }
    }
}

/// What belongs to each of some conversations, in the order of their keys.
pub type ByKey<T> = Vec<(ConversationKey, T)>;

/// What belongs to a conversation.
pub fn of_key<'a, T>(all: &'a ByKey<T>, key: &ConversationKey) -> Option<&'a T> {
    let at = all.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
    all.get(at).map(|(_, found)| found)
}

impl<H: Host> Conversations<'_, H> {
    /// What the table has of each of these conversations, each once. It takes at most one query for each of them and one for
    /// each of the 16 shards; fewer, where the table has not many others between them.
    pub async fn get_all(
        &self,
        keys: impl IntoIterator<Item = ConversationKey>,
    ) -> Result<ByKey<Known>, StateError> {
        let now = self.host.now();
        let known = |(key, rows): (ConversationKey, Rows)| (key, Known::of(rows, now));
        Ok(self.rows_of_all(keys.into_iter().collect()).await?.into_iter().map(known).collect())
    }

    /// The rows of each of these conversations; none for one that the table does not have.
    pub(super) async fn rows_of_all(
        &self,
        mut keys: Vec<ConversationKey>,
    ) -> Result<ByKey<Rows>, StateError> {
        keys.sort_unstable();
        keys.dedup();
        let read = async |keys: &[ConversationKey]| self.rows_in_shard(keys).await;
        let read = &read;
        // The first digit of a key is its shard: so shards that follow each other make the whole order.
        let shards = keys.chunk_by(|one, other| one.digit() == other.digit());
        let found = stream::iter(shards).map(read).buffered(AT_ONCE);
        found.try_concat().await
    }

    /// The rows of conversations of one shard, whose keys are in order.
    async fn rows_in_shard(&self, keys: &[ConversationKey]) -> Result<ByKey<Rows>, StateError> {
        let mut found = Vec::with_capacity(keys.len());
        let mut left = keys;
        let mut is_worth_it = true;
        while let [first, rest @ ..] = left {
            if is_worth_it && let [.., last] = rest {
                let before = found.len();
                self.rows_between(first, last, left, &mut found).await?;
                let more = found.len() - before;
                // One more query for one conversation would cost as much as asking for it alone.
                is_worth_it = more > 1;
                left = &left[more..];
            } else {
                found.push((first.clone(), self.rows_of(first).await?));
                left = rest;
            }
        }
        Ok(found)
    }

    /// Reads one page from `first` to `last`, and adds the rows of those of the conversations that it holds wholly, from the
    /// first on.
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
            // More rows of the last conversation on a page may stand on the next one.
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
    use super::super::testing::{Stage, numbered, plant};
    use super::*;

    fn conversations(stage: &Stage, numbers: std::ops::Range<usize>) -> Vec<ConversationKey> {
        numbers.map(|number| stage.add(number, "29:u", "t")).collect()
    }

    #[test]
    fn a_hundred_of_a_hundred_take_one_query_for_each_shard() {
        let stage = Stage::new();
        let keys = conversations(&stage, 0..100);
        keys.iter().for_each(|key| stage.tag(key, "x"));
        let calls = stage.calls();
        let found = run(stage.book().get_all(keys.clone())).unwrap();
        assert_eq!(stage.calls() - calls, 16);
        assert_eq!(found.len(), 100);
        for key in keys {
            let alone = run(stage.book().get(&key)).unwrap();
            assert_eq!(of_key(&found, &key).unwrap().conversation, alone);
            assert_eq!(alone.unwrap().tags.len(), 1);
        }
    }

    #[test]
    fn a_few_of_many_take_a_query_each_and_one_for_each_shard_at_most() {
        let stage = Stage::new();
        let keys = conversations(&stage, 0..640);
        let few: Vec<_> = keys.iter().step_by(40).cloned().collect();
        let calls = stage.calls();
        let found = run(stage.book().get_all(few.clone())).unwrap();
        assert!(stage.calls() - calls <= few.len() + 16, "{} calls", stage.calls() - calls);
        for key in few {
            assert_eq!(of_key(&found, &key).unwrap().conversation, run(stage.book().get(&key)).unwrap());
        }
    }

    #[test]
    fn what_is_not_there_is_known_as_such_and_a_stop_is_seen_without_a_record() {
        let stage = Stage::new();
        let mut keys = conversations(&stage, 0..40);
        keys.extend((40..60).map(|number| ConversationKey::of(&numbered(number, "29:u", "t"))));
        for key in [&keys[3], &keys[50]] {
            run(stage.book().stop(key, stage.host.now())).unwrap();
        }
        run(stage.book().pause(&numbered(5, "29:u", "t"), stage.host.now() + PAUSED_FOR)).unwrap();
        // A foreign row costs nothing.
        plant("c7", "somebody else's", |entity| entity);
        let found = run(stage.book().get_all(keys.clone())).unwrap();
        for (number, key) in keys.iter().enumerate() {
            let Known { standing, conversation } = of_key(&found, key).unwrap();
            assert_eq!(conversation.is_some(), number < 40, "{number}");
            assert_eq!(standing.stopped, [3, 50].contains(&number), "{number}");
            assert_eq!(standing.paused, number == 5, "{number}");
        }
        assert!(run(stage.book().get_all([])).unwrap().is_empty());
    }

    #[test]
    fn the_rows_of_a_conversation_may_stand_on_two_pages() {
        let stage = Stage::new();
        let keys = conversations(&stage, 0..60);
        for (number, key) in keys.iter().enumerate() {
            (0..number % 30).for_each(|tag| stage.tag(key, &format!("tag-{tag}")));
        }
        let found = run(stage.book().get_all(keys.clone())).unwrap();
        for (number, key) in keys.iter().enumerate() {
            assert_eq!(
                of_key(&found, key).unwrap().conversation.as_ref().unwrap().tags.len(),
                number % 30,
                "{number}"
            );
        }
        // The service may answer with an empty page that has a next one.
        stage.answer_empty_pages(40);
        assert_eq!(run(stage.book().get_all(keys)).unwrap(), found);
    }
}
