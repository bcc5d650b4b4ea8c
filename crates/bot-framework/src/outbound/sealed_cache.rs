//! Keeps the bot's access token in the host's key-value store. So the bot can use the same token for later
//! requests, and the poller can use the same token in later runs. The token is encrypted ("sealed").
//!
//! The hosting provider runs the key-value store, and perhaps other programs can read the store. So the bot
//! encrypts each entry with a key that is derived from the bot's credential. No program can decrypt ("open")
//! the entry without this key.
//!
//! An entry is also bound to one login host, one tenant, one app and one scope (the service that accepts the
//! token). For another login host, tenant, app or scope, the entry does not open. An entry that does not open
//! counts as absent.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use chrono::{DateTime, Utc};
use platform::{Clock, Host};
use sha2::{Digest, Sha256};

use super::access_token::AccessToken;
use super::credential::BotCredentials;
use super::key::{KeyPurpose, derive_key};

/// The bot renews a token this long before the token expires. The Bot Framework's own SDKs use the same time.
const MARGIN: Duration = Duration::from_secs(300);
/// The maximum lifetime of a token. Entra issues tokens for an hour, or for a day at most.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

const VERSION: u8 = 1;
/// The length of XChaCha20's nonce. Two random nonces of this length are practically never equal, so the
/// nonces can be random.
const NONCE_BYTES: usize = 24;
const TIME_BYTES: usize = 8;

/// The cache for the token of one bot and one scope.
pub(super) struct SealedCache {
    cipher: XChaCha20Poly1305,
    bound_to: Vec<u8>,
}

impl SealedCache {
    pub(super) fn of(bot: &BotCredentials, scope: &str) -> Self {
        let identity = &bot.identity;
        let mut bound_to = vec![VERSION];
        for part in [
            identity.login_endpoint.as_str(),
            identity.token_tenant.as_str(),
            identity.app_id.as_str(),
            scope,
        ] {
            // Without the length, ("ab", "c") and ("a", "bc") would give the same bytes.
            bound_to.extend((part.len() as u64).to_le_bytes());
            bound_to.extend(part.as_bytes());
        }
        let secret = bot.credential.secret_bytes();
        let key = derive_key(secret, KeyPurpose::TokenCache, &[&identity.app_id.to_ascii_lowercase()]);
        Self { cipher: XChaCha20Poly1305::new(&key.into()), bound_to }
    }

    /// The name of the entry in the key-value store.
    fn key(&self) -> String {
        let name = URL_SAFE_NO_PAD.encode(&Sha256::digest(&self.bound_to)[..16]);
        format!("token:{name}")
    }

    /// Returns the stored entry without opening it.
    pub(super) async fn load(&self, host: &impl Host) -> Option<Vec<u8>> {
        host.get(&self.key()).await.ok()?
    }

    /// Opens an entry. Returns `None` if the entry does not open, if the token expires within [`MARGIN`], or
    /// if the token seems to be valid for too long ([`LONGEST`]).
    pub(super) fn open(&self, clock: &impl Clock, entry: &[u8]) -> Option<AccessToken> {
        self.open_with_end(clock, entry).map(|(token, _)| token)
    }

    /// Returns the time at which the bot has to renew the token of an entry. Returns `None` in the same cases
    /// as [`SealedCache::open`].
    pub(super) fn renewal_time(&self, clock: &impl Clock, entry: &[u8]) -> Option<DateTime<Utc>> {
        self.open_with_end(clock, entry).and_then(|(_, until)| DateTime::from_timestamp(until, 0))
    }

    fn open_with_end(&self, clock: &impl Clock, entry: &[u8]) -> Option<(AccessToken, i64)> {
        let (version, rest) = entry.split_first()?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_BYTES)?;
        if *version != VERSION {
            return None;
        }
        let payload = Payload { msg: sealed, aad: &self.bound_to };
        let opened = self.cipher.decrypt(&XNonce::try_from(nonce).ok()?, payload).ok()?;
        let (until, token) = opened.split_at_checked(TIME_BYTES)?;
        let until = i64::from_le_bytes(until.try_into().ok()?);
        let left = until.checked_sub(clock.now().timestamp())?;
        // If the token seems to be valid for more than [`LONGEST`], the clock is wrong now, or was wrong when
        // the bot stored the entry. The bot does not use such a token.
        let is_good = left > 0 && left <= i64::try_from(LONGEST.as_secs()).ok()?;
        let token = is_good.then(|| AccessToken::new(std::str::from_utf8(token).ok()?)).flatten()?;
        Some((token, until))
    }

    /// Stores a token that is valid for `life`, and returns the entry. If `life` is [`MARGIN`] or less, the
    /// function stores nothing and returns `None`. If the key-value store fails, the function still returns
    /// the entry.
    pub(super) async fn store(
        &self,
        host: &impl Host,
        token: &AccessToken,
        life: Duration,
    ) -> Option<Vec<u8>> {
        let usable = life.min(LONGEST).saturating_sub(MARGIN);
        if usable.is_zero() {
            return None;
        }
        let until = (host.now() + usable).timestamp();
        let mut nonce = [0; NONCE_BYTES];
        host.fill(&mut nonce);
        let opened = [&until.to_le_bytes()[..], token.expose()].concat();
        let payload = Payload { msg: opened.as_slice(), aad: &self.bound_to };
        let sealed = self.cipher.encrypt(&nonce.into(), payload).ok()?;
        let entry = [&[VERSION][..], &nonce, &sealed].concat();
        _ = host.set(&self.key(), &entry).await;
        Some(entry)
    }

    /// Deletes the stored token.
    pub(super) async fn delete_token(&self, host: &impl Host) {
        _ = host.delete(&self.key()).await;
    }
}

#[cfg(test)]
mod tests {
    use platform::Secret;
    use platform::testing::{FakeHost, run};

    use super::*;

    const SCOPE: &str = "https://api.botframework.com/.default";
    use crate::cloud::Cloud;
    use crate::identity::BotIdentity;
    use crate::outbound::Credential;

    fn bot(secret: &str, change: impl FnOnce(&mut BotIdentity)) -> BotCredentials {
        let mut identity = BotIdentity {
            app_id: "app".into(),
            cloud: Cloud::Public,
            tenant_id: Some("tenant".into()),
            token_tenant: "tenant".into(),
            login_endpoint: "https://login.example".into(),
        };
        change(&mut identity);
        BotCredentials { identity, credential: Credential::Password(Secret::new(secret).unwrap()) }
    }

    fn token() -> AccessToken {
        AccessToken::new("hunter2.hunter2").unwrap()
    }

    fn load(cache: &SealedCache, host: &FakeHost) -> Option<AccessToken> {
        cache.open(host, &run(cache.load(host))?)
    }

    fn stored(life_seconds: u64) -> (FakeHost, SealedCache) {
        let (host, cache) = (FakeHost::default(), SealedCache::of(&bot("secret", |_| {}), SCOPE));
        run(cache.store(&host, &token(), Duration::from_secs(life_seconds)));
        (host, cache)
    }

    #[test]
    fn stored_token_is_returned_until_five_minutes_before_the_token_expires() {
        for (life, kept) in [
            (0, None),
            (1, None),
            (300, None),
            (301, Some(1)),
            (3599, Some(3299)),
            (86_400, Some(86_100)),
            (u64::MAX, Some(86_100)),
        ] {
            let (host, cache) = stored(life);
            assert_eq!(
                host.store.borrow().len(),
                usize::from(kept.is_some()),
                "{life}: a short-lived token must not be stored"
            );
            let Some(kept) = kept else { continue };
            let until = |host: &FakeHost| cache.renewal_time(host, &run(cache.load(host))?);
            assert_eq!(until(&host), Some(host.now() + Duration::from_secs(kept)), "{life}");
            host.elapsed.set(Duration::from_secs(kept - 1));
            assert_eq!(load(&cache, &host), Some(token()), "{life}");
            host.elapsed.set(Duration::from_secs(kept));
            assert_eq!((load(&cache, &host), until(&host)), (None, None), "{life}");
        }
    }

    #[test]
    fn store_holds_no_secret_in_clear_text() {
        let (host, _) = stored(3599);
        for (key, value) in host.store.borrow().iter() {
            for clear in ["hunter2", "secret", "tenant", "login"] {
                assert!(
                    !key.contains(clear) && !value.windows(clear.len()).any(|part| part == clear.as_bytes())
                );
            }
        }
    }

    #[test]
    fn entry_that_is_changed_or_belongs_to_another_bot_login_host_or_scope_does_not_open() {
        let (host, cache) = stored(3599);
        let (key, entry) = host.store.borrow().iter().next().map(|(k, v)| (k.clone(), v.clone())).unwrap();
        assert_eq!(load(&cache, &host), Some(token()));
        for other in [
            bot("Secret", |_| {}),
            bot("secret", |identity| identity.app_id = "ap".into()),
            bot("secret", |identity| identity.token_tenant = "botframework.com".into()),
            bot("secret", |identity| identity.login_endpoint = "https://login.example.evil".into()),
            bot("secret", |identity| identity.cloud = Cloud::China),
            bot("secret", |identity| {
                (identity.token_tenant, identity.app_id) = ("tenanta".into(), "pp".into())
            }),
        ] {
            let other = SealedCache::of(&other, other.identity.cloud.connector_scope());
            // A copy of the entry, stored under the name that the other cache reads, must not open.
            host.store.borrow_mut().insert(other.key(), entry.clone());
            assert_eq!(load(&other, &host), None, "{}", other.key());
        }
        for index in 0..entry.len() {
            let mut changed = entry.clone();
            changed[index] ^= 1;
            host.store.borrow_mut().insert(key.clone(), changed);
            assert_eq!(load(&cache, &host), None, "a change of byte {index} must be detected");
        }
        for length in [0, 1, 24, 25, 40, 41, entry.len() - 1] {
            host.store.borrow_mut().insert(key.clone(), entry[..length].to_vec());
            assert_eq!(load(&cache, &host), None, "{length} bytes");
        }
    }

    #[test]
    fn entry_stored_while_the_clock_was_ahead_does_not_open() {
        let (host, cache) = (FakeHost::default(), SealedCache::of(&bot("secret", |_| {}), SCOPE));
        host.elapsed.set(Duration::from_secs(10 * 24 * 60 * 60));
        run(cache.store(&host, &token(), Duration::from_secs(3599)));
        host.elapsed.set(Duration::ZERO);
        assert_eq!(load(&cache, &host), None);
    }
}
