//! How a list is stored: `{"conversations":["<key>",…],"version":1}`, the newest last, in exactly these bytes.
//!
//! It is JSON, and not read as JSON: a tenant's list has thousands of entries, and to make a tree of them for the sake of
//! one is most of what noting a new conversation would cost. Every entry is equally long, so it is found by its place.

use bot_framework::json::Fields;
use serde_json::Value;

use crate::key::ConversationKey;

const VERSION: u64 = 1;
const HEAD: &[u8] = br#"{"conversations":["#;
const TAIL: &[u8] = br#"],"version":1}"#;

/// Quotation marks, 32 digits, and the comma that the last one goes without.
const ENTRY_BYTES: usize = 35;

/// A list, as its bytes.
#[derive(Debug)]
pub(crate) struct List(Vec<u8>);

impl List {
    /// The list in what is stored: an empty one if that is nothing, or nothing that anybody could read; `None` for what a
    /// newer version wrote.
    pub(crate) fn read(stored: Option<Vec<u8>>) -> Option<Self> {
        let list = Self(stored.unwrap_or_default());
        if list.middle().is_some_and(|middle| middle.len() % ENTRY_BYTES == ENTRY_BYTES - 1) {
            return Some(list);
        }
        let version = Fields::parse(&list.0).ok().and_then(|mut fields| fields.take("version"));
        let is_newer = version.as_ref().and_then(Value::as_u64).is_some_and(|version| version > VERSION);
        (!is_newer).then(|| Self([HEAD, TAIL].concat()))
    }

    /// What is stored of it.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its conversations.
    pub(crate) fn keys(&self) -> impl Iterator<Item = ConversationKey> {
        let texts = self.entries().filter_map(|entry| str::from_utf8(entry).ok());
        texts.filter_map(ConversationKey::parse)
    }

    pub(crate) fn len(&self) -> usize {
        let middle = self.middle().unwrap_or_default().len();
        (middle + 1) / ENTRY_BYTES
    }

    pub(crate) fn contains(&self, key: &ConversationKey) -> bool {
        self.position(key).is_some()
    }

    /// Puts a conversation behind the others.
    pub(crate) fn push(&mut self, key: &ConversationKey) {
        let comma = if self.len() == 0 { "" } else { "," };
        self.0.truncate(self.0.len().saturating_sub(TAIL.len()));
        self.0.extend_from_slice(format!("{comma}\"{key}\"").as_bytes());
        self.0.extend_from_slice(TAIL);
    }

    /// Takes a conversation out; whether it was there.
    pub(crate) fn remove(&mut self, key: &ConversationKey) -> bool {
        let Some(nth) = self.position(key) else { return false };
        // With the comma behind it; the last one with the comma before it, and the only one has none.
        let (is_last, is_only) = (nth + 1 == self.len(), self.len() == 1);
        let start = HEAD.len() + nth * ENTRY_BYTES - usize::from(is_last && !is_only);
        self.0.drain(start..start + ENTRY_BYTES - usize::from(is_only));
        true
    }

    fn position(&self, key: &ConversationKey) -> Option<usize> {
        self.entries().position(|entry| entry == key.as_str().as_bytes())
    }

    fn middle(&self) -> Option<&[u8]> {
        self.0.strip_prefix(HEAD)?.strip_suffix(TAIL)
    }

    /// The digits of each.
    fn entries(&self) -> impl Iterator<Item = &[u8]> {
        let entries = self.middle().unwrap_or_default().chunks(ENTRY_BYTES);
        entries.filter_map(|entry| entry.get(1..ENTRY_BYTES - 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> ConversationKey {
        ConversationKey::parse(&format!("{number:032x}")).unwrap()
    }

    fn read(stored: &str) -> Option<Vec<ConversationKey>> {
        List::read(Some(stored.into())).map(|list| list.keys().collect())
    }

    #[test]
    fn version_1_is_read_and_written_for_ever() {
        let stored = format!(r#"{{"conversations":["{}","{}"],"version":1}}"#, key(1), key(2));
        assert_eq!(read(&stored), Some(vec![key(1), key(2)]));
        let mut list = List::read(None).unwrap();
        assert_eq!((list.len(), list.contains(&key(1))), (0, false));
        for (already, number) in [1, 3, 2].into_iter().enumerate() {
            assert_eq!(list.len(), already);
            list.push(&key(number));
        }
        assert_eq!((list.len(), list.contains(&key(1)), list.contains(&key(4))), (3, true, false));
        assert!(!list.remove(&key(4)) && list.remove(&key(3)));
        assert_eq!(str::from_utf8(list.as_bytes()).unwrap(), stored);
        for (number, left) in [(2, vec![key(1)]), (1, vec![])] {
            assert!(list.remove(&key(number)));
            assert_eq!(read(str::from_utf8(list.as_bytes()).unwrap()), Some(left));
        }
    }

    #[test]
    fn what_is_newer_is_told_from_what_is_broken() {
        let with =
            |middle: &str, version: &str| format!(r#"{{"conversations":[{middle}],"version":{version}}}"#);
        let quoted = |key: ConversationKey| format!("\"{key}\"");
        for (stored, expected) in [
            (with(&quoted(key(1)), "1"), Some(1)),
            (with("", "1"), Some(0)),
            (with(&quoted(key(1)), "2"), None),
            (r#"{"version":2}"#.into(), None),
            (with(&quoted(key(1)), "0"), Some(0)),
            (with(&format!("{},", quoted(key(1))), "1"), Some(0)),
            (with("\"x\"", "1"), Some(0)),
            (r#"{"conversations":["#.into(), Some(0)),
            ("[1]".into(), Some(0)),
            (String::new(), Some(0)),
        ] {
            assert_eq!(read(&stored).map(|keys| keys.len()), expected, "{stored}");
            if let Some(mut list) = List::read(Some(stored.clone().into())) {
                list.push(&key(9));
                let json: Value = serde_json::from_slice(list.as_bytes()).expect(&stored);
                assert_eq!(
                    json["conversations"].as_array().map(Vec::len),
                    Some(expected.unwrap() + 1),
                    "{stored}"
                );
            }
        }
    }
}
