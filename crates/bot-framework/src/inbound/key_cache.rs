//! Keeps the signing keys of an issuer in the key-value store. Spin starts a fresh instance of the bot for
//! each request, so the bot cannot keep the keys in memory.
//!
//! An attacker can write any key id (`kid`) into a token, and a key id that is not in the cache makes the bot
//! fetch keys. So [`Miss`] and [`Bucket`] limit how often the bot fetches keys.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use platform::{Deadline, Host, Level, value_of};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::bucket::Bucket;
use super::key_set::{KeySet, SigningKey};
use super::key_source::{KeySource, KeysError};
use super::remembered;

/// The age at which the bot fetches the keys again. The SDK botbuilder-js uses the same age
/// (`openIdMetadata.ts`).
const FRESH_SECONDS: i64 = 24 * 60 * 60;

/// The reason why the cache cannot return a fresh key. The reason decides how long the bot pauses between two
/// attempts to fetch the keys ([`Miss::pause_seconds`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Miss {
    /// The cache has no keys, so every call fails until the bot has fetched the keys.
    NoKeys,
    /// The cache has the key, but the key is older than [`FRESH_SECONDS`]. If the bot cannot fetch the keys
    /// now, it uses the old key.
    Stale,
    /// The cache does not have the key. If the bot fetched the keys in the last ten seconds, the key does not
    /// exist, and the bot does not fetch the keys again. If the last fetch was longer ago, the key is perhaps
    /// new. In this case, the [`Bucket`] limits the fetches.
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

/// A signing key. Until `good_until` (in seconds since 1970), the bot can use the key without asking the
/// cache again.
#[derive(Debug, Clone)]
pub(super) struct FoundKey {
    pub(super) key: SigningKey,
    pub(super) good_until: i64,
}

/// The cache for the keys of one issuer.
pub(super) struct KeyCache<'a, H> {
    pub(super) host: &'a H,
    pub(super) source: &'a KeySource,
    pub(super) deadline: Deadline,
}

/// The entry of a [`KeyCache`] in the key-value store. Times are in seconds since 1970.
#[derive(Debug, Default)]
struct Cached {
    keys: KeySet,
    fetched_at: i64,
    /// The time of the last attempt to fetch, successful or not.
    tried_at: i64,
    /// Limits the fetches that unknown key ids cause.
    bucket: Bucket,
}

impl<H: Host> KeyCache<'_, H> {
    /// Finds the key with this id. If the cached keys are old, or do not include this key, the bot first
    /// fetches the keys. But the bot does not fetch if the last attempt was a moment ago
    /// ([`Miss::pause_seconds`]). For an unknown key, the [`Bucket`] must also allow the fetch.
    ///
    /// The result is `None` if the bot has fetched the keys a moment ago, and this key is not among them. The
    /// key then certainly does not exist.
    ///
    /// If the last fetch was longer ago, an unknown key can be a new key of the issuer. So for an unknown
    /// key, the result is an error if the bot does not fetch the keys now, or if the fetch fails. The bot's
    /// response is then 503, and a channel sends its activity again after a 503.
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
        // If the keys cannot be fetched now, the bot uses the old key until the next attempt.
        let stale = found.map(|key| FoundKey { key, good_until: now + Miss::Stale.pause_seconds() });
        let is_too_early = is_within(now - cached.tried_at, miss.pause_seconds())
            || (miss == Miss::UnknownKey && !cached.bucket.take(now));
        if is_too_early {
            return match miss {
                Miss::NoKeys => Err(KeysError::FetchFailedJustNow),
                Miss::UnknownKey if !cached.is_of_now(now) => Err(KeysError::TooEarlyForUnknownKey),
                Miss::UnknownKey | Miss::Stale => Ok(stale),
            };
        }
        // Before the fetch starts, the bot stores the time of this attempt. Other requests see this time, and
        // do not start a second fetch. But if the cache has no keys, the bot stores this time only after the
        // fetch. In this case, the other requests also need to fetch the keys, e.g. if a channel sends its
        // first activities together. If these requests saw the time of the attempt, they would not fetch the
        // keys, and would fail.
        if miss != Miss::NoKeys {
            cached.tried_at = now;
            self.store(&cached).await;
        }
        match self.source.fetch(self.host, self.deadline).await {
            Ok(keys) => {
                // Perhaps other requests have taken permits out of the bucket meanwhile. `max` selects the
                // bucket with the later `full_at`, which has fewer permits.
                let bucket = self.load().await.bucket.max(cached.bucket);
                let fetched = Cached { keys, fetched_at: now, tried_at: now, bucket };
                self.store(&fetched).await;
                if !fetched.keys.has_all_of(&cached.keys) {
                    remembered::delete_all(self.host).await;
                }
                Ok(fetched.find(key_id))
            }
            Err(error) if miss == Miss::NoKeys => {
                // Perhaps another request has fetched the keys meanwhile.
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

    /// The name of the entry in the key-value store. Each metadata URL has its own entry. So if an operator
    /// removes a URL from the variable `openidmetadata`, the signing keys from that URL are no longer used.
    fn key(&self) -> String {
        format!("jwks:{}", URL_SAFE_NO_PAD.encode(Sha256::digest(&self.source.metadata_url)))
    }

    /// Loads the entry. If the key-value store fails or the entry is unreadable, the result is an entry
    /// without keys.
    async fn load(&self) -> Cached {
        let stored = self.host.get(&self.key()).await.ok().flatten().unwrap_or_default();
        let stored = value_of(&stored).unwrap_or_default();
        let seconds = |name: &str| stored[name].as_i64().unwrap_or_default();
        Cached {
            keys: KeySet::read(&stored),
            fetched_at: seconds("fetchedAt"),
            tried_at: seconds("triedAt"),
            bucket: Bucket { full_at: seconds("bucketFullAt") },
        }
    }

    /// Stores the entry. If the key-value store fails, the next request fetches the keys again.
    async fn store(&self, cached: &Cached) {
        let value = json!({
            "keys": cached.keys.to_json(), "fetchedAt": cached.fetched_at, "triedAt": cached.tried_at,
            "bucketFullAt": cached.bucket.full_at,
        });
        _ = self.host.set(&self.key(), value.to_string().as_bytes()).await;
    }
}

impl Cached {
    /// Whether the keys were fetched a moment ago. If so, a key that is not among these keys does not exist.
    fn is_of_now(&self, now: i64) -> bool {
        is_within(now - self.fetched_at, Miss::UnknownKey.pause_seconds())
    }

    /// Returns the key with this id. The key can be used for a day after it was fetched.
    fn find(&self, key_id: &str) -> Option<FoundKey> {
        let key = self.keys.find(key_id)?.clone();
        Some(FoundKey { key, good_until: self.fetched_at.saturating_add(FRESH_SECONDS) })
    }
}

/// Whether an age is below the limit. If the clock was ahead when a time was stored, the age computed from
/// this time is negative. A negative age counts as too old.
fn is_within(age_seconds: i64, limit_seconds: i64) -> bool {
    (0..limit_seconds).contains(&age_seconds)
}
