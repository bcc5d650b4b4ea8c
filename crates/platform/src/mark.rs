//! Marks: "this has happened" in key-value, with an end, so that the store stays bounded.
//!
//! A mark makes doubles rarer; a store that lost one makes them possible again. Nothing may rest on it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{Clock, Host, KeyValue, KeyValueError};

/// When the store was last swept.
const SWEPT: &str = "marks:swept";
const SWEEP_EVERY: Duration = Duration::from_secs(10 * 60);
/// Whoever sweeps has other things to do: what is left is swept next time.
const MOST_LOOKED_AT: usize = 200;

/// A family of marks: its key prefix, and how long one of them holds. Names are at most 200 letters, digits, `-`, `_`, `.`, `~`,
/// which every store takes as part of a key.
#[derive(Debug, Clone, Copy)]
pub struct Marks {
    /// Ends in `:`.
    pub prefix: &'static str,
    /// How long a mark holds.
    pub term: Duration,
}

impl Marks {
    /// Marks something.
    pub async fn set<H: KeyValue + Clock>(&self, host: &H, name: &str) -> Result<(), KeyValueError> {
        self.set_with(host, name, Value::Null).await
    }

    /// Marks something, with a note that [`Marks::note`] finds.
    pub async fn set_with<H: KeyValue + Clock>(
        &self,
        host: &H,
        name: &str,
        note: Value,
    ) -> Result<(), KeyValueError> {
        let mut record = json!({"until": (host.now() + self.term).timestamp()});
        if !note.is_null() {
            record["note"] = note;
        }
        host.set(&self.key(name), record.to_string().as_bytes()).await
    }

    /// The note of a mark that holds; `null` if it has none.
    pub async fn note<H: KeyValue + Clock>(
        &self,
        host: &H,
        name: &str,
    ) -> Result<Option<Value>, KeyValueError> {
        let Some(value) = host.get(&self.key(name)).await? else { return Ok(None) };
        let mut record: Value = serde_json::from_slice(&value).unwrap_or_default();
        Ok((!is_over(host, &value)).then(|| record["note"].take()))
    }

    /// Whether it is marked. A store that does not answer counts as "no".
    pub async fn has<H: KeyValue + Clock>(&self, host: &H, name: &str) -> bool {
        host.get(&self.key(name)).await.ok().flatten().is_some_and(|value| !is_over(host, &value))
    }

    /// Takes a mark away.
    pub async fn clear(&self, host: &impl KeyValue, name: &str) -> Result<(), KeyValueError> {
        host.delete(&self.key(name)).await
    }

    /// Removes marks that are over: some at a time, again and again while there are any, then not for ten minutes.
    /// Returns how many.
    pub async fn sweep(families: &[Self], host: &impl Host) -> usize {
        let now = host.now().timestamp();
        let swept = host.get(SWEPT).await.ok().flatten();
        let last: i64 = swept.and_then(|value| serde_json::from_slice(&value).ok()).unwrap_or_default();
        // A clock that was ahead must not put the sweep off for ever.
        if (0..i64::try_from(SWEEP_EVERY.as_secs()).unwrap_or(i64::MAX)).contains(&(now - last)) {
            return 0;
        }
        let mut keys = host.keys().await.unwrap_or_default();
        keys.retain(|key| key != SWEPT && families.iter().any(|family| key.starts_with(family.prefix)));
        if !keys.is_empty() {
            // From anywhere: else marks that still hold, at the front, would keep those behind them from being looked at.
            let start = host.up_to(keys.len() as u64 - 1);
            keys.rotate_left(usize::try_from(start).unwrap_or_default());
        }
        let mut removed = 0;
        for key in keys.iter().take(MOST_LOOKED_AT) {
            if host.get(key).await.ok().flatten().is_some_and(|value| is_over(host, &value)) {
                removed += usize::from(host.delete(key).await.is_ok());
            }
        }
        if removed == 0 || keys.len() <= MOST_LOOKED_AT {
            _ = host.set(SWEPT, now.to_string().as_bytes()).await;
        }
        removed
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

fn is_over(clock: &impl Clock, value: &[u8]) -> bool {
    let record: Value = serde_json::from_slice(value).unwrap_or_default();
    // One that cannot be read is over: it would never go otherwise.
    record["until"].as_i64().is_none_or(|until| until <= clock.now().timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeHost, run};

    const SEEN: Marks = Marks { prefix: "seen:", term: Duration::from_secs(60) };

    #[test]
    fn a_mark_holds_for_its_term() {
        let host = FakeHost::default();
        assert!(!run(SEEN.has(&host, "a")));
        run(SEEN.set(&host, "a")).unwrap();
        assert!(run(SEEN.has(&host, "a")) && !run(SEEN.has(&host, "b")));
        host.elapsed.set(Duration::from_secs(61));
        assert!(!run(SEEN.has(&host, "a")));
        run(SEEN.set(&host, "a")).unwrap();
        run(SEEN.clear(&host, "a")).unwrap();
        assert!(!run(SEEN.has(&host, "a")));
    }

    #[test]
    fn a_note_holds_as_long_as_its_mark() {
        let host = FakeHost::default();
        run(SEEN.set_with(&host, "a", json!({"x": [1]}))).unwrap();
        run(SEEN.set(&host, "b")).unwrap();
        assert_eq!(run(SEEN.note(&host, "a")), Ok(Some(json!({"x": [1]}))));
        assert_eq!(run(SEEN.note(&host, "b")), Ok(Some(Value::Null)));
        assert_eq!(run(SEEN.note(&host, "c")), Ok(None));
        assert!(run(SEEN.has(&host, "a")));
        host.elapsed.set(Duration::from_secs(61));
        assert_eq!(run(SEEN.note(&host, "a")), Ok(None));
    }

    #[test]
    fn the_store_stays_bounded() {
        let host = FakeHost::default();
        host.store.borrow_mut().insert("token:x".into(), b"kept".to_vec());
        host.store.borrow_mut().insert("seen:broken".into(), b"{".to_vec());
        for index in 0..100 {
            run(SEEN.set(&host, &index.to_string())).unwrap();
        }
        assert_eq!(run(Marks::sweep(&[SEEN], &host)), 1, "only the broken one is over");
        for index in 100..500 {
            run(SEEN.set(&host, &index.to_string())).unwrap();
        }
        host.elapsed.set(Duration::from_secs(61));
        assert_eq!(run(Marks::sweep(&[SEEN], &host)), 0, "not yet again");
        host.elapsed.set(Duration::from_secs(601));
        // Some at a time, and at once again while there are any.
        let removed: Vec<usize> = (0..4).map(|_| run(Marks::sweep(&[SEEN], &host))).collect();
        assert_eq!(removed, [200, 200, 100, 0]);
        let keys: Vec<_> = host.store.borrow().keys().cloned().collect();
        assert_eq!(keys, ["marks:swept", "token:x"]);
    }

    #[test]
    fn marks_that_hold_do_not_hide_those_that_are_over() {
        let host = FakeHost::default();
        for index in 0..50 {
            run(SEEN.set(&host, &format!("z-over-{index}"))).unwrap();
        }
        host.elapsed.set(Duration::from_secs(61));
        for index in 0..400 {
            run(SEEN.set(&host, &format!("a-holds-{index}"))).unwrap();
        }
        let mut removed = 0;
        for _ in 0..100 {
            removed += run(Marks::sweep(&[SEEN], &host));
            host.elapsed.set(host.elapsed.get() + SWEEP_EVERY);
            for index in 0..400 {
                run(SEEN.set(&host, &format!("a-holds-{index}"))).unwrap();
            }
        }
        assert_eq!(removed, 50);
    }
}
