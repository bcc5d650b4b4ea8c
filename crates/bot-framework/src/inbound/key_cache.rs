//! The keys of an issuer, kept in key-value, because a fresh instance serves each request.
//!
//! Strangers choose the `kid`s that are looked for, so what a miss costs is bounded: see [`Miss`] and [`Bucket`].

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use platform::{Deadline, Host, Level};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::bucket::Bucket;
use super::key_set::{KeySet, SigningKey};
use super::key_source::{KeySource, KeysError};
use super::remembered;

/// Keys this old are fetched again (botbuilder-js: `openIdMetadata.ts`).
const FRESH_SECONDS: i64 = 24 * 60 * 60;

/// Why a look at the cache was not enough, and with it how long after the last attempt the next one may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Miss {
    /// There are no keys at all: nobody can call meanwhile.
    NoKeys,
    /// The key is there, and old: it still serves.
    Stale,
    /// The key is not there: nobody's, or a new one. A set that was fetched a moment ago holds every key that there is, and the
    /// [`Bucket`] bounds the rest.
    UnknownKey,
}

impl Miss {
    fn pause_seconds(self) -> i64 {
        match self {
            Self::NoKeys => 5,
            Self::Stale => 60,
            Self::UnknownKey => 10,
        }
    }
}

/// A key, and until when it may be used without another look, in seconds since 1970.
#[derive(Debug, Clone)]
pub(super) struct FoundKey {
    pub(super) key: SigningKey,
    pub(super) good_until: i64,
}

/// The cache of one issuer.
pub(super) struct KeyCache<'a, H> {
    pub(super) host: &'a H,
    pub(super) source: &'a KeySource,
    pub(super) deadline: Deadline,
}

/// What stands in key-value.
#[derive(Debug, Default)]
struct Cached {
    keys: KeySet,
    fetched_at: i64,
    /// When fetching was last attempted, whatever came of it.
    tried_at: i64,
    /// For unknown keys.
    bucket: Bucket,
}

impl<H: Host> KeyCache<'_, H> {
    /// The key with this id; `None` if the issuer has none, by a set that was fetched a moment ago. Fetches the keys if that is due.
    /// While it is not, an unknown key may be a new one: that is an error, which a channel answers by sending its activity again.
    pub(super) async fn find(&self, key_id: &str) -> Result<Option<FoundKey>, KeysError> {
        let now = self.host.now().timestamp();
        let mut cached = self.load().await;
        let found = cached.keys.find(key_id).cloned();
        let miss = if cached.keys.is_empty() {
            Miss::NoKeys
        } else if found.is_none() {
            Miss::UnknownKey
        } else if is_within(now - cached.fetched_at, FRESH_SECONDS) {
            return Ok(cached.find(key_id));
        } else {
            Miss::Stale
        };
        // A key that is too old serves until the next attempt to fetch the keys.
        let stale = found.map(|key| FoundKey { key, good_until: now + Miss::Stale.pause_seconds() });
        let is_too_early = is_within(now - cached.tried_at, miss.pause_seconds())
            || (miss == Miss::UnknownKey && !cached.bucket.take(now));
        if is_too_early {
            return match miss {
                Miss::NoKeys => Err(KeysError::TriedLately),
                Miss::UnknownKey if !cached.is_of_now(now) => Err(KeysError::NotLookedUp),
                Miss::UnknownKey | Miss::Stale => Ok(stale),
            };
        }
        // Before the attempt, so that those who come meanwhile do not make it too. Without keys they must: nothing else can
        // let them in, and a channel's first messages come together.
        if miss != Miss::NoKeys {
            cached.tried_at = now;
            self.store(&cached).await;
        }
        match self.source.fetch(self.host, self.deadline).await {
            Ok(keys) => {
                // Others may have taken something out of the bucket meanwhile.
                let bucket = self.load().await.bucket.max(cached.bucket);
                let fetched = Cached { keys, fetched_at: now, tried_at: now, bucket };
                self.store(&fetched).await;
                if !fetched.keys.has_all_of(&cached.keys) {
                    remembered::forget_all(self.host).await;
                }
                Ok(fetched.find(key_id))
            }
            Err(error) if miss == Miss::NoKeys => {
                // Somebody else may have fetched them meanwhile.
                let latest = self.load().await;
                if latest.keys.is_empty() {
                    self.store(&Cached { tried_at: now, ..latest }).await;
                    return Err(error);
                }
                Ok(latest.find(key_id))
            }
            Err(error) => {
                let age_seconds = now - cached.fetched_at;
                let fields = json!({"reason": error.to_string(), "age_seconds": age_seconds});
                self.host.event(Level::Warn, "auth.keys.not.refreshed", fields);
                if miss == Miss::UnknownKey { Err(error) } else { Ok(stale) }
            }
        }
    }

    /// Another metadata URL is another cache: what an override brought never serves without it.
    fn key(&self) -> String {
        format!("jwks:{}", URL_SAFE_NO_PAD.encode(Sha256::digest(&self.source.metadata_url)))
    }

    /// A store that does not answer, or holds something unreadable, holds nothing.
    async fn load(&self) -> Cached {
        let stored = self.host.get(&self.key()).await.ok().flatten().unwrap_or_default();
        let stored: Value = serde_json::from_slice(&stored).unwrap_or_default();
        let seconds = |name: &str| stored[name].as_i64().unwrap_or_default();
        Cached {
            keys: KeySet::read(&stored),
            fetched_at: seconds("fetchedAt"),
            tried_at: seconds("triedAt"),
            bucket: Bucket { full_at: seconds("bucketFullAt") },
        }
    }

    /// A store that does not take it costs the next request another fetch.
    async fn store(&self, cached: &Cached) {
        let value = json!({
            "keys": cached.keys.to_json(), "fetchedAt": cached.fetched_at, "triedAt": cached.tried_at,
            "bucketFullAt": cached.bucket.full_at,
        });
        _ = self.host.set(&self.key(), value.to_string().as_bytes()).await;
    }
}

impl Cached {
    /// Whether the keys are those of a moment ago: what is not among them does not exist.
    fn is_of_now(&self, now: i64) -> bool {
        is_within(now - self.fetched_at, Miss::UnknownKey.pause_seconds())
    }

    /// The key with this id, which serves for a day from when it was fetched.
    fn find(&self, key_id: &str) -> Option<FoundKey> {
        let key = self.keys.find(key_id)?.clone();
        Some(FoundKey { key, good_until: self.fetched_at.saturating_add(FRESH_SECONDS) })
    }
}

/// A moment in the future, of a clock that was ahead, is not within.
fn is_within(age_seconds: i64, limit_seconds: i64) -> bool {
    (0..limit_seconds).contains(&age_seconds)
}
