//! Lists that lost an entry get it back.
//!
//! A list that is read by two calls before either writes it loses what the first of them wrote. To look into every list
//! with every message would find that at once, and cost the more the more conversations there are; so a record says when
//! its next look is due: shortly after its lists changed, and then once a day.

use chrono::{DateTime, Utc};
use platform::Host;

use crate::book::{AddressBook, BookError};
use crate::index::Index;
use crate::key::ConversationKey;
use crate::record::Record;

/// How often a message looks into the conversation's lists and renews `seenAt`: a write a day is what one may cost.
pub(crate) const CHECKED_AGAIN_AFTER_SECONDS: i64 = 24 * 60 * 60;

/// How long after a change of its lists a conversation looks into them. Earlier, a call that read one before the change
/// may still be about to write it, and a store that is spread over the world to show it.
pub(crate) const SETTLED_AFTER_SECONDS: i64 = 10;

impl<H: Host> AddressBook<'_, H> {
    /// Puts the conversation into those of `lists` that lack it, `but` aside; whether there were any.
    pub(crate) async fn enter(
        &self,
        key: &ConversationKey,
        lists: &[Index],
        but: &[Index],
    ) -> Result<bool, BookError> {
        let mut lists_changed = false;
        for index in lists.iter().filter(|index| !but.contains(index)) {
            lists_changed |= index.add(self.host, key).await?;
        }
        Ok(lists_changed)
    }
}

/// Whether a message has to look into the conversation's lists. Nobody has looked yet where an older version wrote the
/// record; a time beyond tomorrow is of a clock that was ahead.
pub(crate) fn check_is_due(record: &Record, now: DateTime<Utc>) -> bool {
    let ahead = record.check_after.map(|time| time.saturating_sub(now.timestamp()));
    !ahead.is_some_and(|seconds| (1..=CHECKED_AGAIN_AFTER_SECONDS).contains(&seconds))
}

/// When a message has to look again.
pub(crate) fn next_check(now: DateTime<Utc>, lists_changed: bool) -> i64 {
    now.timestamp() + if lists_changed { SETTLED_AFTER_SECONDS } else { CHECKED_AGAIN_AFTER_SECONDS }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use platform::testing::{FakeHost, run};
    use serde_json::Value;

    use super::*;
    use crate::book::Sign;
    use crate::example::{hear, key, with};
    use crate::key::Tag;

    /// Sets the clock to so many seconds from the start.
    fn at(host: &FakeHost, seconds: u64) {
        host.elapsed.set(Duration::from_secs(seconds));
    }

    /// The lists among what was read since the reads were taken last.
    fn lists_read(host: &FakeHost) -> Vec<String> {
        host.reads.take().into_iter().filter(|key| key.starts_with("index:")).collect()
    }

    #[test]
    fn a_known_conversation_reads_its_record_and_no_list() {
        let host = FakeHost::default();
        let ordinary = |host: &FakeHost| {
            for sign in [Sign::Message, Sign::Installed, Sign::Update, Sign::Message] {
                host.reads.take();
                let writes_before = host.writes.get();
                hear(host, &with(|_| {}), sign);
                assert_eq!(host.reads.take(), [key().of_record()], "{sign:?}");
                assert_eq!(host.writes.get(), writes_before, "{sign:?}");
            }
        };
        hear(&host, &with(|_| {}), Sign::Installed);
        for (due, last_before_the_next) in [(10, 10 + 86_399), (10 + 86_400, 10 + 2 * 86_400 - 1)] {
            ordinary(&host);
            at(&host, due - 1);
            ordinary(&host);
            at(&host, due);
            hear(&host, &with(|_| {}), Sign::Message);
            let read = lists_read(&host);
            assert_eq!(read.len(), 3, "a look into each: {read:?}");
            ordinary(&host);
            at(&host, last_before_the_next);
            ordinary(&host);
        }
        // A change of something else than the lists is written, and is no reason to look.
        hear(&host, &with(|json| json["locale"] = "fr".into()), Sign::Message);
        assert!(lists_read(&host).is_empty());
    }

    #[test]
    fn a_lost_entry_is_put_back() {
        let first = FakeHost::default();
        hear(&first, &with(|_| {}), Sign::Message);
        let tag = Tag::parse("x").unwrap();
        run(AddressBook::new(&first).change(&key(), &mut |record| _ = record.subscribe(&tag))).unwrap();
        let lists: Vec<_> =
            first.store.borrow().keys().filter(|key| key.starts_with("index:")).cloned().collect();
        assert_eq!(lists.len(), 4);
        for lost in &lists {
            let host = FakeHost::default();
            host.store.replace(first.store.borrow().clone());
            let lose = || host.store.borrow_mut().remove(lost).expect("it was put back");
            let hear_at = |seconds| {
                at(&host, seconds);
                hear(&host, &with(|_| {}), Sign::Message);
                host.store.borrow().contains_key(lost)
            };
            lose();
            assert!(!hear_at(9), "whoever wrote last may write still: {lost}");
            assert!(hear_at(10), "{lost}");
            lose();
            assert!(!hear_at(19) && hear_at(20), "what was put back is looked at again: {lost}");
            assert!(hear_at(30), "all is there: {lost}");
            lose();
            assert!(!hear_at(30 + 86_399) && hear_at(30 + 86_400), "once a day: {lost}");
        }
    }

    #[test]
    fn a_change_of_the_lists_is_looked_at_soon() {
        let host = FakeHost::default();
        hear(&host, &with(|_| {}), Sign::Message);
        at(&host, 10);
        hear(&host, &with(|_| {}), Sign::Message);
        at(&host, 100);
        let tag = Tag::parse("x").unwrap();
        run(AddressBook::new(&host).change(&key(), &mut |record| _ = record.subscribe(&tag))).unwrap();
        for (seconds, expected) in [(109, 0), (110, 4), (120, 0)] {
            at(&host, seconds);
            host.reads.take();
            hear(&host, &with(|_| {}), Sign::Message);
            assert_eq!(lists_read(&host).len(), expected, "after {seconds} s");
        }
    }

    #[test]
    fn a_check_that_never_was_or_lies_beyond_tomorrow_is_due() {
        for check_after in [Value::Null, 1_827_007_200.into(), i64::MIN.into(), "soon".into()] {
            let host = FakeHost::default();
            hear(&host, &with(|_| {}), Sign::Message);
            let mut json: Value = serde_json::from_slice(&host.store.borrow()[&key().of_record()]).unwrap();
            json["checkAfter"] = check_after.clone();
            host.store.borrow_mut().insert(key().of_record(), json.to_string().into());
            for expected in [3, 0] {
                host.reads.take();
                hear(&host, &with(|_| {}), Sign::Message);
                assert_eq!(lists_read(&host).len(), expected, "{check_after}");
            }
        }
    }
}
