//! The conversations page by page, in the order of their keys.

use futures_util::{StreamExt, TryStreamExt, stream};
use platform::Host;
use storage_table::{Entity, Filter as Rule, Query};

use super::index::{Index, MAX_TOP};
use super::key::{ConversationKey, Row};
use super::record::{Conversation, FOREIGN_ROW, Rows, partition_of, skipped};
use super::subscribers::Subscribers;
use super::{AT_ONCE, Conversations};
use crate::StateError;

/// Which conversations a page shows.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Those that subscribe to a tag.
    pub tag: Option<Subscribers>,
    /// Those in this tenant.
    pub tenant_id: Option<String>,
}

/// Some of the conversations, in the order of their keys.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// Fewer than asked for where one was forgotten meanwhile, does not fit the filter, or cannot be read by this version.
    pub conversations: Vec<(ConversationKey, Conversation)>,
    /// What to ask for the next page after; `None` on the last one.
    pub next: Option<ConversationKey>,
}

impl<H: Host> Conversations<'_, H> {
    /// The conversations behind `after`, at most `limit` of them. It takes calls, and memory, in proportion to `limit`.
    pub async fn page(
        &self,
        after: Option<&ConversationKey>,
        limit: usize,
        filter: &Filter,
    ) -> Result<Page, StateError> {
        match (&filter.tag, &filter.tenant_id) {
            (None, None) => self.page_of_all(after, limit).await,
            (Some(tag), _) => {
                let indexes: Vec<Index> = tag.indexes().collect();
                self.page_of_indexes(&indexes, after, limit, filter).await
            }
            (None, Some(id)) => self.page_of_indexes(&[Index::of_tenant(id)], after, limit, filter).await,
        }
    }

    /// From several indexes, as if they were one: a page is in the order of the keys.
    async fn page_of_indexes(
        &self,
        indexes: &[Index],
        after: Option<&ConversationKey>,
        limit: usize,
        filter: &Filter,
    ) -> Result<Page, StateError> {
        let read = async |index: &Index| self.rows_of_index(index, after, limit).await;
        let read = &read;
        let found = stream::iter(indexes).map(read).buffered(AT_ONCE);
        let mut rows: Vec<Entity> = found.try_concat().await?;
        rows.sort_by(|one, other| one.key.row.cmp(&other.key.row));
        // A conversation may stand in two of them, and one row may lead nowhere: a page has both or none.
        let is_same =
            |at: usize| at > 0 && rows.get(at).is_some_and(|row| row.key.row == rows[at - 1].key.row);
        let cut = limit + usize::from(is_same(limit));
        let is_last = rows.len() <= cut;
        rows.truncate(cut);
        let last = rows.last().and_then(|entity| ConversationKey::parse(&entity.key.row));
        let mut conversations = Vec::new();
        for index in indexes {
            let (own, others) =
                rows.into_iter().partition(|entity| entity.key.partition == index.partition());
            conversations.extend(self.behind(index, own).await?);
            rows = others;
        }
        conversations.sort_by(|(one, _), (other, _)| one.cmp(other));
        if let Some(id) = &filter.tenant_id {
            conversations.retain(|(_, conversation)| {
                let own = conversation.address.vouched_tenant();
                own.is_some_and(|own| own.to_lowercase() == id.to_lowercase())
            });
        }
        Ok(Page { conversations, next: last.filter(|_| !is_last) })
    }

    /// The rows of an index behind `after`: more than `limit`, or all of them.
    async fn rows_of_index(
        &self,
        index: &Index,
        after: Option<&ConversationKey>,
        limit: usize,
    ) -> Result<Vec<Entity>, StateError> {
        // A blank sorts before every other character of a key, and `g` after every key.
        let from = after.map(|after| format!("{after} ")).unwrap_or_default();
        let filter = Rule::partition(index.partition()).rows(&from, "g");
        let query = Query { filter, top: top(limit + 1), ..index.query() };
        let mut rows = Vec::new();
        let mut continuation = None;
        loop {
            let page = self.table.query(&query, continuation.as_ref()).await?;
            for entity in page.entities {
                match ConversationKey::parse(&entity.key.row) {
                    Some(_) => rows.push(entity),
                    None => skipped(self.host, &entity.key, FOREIGN_ROW),
                }
            }
            continuation = page.next;
            if rows.len() > limit || continuation.is_none() {
                return Ok(rows);
            }
        }
    }

    /// From the shards themselves: their rows hold everything, so that no further call is needed.
    async fn page_of_all(&self, after: Option<&ConversationKey>, limit: usize) -> Result<Page, StateError> {
        let mut gathered = Gathered { limit, ..Gathered::default() };
        // Two ranges, because `or` makes the service read the whole table.
        let rest = match after {
            None => "c0".to_owned(),
            Some(after) => {
                // Behind every row of it: `/` follows `.`, and `g` every key.
                let shard = partition_of(after);
                let behind = Rule::partition(&shard).rows(&format!("{after}/"), "g");
                self.gather(behind, &mut gathered).await?;
                format!("{shard} ")
            }
        };
        if !gathered.is_full() {
            self.gather(Rule::partitions(&rest, "cg"), &mut gathered).await?;
        }
        Ok(gathered.into_page(self.host))
    }

    /// Reads rows until there are enough, or no more.
    async fn gather(&self, filter: Rule, gathered: &mut Gathered) -> Result<(), StateError> {
        // A conversation has one row, and a few more with a `stop` and tags.
        let query = Query { filter, top: top((gathered.limit * 2 + 2).max(40)), select: Vec::new() };
        let mut continuation = None;
        loop {
            let page = self.table.query(&query, continuation.as_ref()).await?;
            for entity in page.entities {
                match Row::parse(&entity.key.row) {
                    Some((key, row)) if partition_of(&key) == entity.key.partition => {
                        gathered.of(key).add(row, &entity, self.host);
                    }
                    _ => skipped(self.host, &entity.key, FOREIGN_ROW),
                }
                if gathered.is_full() {
                    return Ok(());
                }
            }
            continuation = page.next;
            if continuation.is_none() {
                return Ok(());
            }
        }
    }
}

/// So many rows, or as many as the service allows.
pub(super) fn top(rows: usize) -> u16 {
    u16::try_from(rows).unwrap_or(MAX_TOP).min(MAX_TOP)
}

/// Conversations with their rows, in order.
#[derive(Debug, Default)]
struct Gathered {
    limit: usize,
    found: Vec<(ConversationKey, Rows)>,
}

impl Gathered {
    /// The rows of a conversation, whose key is not lower than those before.
    fn of(&mut self, key: ConversationKey) -> &mut Rows {
        if self.found.last().is_none_or(|(last, _)| *last != key) {
            // A `stop` may stand without a record: it makes no conversation.
            _ = self.found.pop_if(|(_, rows)| !rows.has_record);
            self.found.push((key, Rows::default()));
        }
        let last = self.found.len() - 1;
        &mut self.found[last].1
    }

    /// Whether one more record was found than a page takes, so that those before it are complete.
    fn is_full(&self) -> bool {
        self.found.len() > self.limit && self.found.last().is_some_and(|(_, rows)| rows.has_record)
    }

    fn into_page(mut self, host: &impl Host) -> Page {
        let is_last = !self.is_full();
        self.found.retain(|(_, rows)| rows.has_record);
        self.found.truncate(self.limit);
        let next = self.found.last().map(|(key, _)| key.clone()).filter(|_| !is_last);
        let now = host.now();
        let shown = |(key, rows): (_, Rows)| rows.conversation(now).map(|conversation| (key, conversation));
        Page { conversations: self.found.into_iter().filter_map(shown).collect(), next }
    }
}

#[cfg(test)]
mod tests {
    use platform::Clock;
    use platform::testing::run;

    use super::super::Tag;
    use super::super::testing::{Stage, key, numbered, plant, subscribers};
    use super::*;

    /// The keys of every page behind `after`, the most calls of a page, and how many pages there were.
    fn walk(
        stage: &Stage,
        mut after: Option<ConversationKey>,
        limit: usize,
        filter: &Filter,
    ) -> (Vec<ConversationKey>, usize, usize) {
        let (mut seen, mut most_calls, mut pages) = (Vec::new(), 0, 0);
        loop {
            let calls = stage.calls();
            let page = run(stage.book().page(after.as_ref(), limit, filter)).unwrap();
            most_calls = most_calls.max(stage.calls() - calls);
            pages += 1;
            assert!(page.conversations.len() <= limit, "{filter:?} by {limit}");
            seen.extend(page.conversations.into_iter().map(|(key, _)| key));
            assert!(pages <= 2000, "{filter:?} by {limit} has no end");
            match page.next {
                Some(next) => after = Some(next),
                None => return (seen, most_calls, pages),
            }
        }
    }

    /// 340 conversations, in a table of more than 1000 rows: all, those with the tag, those in the tenant.
    fn crowd() -> [Vec<ConversationKey>; 3] {
        let mut expected: [Vec<ConversationKey>; 3] = Default::default();
        for number in 0..340 {
            let tenant = if number % 3 == 0 { "t3" } else { "t" };
            let reference = numbered(number, "29:u", tenant);
            let key = ConversationKey::of(&reference);
            let (partition, row) = (partition_of(&key), key.as_str());
            plant(&partition, row, |_| Stage::elsewhere(&reference));
            plant(&format!("n.{tenant}"), row, |entity| entity);
            if number % 2 == 0 {
                for tag in ["even", "x"] {
                    plant(&partition, &format!("{row}.t.{tag}"), |entity| entity);
                    plant(&format!("t.{tenant}.{tag}"), row, |entity| entity);
                }
                plant(&partition, &format!("{row}.s"), |entity| entity);
                expected[1].push(key.clone());
            }
            if number % 3 == 0 {
                expected[2].push(key.clone());
            }
            expected[0].push(key);
        }
        expected.iter_mut().for_each(|keys| keys.sort());
        expected
    }

    #[test]
    fn pages_show_each_conversation_once_in_order_with_calls_in_proportion_to_the_page() {
        let stage = Stage::new();
        let [all, tagged, tenants] = crowd();
        let (tag, tenant) =
            (Some(subscribers("even", &[Some("t"), None, Some("t3")])), Some("T3".to_owned()));
        let both = tagged.iter().filter(|key| tenants.contains(key)).cloned().collect();
        for (filter, expected, calls_each) in [
            (Filter::default(), &all, 0),
            (Filter { tag: tag.clone(), tenant_id: None }, &tagged, 1),
            (Filter { tag: None, tenant_id: tenant.clone() }, &tenants, 1),
            (Filter { tag, tenant_id: tenant }, &both, 1),
        ] {
            for limit in [1, 7, 100] {
                // One by one takes long: the last 60 will do.
                let skipped = if limit == 1 { expected.len().saturating_sub(60) } else { 0 };
                let (after, expected) =
                    (skipped.checked_sub(1).map(|last| expected[last].clone()), &expected[skipped..]);
                let (seen, most_calls, pages) = walk(&stage, after, limit, &filter);
                assert_eq!(seen, expected, "{filter:?} by {limit}");
                let bound = calls_each * limit + 4 + limit / 100 * 2;
                assert!(most_calls <= bound, "{filter:?} by {limit}: {most_calls} calls");
                assert!(pages >= expected.len().div_ceil(limit), "{filter:?} by {limit}");
            }
        }
        assert_eq!(
            walk(
                &stage,
                None,
                7,
                &Filter { tag: Some(subscribers("nobody", &[Some("t"), None])), tenant_id: None }
            )
            .0,
            []
        );
        let page = run(stage.book().page(None, 100, &Filter::default())).unwrap();
        for (key, conversation) in page.conversations {
            let tags: Vec<_> = conversation.tags.iter().map(Tag::as_str).collect();
            let expected: &[_] = if tagged.contains(&key) { &["even", "x"] } else { &[] };
            assert_eq!((tags.as_slice(), conversation.stopped), (expected, tagged.contains(&key)), "{key}");
        }
    }

    #[test]
    fn a_tag_of_any_size_is_read_page_by_page() {
        let stage = Stage::new();
        let mut keys = Vec::new();
        for number in 0..1100 {
            let mut reference = numbered(number, "29:u", "t");
            reference.service_url_verified = number % 2 == 0;
            let key = ConversationKey::of(&reference);
            let (partition, row) = (partition_of(&key), key.as_str());
            plant(&partition, row, |_| Stage::elsewhere(&reference));
            plant(&partition, &format!("{row}.t.x"), |entity| entity);
            plant(if number % 2 == 0 { "t.t.x" } else { "t..x" }, row, |entity| entity);
            keys.push(key);
        }
        // Rows that lead nowhere end nothing.
        for digit in ['0', '8', 'f'] {
            plant("t..x", &digit.to_string().repeat(32), |entity| entity);
        }
        keys.sort();
        let filter = Filter { tag: Some(subscribers("x", &[Some("t"), None])), tenant_id: None };
        let (seen, _, pages) = walk(&stage, None, 100, &filter);
        assert_eq!((seen, pages), (keys, 12));
        assert_eq!(stage.rows().iter().filter(|row| row.starts_with("t.")).count(), 1100);
    }

    #[test]
    fn an_empty_table_has_one_empty_page() {
        let stage = Stage::new();
        for after in [None, Some(&key())] {
            let page = run(stage.book().page(after, 7, &Filter::default())).unwrap();
            assert_eq!(page, Page { conversations: Vec::new(), next: None });
        }
    }

    #[test]
    fn a_page_passes_over_foreign_entities_stops_without_a_record_and_newer_versions() {
        let stage = Stage::new();
        let mut keys: Vec<_> = (0..40).map(|number| stage.add(number, "29:u", "t")).collect();
        keys.sort();
        let newer = keys.remove(20);
        plant(&partition_of(&newer), newer.as_str(), |entity| entity.with("version", 2));
        for number in 100..140 {
            let key = ConversationKey::of(&numbered(number, "29:u", "t"));
            run(stage.book().stop(&key, stage.host.now())).unwrap();
        }
        plant("c0", "", |entity| entity);
        plant("c7", "something else", |entity| entity);
        plant("c7", &format!("{}.x", "7".repeat(32)), |entity| entity);
        plant("c7", &"8".repeat(32), |entity| entity.with("version", 1));
        plant("c77", &"7".repeat(32), |entity| entity.with("version", 1));
        for row in ["", "g", "something else"] {
            plant("n.t", row, |entity| entity);
        }
        for limit in [1, 7, 100] {
            let (seen, _, pages) = walk(&stage, None, limit, &Filter::default());
            assert_eq!(seen, keys, "by {limit}");
            assert_eq!(
                pages,
                40_usize.div_ceil(limit),
                "the newer record counts, a stop does not, by {limit}"
            );
            let filter = Filter { tag: None, tenant_id: Some("t".into()) };
            assert_eq!(walk(&stage, None, limit, &filter).0, keys, "of the tenant, by {limit}");
        }
        assert!(!stage.host.events("conversation.entity-skipped").is_empty());
        assert!(stage.rows().contains(&"c7/something else".to_owned()), "nothing is lost");
    }

    #[test]
    fn an_empty_page_of_the_service_ends_no_query() {
        let stage = Stage::new();
        let mut keys: Vec<_> = (0..3).map(|number| stage.add(number, "29:u", "t")).collect();
        keys.iter().for_each(|key| stage.tag(key, "x"));
        keys.sort();
        let tag = Some(subscribers("x", &[Some("t"), None]));
        let first = |page: Page| page.conversations.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        stage.answer_empty_pages(2);
        assert!(run(stage.book().get(&keys[0])).unwrap().is_some());
        stage.answer_empty_pages(2);
        assert!(run(stage.book().of_user("msteams", "29:u")).unwrap().is_some());
        for filter in [Filter::default(), Filter { tag, tenant_id: None }] {
            stage.answer_empty_pages(2);
            assert_eq!(first(run(stage.book().page(None, 2, &filter)).unwrap()), keys[..2], "{filter:?}");
            stage.answer_empty_pages(2);
            assert_eq!(
                first(run(stage.book().page(Some(&keys[1]), 2, &filter)).unwrap()),
                keys[2..],
                "{filter:?}"
            );
        }
        stage.answer_empty_pages(2);
        assert_eq!(run(stage.book().own_of_person(&numbered(0, "29:u", "t"))).unwrap(), keys);
    }
}
