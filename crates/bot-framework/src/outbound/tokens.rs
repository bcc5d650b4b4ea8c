//! The bot's token during one run: fetched once, shared by everything that is sent at once, renewed once.

use std::fmt;
use std::time::Duration;

use futures_util::lock::Mutex;
use platform::{Deadline, Host, Secret, Timeouts};

use super::access_token::AccessToken;
use super::answer::{Grant, read_answer};
use super::credential::BotCredentials;
use super::error::{TokenError, TokenRefusal};
use super::request::token_request;
use super::sealed_cache::SealedCache;

const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(3),
    first_byte: Duration::from_secs(6),
    between_bytes: Duration::from_secs(3),
    total: Duration::from_secs(11),
    max_answer_bytes: 64 * 1024,
};

/// Tokens for the Connector, of one bot, during one run.
///
/// What a run has learned holds for the rest of it: sixteen sends that find no token wait for one request, and what it
/// says, good or bad, is said to all of them.
pub struct Tokens<'a, H> {
    host: &'a H,
    bot: &'a BotCredentials,
    scope: &'static str,
    cache: SealedCache,
    /// What the caller had at hand: an entry of the cache, maybe of long ago.
    cached_entry: Option<Vec<u8>>,
    state: Mutex<RunState>,
}

#[derive(Default)]
struct RunState {
    token: Option<Result<NumberedToken, TokenError>>,
    /// The cache's entry of `token`.
    entry: Option<Vec<u8>>,
    /// A run renews its token once: a Connector that refuses a fresh one refuses the bot.
    renewed: bool,
}

/// A token, and which of the run's it is.
#[derive(Debug, Clone)]
pub(crate) struct NumberedToken {
    pub(crate) token: AccessToken,
    number: u32,
}

impl<'a, H: Host> Tokens<'a, H> {
    /// Nothing is asked for before a token is needed.
    pub fn new(host: &'a H, bot: &'a BotCredentials) -> Self {
        Self::for_scope(host, bot, bot.identity.cloud.connector_scope())
    }

    /// The same for another service than the Connector, by its scope.
    pub fn for_scope(host: &'a H, bot: &'a BotCredentials, scope: &'static str) -> Self {
        let cache = SealedCache::of(bot, scope);
        Self { host, bot, scope, cache, cached_entry: None, state: Mutex::default() }
    }

    /// The token's text, for a service that is no Connector.
    pub async fn bearer(&self, deadline: Deadline) -> Result<Secret, TokenError> {
        let current = self.get(deadline).await?;
        let text = String::from_utf8_lossy(current.token.expose()).into_owned();
        Secret::new(text).ok_or(TokenError::Refused(TokenRefusal::Unexplained(0)))
    }

    /// With a token that was remembered elsewhere, as [`Tokens::sealed`] gave it: if it is still good, the store is not
    /// asked.
    #[must_use]
    pub fn with_sealed(mut self, entry: Option<&[u8]>) -> Self {
        self.cached_entry = entry.map(<[u8]>::to_vec);
        self
    }

    /// The token that was used, sealed; nothing if none was.
    pub async fn sealed(&self) -> Option<Vec<u8>> {
        self.state.lock().await.entry.clone()
    }

    /// The token: this run's, the one at hand, the stored one, or a fresh one.
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

    /// Another token than the one that the Connector refused; `None` if this run has renewed it before.
    pub(crate) async fn replace(
        &self,
        refused: &NumberedToken,
        deadline: Deadline,
    ) -> Result<Option<NumberedToken>, TokenError> {
        let mut state = self.state.lock().await;
        match &state.token {
            // Somebody else has renewed it meanwhile.
            Some(Ok(current)) if current.number != refused.number => return Ok(Some(current.clone())),
            Some(Err(error)) => return Err(error.clone()),
            _ if state.renewed => return Ok(None),
            _ => state.renewed = true,
        }
        self.cache.drop_token(self.host).await;
        let fresh = self.fetch(deadline, &mut state.entry).await;
        let fresh = fresh.map(|token| NumberedToken { token, number: refused.number + 1 });
        state.token.insert(fresh).clone().map(Some)
    }

    /// Asks for a token; `entry` becomes what is stored of it.
    async fn fetch(
        &self,
        deadline: Deadline,
        entry: &mut Option<Vec<u8>>,
    ) -> Result<AccessToken, TokenError> {
        *entry = None;
        let mut answer = self.ask(deadline).await;
        if matches!(answer, Err(TokenError::Unavailable { again_at_once: true, .. }))
            && !deadline.has_passed(self.host)
        {
            answer = self.ask(deadline).await;
        }
        let Grant { token, life } = answer?;
        *entry = self.cache.store(self.host, &token, life).await;
        Ok(token)
    }

    async fn ask(&self, deadline: Deadline) -> Result<Grant, TokenError> {
        let request = token_request(self.bot, self.scope, self.host.now(), self.host)?;
        let answer = self.host.send(request, TIMEOUTS.within(deadline.remaining(self.host))).await;
        read_answer(answer, self.host.now())
    }
}

impl<H> fmt::Debug for Tokens<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("bot", &self.bot).finish_non_exhaustive()
    }
}
