//! Finding: by person, by tag, and page by page.

use platform::Host;
use thiserror::Error;

use crate::book::{AddressBook, BookError};
use crate::index::{Index, SHARDS};
use crate::key::{ConversationKey, Tag};
use crate::record::Record;

/// A person with more conversations than this is looked for in the newest: Web Chat begins a new one with every visit.
const MOST_OF_A_PERSON: usize = 50;

/// Why no conversations are found by a tag.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TagError {
    /// The store did not do it.
    #[error("{0}")]
    Book(#[from] BookError),
    /// More subscribe to it than were asked for.
    #[error("{subscribers} conversations subscribe to it")]
    TooMany {
        /// How many do.
        subscribers: usize,
    },
}

/// Which conversations a page shows.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Those that subscribe to this.
    pub tag: Option<Tag>,
    /// Those in this tenant.
    pub tenant_id: Option<String>,
}

/// Some of the conversations, in the order of their keys.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// Fewer than asked for where one was forgotten meanwhile, or written by a newer version.
    pub records: Vec<(ConversationKey, Record)>,
    /// What to ask for the next page after; `None` on the last one.
    pub next: Option<ConversationKey>,
}

impl<H: Host> AddressBook<'_, H> {
    /// A person's own conversation on a channel.
    pub async fn of_user(
        &self,
        channel_id: &str,
        user_id: &str,
    ) -> Result<Option<(ConversationKey, Record)>, BookError> {
        self.of_person(&Index::of_user(channel_id, user_id)).await
    }

    /// The own conversation of the person with this object id in Entra.
    pub async fn of_aad_object(&self, id: &str) -> Result<Option<(ConversationKey, Record)>, BookError> {
        self.of_person(&Index::of_aad_object(id)).await
    }

    /// The one in which the person was last seen: an alert for a person is said once. One where nobody is any more only if
    /// there is no other.
    async fn of_person(&self, index: &Index) -> Result<Option<(ConversationKey, Record)>, BookError> {
        let mut keys = index.read(self.host).await?;
        let newest = keys.split_off(keys.len().saturating_sub(MOST_OF_A_PERSON));
        let records = self.of_keys(newest, &|record| record.indexes().contains(index)).await?;
        Ok(records.into_iter().max_by_key(|(_, record)| (!record.paused, record.seen_at)))
    }

    /// The conversations that subscribe to a tag, if they are at most so many.
    pub async fn of_tag(
        &self,
        tag: &Tag,
        at_most: usize,
    ) -> Result<Vec<(ConversationKey, Record)>, TagError> {
        let keys = Index::of_tag(tag).read(self.host).await?;
        if keys.len() > at_most {
            return Err(TagError::TooMany { subscribers: keys.len() });
        }
        Ok(self.of_keys(keys, &|record| record.tags.contains(tag)).await?)
    }

    /// The conversations behind `after`, at most `limit` of them.
    pub async fn page(
        &self,
        after: Option<&ConversationKey>,
        limit: usize,
        filter: &Filter,
    ) -> Result<Page, BookError> {
        let mut keys = self.keys_after(after, limit, filter).await?;
        let is_last = keys.len() <= limit;
        keys.truncate(limit);
        let next = keys.last().filter(|_| !is_last).cloned();
        let fits = |record: &Record| {
            filter.tag.as_ref().is_none_or(|tag| record.tags.contains(tag))
                && filter.tenant_id.as_ref().is_none_or(|id| {
                    record.address.conversation.tenant_id().is_some_and(|own| own.eq_ignore_ascii_case(id))
                })
        };
        Ok(Page { records: self.of_keys(keys, &fits).await?, next })
    }

    /// More than `limit` keys if there are, in order.
    async fn keys_after(
        &self,
        after: Option<&ConversationKey>,
        limit: usize,
        filter: &Filter,
    ) -> Result<Vec<ConversationKey>, BookError> {
        let behind = |keys: Vec<ConversationKey>| keys.into_iter().filter(|key| Some(key) > after);
        let mut found: Vec<_> = match filter {
            Filter { tag: Some(tag), .. } => behind(Index::of_tag(tag).read(self.host).await?).collect(),
            Filter { tag: None, tenant_id: Some(tenant) } => {
                let mut found = Vec::new();
                let first = after.map_or('0', ConversationKey::shard);
                for shard in SHARDS.chars().filter(|shard| *shard >= first) {
                    found.extend(behind(Index::of_tenant(tenant, shard).read(self.host).await?));
                    if found.len() > limit {
                        break;
                    }
                }
                found
            }
            Filter { tag: None, tenant_id: None } => {
                let keys = self.host.keys().await?;
                let keys = keys.iter().filter_map(|key| key.strip_prefix(ConversationKey::PREFIX));
                behind(keys.filter_map(ConversationKey::parse).collect()).collect()
            }
        };
        found.sort_unstable();
        Ok(found)
    }

    /// The records of these keys. A list may name conversations that are gone, or that no longer belong to it.
    async fn of_keys(
        &self,
        keys: Vec<ConversationKey>,
        belongs: &dyn Fn(&Record) -> bool,
    ) -> Result<Vec<(ConversationKey, Record)>, BookError> {
        let mut records = Vec::with_capacity(keys.len());
        for key in keys {
            if let Some(record) = self.get(&key).await?.filter(belongs) {
                records.push((key, record));
            }
        }
        Ok(records)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bot_framework::ConversationReference;
    use bot_framework::json::Fields;
    use platform::testing::{FakeHost, run};
    use serde_json::json;

    use super::*;
    use crate::book::Sign;

    fn reference(conversation: &str, user: &str, tenant: &str) -> ConversationReference {
        let json = json!({
            "channelId": "msteams", "serviceUrl": "https://x/", "user": {"id": user, "aadObjectId": format!("aad-{user}")},
            "conversation": {"id": conversation, "tenantId": tenant},
        });
        ConversationReference::from_fields(Fields::parse(json.to_string().as_bytes()).unwrap()).unwrap()
    }

    fn hear(host: &FakeHost, reference: &ConversationReference) -> ConversationKey {
        run(AddressBook::new(host).hear(reference, Sign::Message)).unwrap();
        ConversationKey::of(reference)
    }

    #[test]
    fn a_person_is_found_where_they_were_seen_last() {
        let host = FakeHost::default();
        let book = AddressBook::new(&host);
        let first = hear(&host, &reference("1", "u", "t"));
        host.elapsed.set(Duration::from_secs(60));
        let second = hear(&host, &reference("2", "u", "t"));
        hear(&host, &reference("3", "other", "t"));
        let of_user = || run(book.of_user("msteams", "u")).unwrap().map(|(key, _)| key);
        assert_eq!(of_user(), Some(second.clone()));
        assert_eq!(run(book.of_aad_object("AAD-U")).unwrap().map(|(key, _)| key), Some(second));
        run(book.pause(&reference("2", "u", "t"))).unwrap();
        assert_eq!(of_user(), Some(first.clone()), "where somebody is");
        run(book.pause(&reference("1", "u", "t"))).unwrap();
        assert!(of_user().is_some(), "rather than not at all");
        assert_eq!(run(book.of_user("webchat", "u")), Ok(None));
        assert_eq!(run(book.of_aad_object("nobody")), Ok(None));
        // A list that still names a conversation of somebody else finds it no more.
        run(book.change(&first, &mut |record| record.address.user = None)).unwrap();
        run(Index::of_user("msteams", "u").add(&host, &first)).unwrap();
        assert_ne!(of_user(), Some(first));
    }

    #[test]
    fn a_tag_finds_its_subscribers() {
        let host = FakeHost::default();
        let book = AddressBook::new(&host);
        let tag = Tag::parse("x").unwrap();
        let keys: Vec<_> = (0..3)
            .map(|number| {
                let key = hear(&host, &reference(&number.to_string(), "u", "t"));
                run(book.change(&key, &mut |record| _ = record.subscribe(&tag))).unwrap();
                key
            })
            .collect();
        let found =
            |most| run(book.of_tag(&tag, most)).map(|found| found.into_iter().map(|(key, _)| key).collect());
        assert_eq!(found(3), Ok(keys.clone()));
        assert_eq!(found(2), Err(TagError::TooMany { subscribers: 3 }));
        run(book.change(&keys[1], &mut |record| record.unsubscribe(&tag))).unwrap();
        assert_eq!(found(2), Ok(vec![keys[0].clone(), keys[2].clone()]));
        // One that was lost on the way is not found by what is left of it.
        host.store.borrow_mut().remove(&keys[0].of_record());
        assert_eq!(found(2), Ok(vec![keys[2].clone()]));
    }

    #[test]
    fn pages_show_each_once_in_order() {
        let host = FakeHost::default();
        let book = AddressBook::new(&host);
        let tag = Tag::parse("even").unwrap();
        let mut expected: [Vec<ConversationKey>; 3] = Default::default();
        for number in 0..40 {
            let tenant = if number % 4 == 0 { "t4" } else { "t" };
            let key = hear(&host, &reference(&number.to_string(), "u", tenant));
            if number % 2 == 0 {
                run(book.change(&key, &mut |record| _ = record.subscribe(&tag))).unwrap();
                expected[1].push(key.clone());
            }
            if number % 4 == 0 {
                expected[2].push(key.clone());
            }
            expected[0].push(key);
        }
        expected.iter_mut().for_each(|keys| keys.sort());
        let tag = Some(tag);
        for (filter, expected) in [
            (Filter::default(), &expected[0]),
            (Filter { tag: tag.clone(), tenant_id: None }, &expected[1]),
            (Filter { tag: None, tenant_id: Some("T4".into()) }, &expected[2]),
            (Filter { tag: tag.clone(), tenant_id: Some("t4".into()) }, &expected[2]),
            (
                Filter { tag, tenant_id: Some("t".into()) },
                &expected[1].iter().filter(|key| !expected[2].contains(key)).cloned().collect(),
            ),
        ] {
            for limit in [1, 7, 40, 100] {
                let (mut seen, mut after) = (Vec::new(), None);
                loop {
                    let page = run(book.page(after.as_ref(), limit, &filter)).unwrap();
                    assert!(page.records.len() <= limit && seen.len() <= 40, "{filter:?} by {limit}");
                    seen.extend(page.records.into_iter().map(|(key, _)| key));
                    match page.next {
                        Some(next) => after = Some(next),
                        None => break,
                    }
                }
                assert_eq!(seen, *expected, "{filter:?} by {limit}");
            }
        }
    }
}
