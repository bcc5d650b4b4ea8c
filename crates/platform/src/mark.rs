//! Marks: "this has happened" in key-value, with an end, so that the store stays bounded.
//!
//! A mark makes doubles rarer; a store that lost one makes them possible again. Nothing may rest on it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{Clock, Host, KeyValue, KeyValueError};

/// When the store was last swept.
const SWEPT: &str = "marks:swept";
const SWEEP_EVERY: Duration = Duration::from_secs(10 * 60);
/// A run has other things to do: what is left is swept next time.
const MOST_SWEPT_AT_ONCE: usize = 200;

/// A family of marks: its key prefix, and how long one of them holds. Names are at most 200 letters, digits, `-`, `_`, `.`,
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

    /// Removes marks that are over, at most every ten minutes. Returns how many.
    pub async fn sweep(families: &[Self], host: &impl Host) -> usize {
        let now = host.now().timestamp();
        let swept = host.get(SWEPT).await.ok().flatten();
        let last: i64 = swept.and_then(|value| serde_json::from_slice(&value).ok()).unwrap_or_default();
        // A clock that was ahead must not put the sweep off for ever.
        if (0..i64::try_from(SWEEP_EVERY.as_secs()).unwrap_or(i64::MAX)).contains(&(now - last)) {
            return 0;
        }
        if host.set(SWEPT, now.to_string().as_bytes()).await.is_err() {
            return 0;
        }
        let mut removed = 0;
        for key in host.keys().await.unwrap_or_default() {
            if removed == MOST_SWEPT_AT_ONCE {
                break;
            }
            let is_mark = key != SWEPT && families.iter().any(|family| key.starts_with(family.prefix));
            if is_mark && host.get(&key).await.ok().flatten().is_some_and(|value| is_over(host, &value)) {
                removed += usize::from(host.delete(&key).await.is_ok());
            }
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
        for index in 0..300 {
            run(SEEN.set(&host, &index.to_string())).unwrap();
        }
        assert_eq!(run(Marks::sweep(&[SEEN], &host)), 1, "only the broken one is over");
        host.elapsed.set(Duration::from_secs(61));
        assert_eq!(run(Marks::sweep(&[SEEN], &host)), 0, "not yet again");
        host.elapsed.set(Duration::from_secs(601));
        assert_eq!(run(Marks::sweep(&[SEEN], &host)), 200);
        host.elapsed.set(Duration::from_secs(1202));
        assert_eq!(run(Marks::sweep(&[SEEN], &host)), 100);
        let keys: Vec<_> = host.store.borrow().keys().cloned().collect();
        assert_eq!(keys, ["marks:swept", "token:x"]);
    }
}
