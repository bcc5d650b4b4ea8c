//! The bot's access token during one run. In this file, a *run* is one execution of the poller, or the bot's
//! work on one request. All messages that a run sends share one token. The run renews the token at most once.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::lock::Mutex;
use platform::{Deadline, Host, Secret, Timeouts};

use super::access_token::AccessToken;
use super::credential::BotCredentials;
use super::error::{TokenError, TokenRefusal};
use super::request::token_request;
use super::response::{Grant, read_response};
use super::sealed_cache::SealedCache;

const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(3),
    first_byte: Duration::from_secs(6),
    between_bytes: Duration::from_secs(3),
    total: Duration::from_secs(11),
    max_response_bytes: 64 * 1024,
};

/// The tokens of one bot during one run, for one scope (one service that accepts the tokens).
///
/// A run can send several messages at the same time. If there is no token yet, all these sends wait for one
/// request to the login host (the host of Entra that issues tokens). Each send gets the result of this
/// request, a token or an error. The run keeps this result until the run ends or renews the token.
pub struct Tokens<'a, H> {
    host: &'a H,
    bot: &'a BotCredentials,
    scope: &'static str,
    cache: SealedCache,
    /// The sealed (encrypted) token that the caller passed to [`Tokens::with_sealed`]. This token can be too
    /// old.
    cached_entry: Option<Vec<u8>>,
    state: Mutex<RunState>,
}

#[derive(Default)]
struct RunState {
    token: Option<Result<NumberedToken, TokenError>>,
    /// The cache entry of `token`.
    entry: Option<Vec<u8>>,
    /// Whether the run has renewed its token. A run renews its token at most once. If the Connector refuses
    /// even a fresh token, the Connector refuses the bot, so another fresh token would not help.
    renewed: bool,
}

/// A token, and its number within the run.
#[derive(Debug, Clone)]
pub(crate) struct NumberedToken {
    pub(crate) token: AccessToken,
    number: u32,
}

impl<'a, H: Host> Tokens<'a, H> {
    /// Makes a `Tokens` for the Connector. This function sends no request to the login host.
    pub fn new(host: &'a H, bot: &'a BotCredentials) -> Self {
        Self::for_scope(host, bot, bot.identity.cloud.connector_scope())
    }

    /// Makes a `Tokens` for a service other than the Connector. `scope` is the scope of that service.
    pub fn for_scope(host: &'a H, bot: &'a BotCredentials, scope: &'static str) -> Self {
        let cache = SealedCache::of(bot, scope);
        Self { host, bot, scope, cache, cached_entry: None, state: Mutex::default() }
    }

    /// Returns the text of the token, for calls to a service other than the Connector.
    pub async fn bearer(&self, deadline: Deadline) -> Result<Secret, TokenError> {
        let current = self.get(deadline).await?;
        let text = String::from_utf8_lossy(current.token.expose()).into_owned();
        Secret::new(text).ok_or(TokenError::Refused(TokenRefusal::Unexplained(0)))
    }

    /// Sets a sealed (encrypted) token that [`Tokens::sealed`] returned in an earlier run. If this token is
    /// still valid, the run uses this token, and does not read a token from the key-value store.
    #[must_use]
    pub fn with_sealed(mut self, entry: Option<&[u8]>) -> Self {
        self.cached_entry = entry.map(<[u8]>::to_vec);
        self
    }

    /// Returns the run's token in encrypted form. Returns `None` if the run has no token, or if the login
    /// host issued a token with a lifetime of five minutes or less.
    pub async fn sealed(&self) -> Option<Vec<u8>> {
        self.state.lock().await.entry.clone()
    }

    /// Returns the time at which the bot has to renew the token in the key-value store. Returns `None` if the
    /// store has no valid token. The function sends no request to the login host.
    pub async fn kept_until(&self) -> Option<DateTime<Utc>> {
        let entry = self.cache.load(self.host).await?;
        self.cache.renewal_time(self.host, &entry)
    }

    /// Returns the token of this run. The first call tries the entry of [`Tokens::with_sealed`], and then the
    /// entry in the key-value store. If neither holds a valid token, the call fetches a fresh token.
    pub(crate) async fn get(&self, deadline: Deadline) -> Result<NumberedToken, TokenError> {
        let mut state = self.state.lock().await;
        if let Some(known) = &state.token {
            return known.clone();
        }
        let mut found = self.open(self.cached_entry.clone());
        if found.is_none() {
            found = self.open(self.cache.load(self.host).await);
        }
        let token = match found {
            Some((token, entry)) => {
                state.entry = Some(entry);
                Ok(token)
            }
            None => self.fetch(deadline, &mut state.entry).await,
        };
        state.token.insert(token.map(|token| NumberedToken { token, number: 0 })).clone()
    }

    fn open(&self, entry: Option<Vec<u8>>) -> Option<(AccessToken, Vec<u8>)> {
        let entry = entry?;
        Some((self.cache.open(self.host, &entry)?, entry))
    }

    /// Returns a newer token after the Connector has refused the token `refused`. Returns `None` if the run
    /// renewed its token earlier, and `refused` is the renewed token.
    pub(crate) async fn replace(
        &self,
        refused: &NumberedToken,
        deadline: Deadline,
    ) -> Result<Option<NumberedToken>, TokenError> {
        let mut state = self.state.lock().await;
        match &state.token {
            // Another send has already renewed the token.
            Some(Ok(current)) if current.number != refused.number => return Ok(Some(current.clone())),
            Some(Err(error)) => return Err(error.clone()),
            _ if state.renewed => return Ok(None),
            _ => state.renewed = true,
        }
        self.cache.delete_token(self.host).await;
        let fresh = self.fetch(deadline, &mut state.entry).await;
        let fresh = fresh.map(|token| NumberedToken { token, number: refused.number + 1 });
        state.token.insert(fresh).clone().map(Some)
    }

    /// Fetches a fresh token, and sets `entry` to the cache entry of the fresh token.
    async fn fetch(
        &self,
        deadline: Deadline,
        entry: &mut Option<Vec<u8>>,
    ) -> Result<AccessToken, TokenError> {
        *entry = None;
        let mut response = self.request_token(deadline).await;
        if matches!(response, Err(TokenError::Unavailable { again_at_once: true, .. }))
            && !deadline.has_passed(self.host)
        {
            response = self.request_token(deadline).await;
        }
        let Grant { token, life } = response?;
        *entry = self.cache.store(self.host, &token, life).await;
        Ok(token)
    }

    async fn request_token(&self, deadline: Deadline) -> Result<Grant, TokenError> {
        let request = token_request(self.bot, self.scope, self.host.now(), self.host)?;
        let response = self.host.send(request, TIMEOUTS.within(deadline.remaining(self.host))).await;
        read_response(response, self.host.now())
    }
}

impl<H> fmt::Debug for Tokens<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("bot", &self.bot).finish_non_exhaustive()
    }
}
