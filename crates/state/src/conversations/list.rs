//! Reads the conversations page by page, in the order of the conversation keys.

use futures_util::{StreamExt, TryStreamExt, stream};
use platform::Host;
use storage_table::{Entity, Filter as Rule, Query};

use super::index::{Index, MAX_TOP};
use super::key::{ConversationKey, Row};
use super::record::{Conversation, FOREIGN_ROW, Rows, partition_of, skipped};
use super::subscribers::Subscribers;
use super::{AT_ONCE, Conversations};
use crate::StateError;

/// The conditions that each conversation on a page meets.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The conversation is one of these subscribers of a tag. (A program can send an alert to all subscribers
    /// of a tag.)
    pub tag: Option<Subscribers>,
    /// The conversation has this tenant, and the channel vouches for the tenant (sets the tenant itself).
    pub tenant_id: Option<String>,
}

/// A page of conversations, in the order of the conversation keys.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The conversations of the page, often fewer than the limit. The page leaves out a conversation if the
    /// bot has forgotten the conversation in the meantime, if the conversation does not match the filter, or
    /// if this version of the bot cannot read the conversation's record.
    pub conversations: Vec<(ConversationKey, Conversation)>,
    /// The conversation key to pass as `after` for the next page; `None` on the last page.
    pub next: Option<ConversationKey>,
}

impl<H: Host> Conversations<'_, H> {
    /// Reads at most `limit` conversations whose keys follow `after`. The number of storage calls and the
    /// memory are proportional to `limit`.
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

    /// Reads a page from several indexes, and merges their rows in the order of the conversation keys.
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
        // Several indexes can have a row of the same conversation. Some of these rows can be stale (the
        // conversation does not belong to the index). The next page begins after the last conversation of
        // this page. If this page ended between two rows of a conversation, no page would have the second
        // row, which is perhaps the only valid row. So the page ends after the last row of the conversation.
        let is_same =
            |at: usize| at > 0 && rows.get(at).is_some_and(|row| row.key.row == rows[at - 1].key.row);
        let row_count = (limit..).find(|at| !is_same(*at)).unwrap_or(limit);
        let is_last = rows.len() <= row_count;
        rows.truncate(row_count);
        let last = rows.last().and_then(|entity| ConversationKey::parse(&entity.key.row));
        let mut conversations = Vec::new();
        for index in indexes {
            let (own, others) =
                rows.into_iter().partition(|entity| entity.key.partition == index.partition());
            conversations.extend(self.conversations_of_rows(index, own).await?);
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

    /// Reads the rows of an index that follow `after`. Stops when it has read more than `limit` rows.
    async fn rows_of_index(
        &self,
        index: &Index,
        after: Option<&ConversationKey>,
        limit: usize,
    ) -> Result<Vec<Entity>, StateError> {
        // The range begins at `<after> `: this text sorts after the key `after` and before every later key.
        // The range ends at `g`, which sorts after every key, because keys are hexadecimal.
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

    /// Reads a page from the shards (the partitions `c<digit>`), without an index. The shards contain all
    /// rows of the conversations, so the method does not need a call for each conversation.
    async fn page_of_all(&self, after: Option<&ConversationKey>, limit: usize) -> Result<Page, StateError> {
        let mut gathered = Gathered { limit, ..Gathered::default() };
        // The first query reads the shard of `after`, beginning with the next conversation. The second query
        // reads all later shards. A single query would need a filter with `or`, and for such a filter the
        // service scans the whole table.
        let rest = match after {
            None => "c0".to_owned(),
            Some(after) => {
                // Each row key of the conversation `after` is `<after>`, or begins with `<after>.`. So
                // `<after>/` sorts after these row keys, because `/` sorts after `.`. `g` sorts after every
                // key.
                let shard = partition_of(after);
                let rest_of_shard = Rule::partition(&shard).rows(&format!("{after}/"), "g");
                self.gather(rest_of_shard, &mut gathered).await?;
                format!("{shard} ")
            }
        };
        if !gathered.is_full() {
            self.gather(Rule::partitions(&rest, "cg"), &mut gathered).await?;
        }
        Ok(gathered.into_page(self.host))
    }

    /// Reads rows until the page is full, or until there are no more rows.
    async fn gather(&self, filter: Rule, gathered: &mut Gathered) -> Result<(), StateError> {
        // Most conversations have one row. A `stop` (a person refuses alerts) and each tag add a row. So the
        // query asks for about two rows for each conversation, and for at least 40 rows.
        let query = Query { filter, top: top((gathered.limit * 2 + 2).max(40)), select: Vec::new() };
        let mut continuation = None;
        loop {
            let page = self.table.query(&query, continuation.as_ref()).await?;
            for entity in page.entities {
                match Row::parse(&entity.key.row) {
                    Some((key, row)) if partition_of(&key) == entity.key.partition => {
                        gathered.rows_of(key).add(row, &entity, self.host);
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

/// The number of rows to request: `rows`, but at most the number that the service allows.
pub(super) fn top(rows: usize) -> u16 {
    u16::try_from(rows).unwrap_or(MAX_TOP).min(MAX_TOP)
}

/// The conversations that were read so far, with their rows, in the order of the conversation keys.
#[derive(Debug, Default)]
struct Gathered {
    limit: usize,
    found: Vec<(ConversationKey, Rows)>,
}

impl Gathered {
    /// Returns the rows that were gathered for a conversation. The caller passes the keys in ascending order.
    fn rows_of(&mut self, key: ConversationKey) -> &mut Rows {
        if self.found.last().is_none_or(|(last, _)| *last != key) {
            // A conversation without a record is left out, e.g. if it has only a `stop`.
            _ = self.found.pop_if(|(_, rows)| !rows.has_record);
            self.found.push((key, Rows::default()));
        }
        let last = self.found.len() - 1;
        &mut self.found[last].1
    }

    /// Whether the first record of the next page was found. If so, all rows of this page's conversations have
    /// been read.
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
    use super::super::testing::{Stage, key, numbered, subscribers, write_entity};
    use super::*;

    /// The pages that follow a key.
    struct Pages {
        keys: Vec<ConversationKey>,
        /// The most storage calls that were made for one page.
        most_calls: usize,
        count: usize,
    }

    /// Reads all pages that follow `after`.
    fn read_pages(stage: &Stage, mut after: Option<ConversationKey>, limit: usize, filter: &Filter) -> Pages {
        let mut pages = Pages { keys: Vec::new(), most_calls: 0, count: 0 };
        loop {
            let calls = stage.calls();
            let page = run(stage.conversations().page(after.as_ref(), limit, filter)).unwrap();
            pages.most_calls = pages.most_calls.max(stage.calls() - calls);
            pages.count += 1;
            assert!(page.conversations.len() <= limit, "{filter:?}, limit {limit}");
            pages.keys.extend(page.conversations.into_iter().map(|(key, _)| key));
            assert!(pages.count <= 2000, "{filter:?}, limit {limit}: the pages do not end");
            match page.next {
                Some(next) => after = Some(next),
                None => return pages,
            }
        }
    }

    /// Stores 340 conversations, with more than 1000 rows. Returns the keys of all conversations, of the
    /// conversations with the tag `even`, and of the conversations in the tenant `t3`.
    fn store_340() -> [Vec<ConversationKey>; 3] {
        let mut expected: [Vec<ConversationKey>; 3] = Default::default();
        for number in 0..340 {
            let tenant = if number % 3 == 0 { "t3" } else { "t" };
            let reference = numbered(number, "29:u", tenant);
            let key = ConversationKey::of(&reference);
            let (partition, row) = (partition_of(&key), key.as_str());
            write_entity(&partition, row, |_| Stage::record_entity(&reference));
            write_entity(&format!("n.{tenant}"), row, |entity| entity);
            if number % 2 == 0 {
                for tag in ["even", "x"] {
                    write_entity(&partition, &format!("{row}.t.{tag}"), |entity| entity);
                    write_entity(&format!("t.{tenant}.{tag}"), row, |entity| entity);
                }
                write_entity(&partition, &format!("{row}.s"), |entity| entity);
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
    fn pages_with_any_filter_contain_each_conversation_once_and_cost_calls_in_proportion_to_the_limit() {
        let stage = Stage::new();
        let [all, tagged, tenants] = store_340();
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
                // Reading all pages with a limit of 1 takes long, so the test reads only the last 60.
                let skipped = if limit == 1 { expected.len().saturating_sub(60) } else { 0 };
                let (after, expected) =
                    (skipped.checked_sub(1).map(|last| expected[last].clone()), &expected[skipped..]);
                let Pages { keys, most_calls, count } = read_pages(&stage, after, limit, &filter);
                assert_eq!(keys, expected, "{filter:?}, limit {limit}");
                let bound = calls_each * limit + 4 + limit / 100 * 2;
                assert!(most_calls <= bound, "{filter:?}, limit {limit}: {most_calls} calls");
                assert!(count >= expected.len().div_ceil(limit), "{filter:?}, limit {limit}");
            }
        }
        let unused = Filter { tag: Some(subscribers("unused", &[Some("t"), None])), tenant_id: None };
        assert_eq!(read_pages(&stage, None, 7, &unused).keys, []);
        let page = run(stage.conversations().page(None, 100, &Filter::default())).unwrap();
        for (key, conversation) in page.conversations {
            let tags: Vec<_> = conversation.tags.iter().map(Tag::as_str).collect();
            let expected: &[_] = if tagged.contains(&key) { &["even", "x"] } else { &[] };
            assert_eq!(tags, expected, "{key}");
            assert_eq!(conversation.stopped, tagged.contains(&key), "{key}");
        }
    }

    #[test]
    fn tag_with_1100_subscribers_is_read_page_by_page() {
        let stage = Stage::new();
        let mut keys = Vec::new();
        for number in 0..1100 {
            let mut reference = numbered(number, "29:u", "t");
            reference.service_url_verified = number % 2 == 0;
            let key = ConversationKey::of(&reference);
            let (partition, row) = (partition_of(&key), key.as_str());
            write_entity(&partition, row, |_| Stage::record_entity(&reference));
            write_entity(&partition, &format!("{row}.t.x"), |entity| entity);
            write_entity(if number % 2 == 0 { "t.t.x" } else { "t..x" }, row, |entity| entity);
            keys.push(key);
        }
        // The test adds three stale index rows. The list must not end at a stale row.
        for digit in ['0', '8', 'f'] {
            write_entity("t..x", &digit.to_string().repeat(32), |entity| entity);
        }
        keys.sort();
        let filter = Filter { tag: Some(subscribers("x", &[Some("t"), None])), tenant_id: None };
        let pages = read_pages(&stage, None, 100, &filter);
        assert_eq!(pages.keys, keys);
        assert_eq!(pages.count, 12);
        let index_rows = stage.rows().iter().filter(|row| row.starts_with("t.")).count();
        assert_eq!(index_rows, 1100, "the stale rows are deleted");
    }

    #[test]
    fn conversation_with_two_stale_rows_before_its_valid_row_is_on_a_page() {
        let stage = Stage::new();
        let mut keys: Vec<_> = (0..3)
            .map(|number| {
                let reference = numbered(number, "29:u", "t3");
                let key = ConversationKey::of(&reference);
                let (partition, row) = (partition_of(&key), key.as_str());
                write_entity(&partition, row, |_| Stage::record_entity(&reference));
                write_entity(&partition, &format!("{row}.t.x"), |entity| entity);
                for index in ["t.t.x", "t..x", "t.t3.x"] {
                    write_entity(index, row, |entity| entity);
                }
                key
            })
            .collect();
        keys.sort();
        let tag = Some(subscribers("x", &[Some("t"), None, Some("t3")]));
        for limit in 1..4 {
            let filter = Filter { tag: tag.clone(), tenant_id: None };
            assert_eq!(read_pages(&stage, None, limit, &filter).keys, keys, "limit {limit}");
        }
    }

    #[test]
    fn page_of_an_empty_table_is_empty_and_has_no_next_page() {
        let stage = Stage::new();
        for after in [None, Some(&key())] {
            let page = run(stage.conversations().page(after, 7, &Filter::default())).unwrap();
            assert_eq!(page, Page { conversations: Vec::new(), next: None });
        }
    }

    #[test]
    fn page_leaves_out_foreign_entities_and_newer_records_and_stops_without_a_record() {
        let stage = Stage::new();
        let mut keys: Vec<_> = (0..40).map(|number| stage.add(number, "29:u", "t")).collect();
        keys.sort();
        let newer = keys.remove(20);
        write_entity(&partition_of(&newer), newer.as_str(), |entity| entity.with("version", 2));
        for number in 100..140 {
            let key = ConversationKey::of(&numbered(number, "29:u", "t"));
            run(stage.conversations().stop(&key, stage.host.now())).unwrap();
        }
        write_entity("c0", "", |entity| entity);
        write_entity("c7", "something else", |entity| entity);
        write_entity("c7", &format!("{}.x", "7".repeat(32)), |entity| entity);
        write_entity("c7", &"8".repeat(32), |entity| entity.with("version", 1));
        write_entity("c77", &"7".repeat(32), |entity| entity.with("version", 1));
        for row in ["", "g", "something else"] {
            write_entity("n.t", row, |entity| entity);
        }
        for limit in [1, 7, 100] {
            let pages = read_pages(&stage, None, limit, &Filter::default());
            assert_eq!(pages.keys, keys, "limit {limit}");
            let expected = 40_usize.div_ceil(limit);
            assert_eq!(
                pages.count, expected,
                "limit {limit}: a newer record takes a place on a page, a stop without a record does not"
            );
            let filter = Filter { tag: None, tenant_id: Some("t".into()) };
            assert_eq!(read_pages(&stage, None, limit, &filter).keys, keys, "of the tenant, limit {limit}");
        }
        assert!(!stage.host.events("conversation.entity-skipped").is_empty());
        assert!(stage.rows().contains(&"c7/something else".to_owned()), "a foreign entity is kept");
    }

    #[test]
    fn read_continues_after_an_empty_page_of_query_results() {
        let stage = Stage::new();
        let mut keys: Vec<_> = (0..3).map(|number| stage.add(number, "29:u", "t")).collect();
        keys.iter().for_each(|key| stage.tag(key, "x"));
        keys.sort();
        let tag = Some(subscribers("x", &[Some("t"), None]));
        let keys_of = |page: Page| page.conversations.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        stage.respond_with_empty_pages(2);
        assert!(run(stage.conversations().get(&keys[0])).unwrap().is_some());
        stage.respond_with_empty_pages(2);
        assert!(run(stage.conversations().of_user("msteams", "29:u")).unwrap().is_some());
        for filter in [Filter::default(), Filter { tag, tenant_id: None }] {
            stage.respond_with_empty_pages(2);
            assert_eq!(
                keys_of(run(stage.conversations().page(None, 2, &filter)).unwrap()),
                keys[..2],
                "{filter:?}"
            );
            stage.respond_with_empty_pages(2);
            assert_eq!(
                keys_of(run(stage.conversations().page(Some(&keys[1]), 2, &filter)).unwrap()),
                keys[2..],
                "{filter:?}"
            );
        }
        stage.respond_with_empty_pages(2);
        assert_eq!(run(stage.conversations().own_of_person(&numbered(0, "29:u", "t"))).unwrap(), keys);
    }
}
