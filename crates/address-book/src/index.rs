//! Lists of conversations, by what they are found.

use platform::{Host, Level, name_of};
use serde_json::json;

use crate::book::BookError;
use crate::key::{ConversationKey, Tag};
use crate::list::List;

/// A value may have 1 MB; an entry has 35 bytes.
const MAX_ENTRIES: usize = 20_000;

/// The digits by which a tenant's list is spread.
pub(crate) const SHARDS: &str = "0123456789abcdef";

/// A list, by its key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Index(String);

impl Index {
    pub(crate) fn of_user(channel_id: &str, user_id: &str) -> Self {
        Self(format!("index:user:{}", name_of(&[channel_id, user_id])))
    }

    pub(crate) fn of_aad_object(id: &str) -> Self {
        // A GUID: its case means nothing.
        Self(format!("index:aad:{}", name_of(&[&id.to_lowercase()])))
    }

    pub(crate) fn of_tag(tag: &Tag) -> Self {
        Self(format!("index:tag:{}", name_of(&[tag.as_str()])))
    }

    pub(crate) fn of_tenant(tenant_id: &str, shard: char) -> Self {
        Self(format!("index:tenant:{}:{shard}", name_of(&[&tenant_id.to_lowercase()])))
    }

    /// The conversations in it.
    pub(crate) async fn read(&self, host: &impl Host) -> Result<Vec<ConversationKey>, BookError> {
        Ok(self.load(host).await?.map(|list| list.keys().collect()).unwrap_or_default())
    }

    /// Puts a conversation in, unless it is there; whether it did.
    pub(crate) async fn add(&self, host: &impl Host, key: &ConversationKey) -> Result<bool, BookError> {
        let Some(mut list) = self.load(host).await?.filter(|list| !list.contains(key)) else {
            return Ok(false);
        };
        if list.len() >= MAX_ENTRIES {
            host.event(Level::Error, "index.full", json!({"index": self.0, "entries": list.len()}));
            return Ok(false);
        }
        list.push(key);
        self.store(host, &list).await?;
        Ok(true)
    }

    /// Takes a conversation out, if it is there.
    pub(crate) async fn remove(&self, host: &impl Host, key: &ConversationKey) -> Result<(), BookError> {
        let Some(mut list) = self.load(host).await? else { return Ok(()) };
        if !list.remove(key) {
            return Ok(());
        }
        if list.len() == 0 {
            return Ok(host.delete(&self.0).await?);
        }
        self.store(host, &list).await
    }

    /// `None` for one that a newer version wrote: not ours to change.
    async fn load(&self, host: &impl Host) -> Result<Option<List>, BookError> {
        Ok(List::read(host.get(&self.0).await?))
    }

    async fn store(&self, host: &impl Host, list: &List) -> Result<(), BookError> {
        Ok(host.set(&self.0, list.as_bytes()).await?)
    }
}

#[cfg(test)]
mod tests {
    use platform::testing::{FakeHost, run};

    use super::*;

    fn key(number: usize) -> ConversationKey {
        ConversationKey::parse(&format!("{number:032x}")).unwrap()
    }

    #[test]
    fn a_list_holds_each_once_and_is_gone_when_empty() {
        let host = FakeHost::default();
        let index = Index::of_user("msteams", "29:u");
        for number in [1, 2, 1] {
            run(index.add(&host, &key(number))).unwrap();
        }
        assert_eq!(run(index.read(&host)).unwrap(), [key(1), key(2)]);
        run(index.remove(&host, &key(1))).unwrap();
        run(index.remove(&host, &key(7))).unwrap();
        assert_eq!(run(index.read(&host)).unwrap(), [key(2)]);
        run(index.remove(&host, &key(2))).unwrap();
        assert!(host.store.borrow().is_empty());
    }

    #[test]
    fn a_full_list_stays_within_what_a_store_takes() {
        let host = FakeHost::default();
        let index = Index::of_aad_object("x");
        let mut full = List::read(None).unwrap();
        (0..MAX_ENTRIES).for_each(|number| full.push(&key(number)));
        run(index.store(&host, &full)).unwrap();
        assert!(host.store.borrow().values().all(|value| value.len() < 1_000_000));
        run(index.add(&host, &key(MAX_ENTRIES))).unwrap();
        assert_eq!(run(index.read(&host)).unwrap().len(), MAX_ENTRIES);
        assert_eq!(host.events("index.full").len(), 1);
    }

    #[test]
    fn a_newer_list_is_left_alone_and_a_broken_one_is_replaced() {
        let host = FakeHost::default();
        let index = Index::of_tenant("T", '0');
        let newer = br#"{"version":2,"conversations":{"something":"else"}}"#;
        host.store.borrow_mut().insert(index.0.clone(), newer.to_vec());
        run(index.add(&host, &key(1))).unwrap();
        run(index.remove(&host, &key(1))).unwrap();
        assert_eq!(host.store.borrow()[&index.0], newer);
        assert!(run(index.read(&host)).unwrap().is_empty());
        host.store.borrow_mut().insert(index.0.clone(), b"{".to_vec());
        run(index.add(&host, &key(1))).unwrap();
        assert_eq!(run(index.read(&host)).unwrap(), [key(1)]);
    }

    #[test]
    fn ids_of_entra_have_no_case() {
        assert_eq!(Index::of_aad_object("E5E0"), Index::of_aad_object("e5e0"));
        assert_eq!(Index::of_tenant("T", '1'), Index::of_tenant("t", '1'));
        assert_ne!(Index::of_user("msteams", "29:U"), Index::of_user("msteams", "29:u"));
    }
}
