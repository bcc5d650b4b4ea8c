//! The bot's token during one run: fetched once, shared by everything that is sent at once, renewed once.

use std::fmt;
use std::time::Duration;

use futures_util::lock::Mutex;
use platform::{Deadline, Host, Timeouts};

use super::access_token::AccessToken;
use super::answer::{Grant, read_answer};
use super::credential::BotCredentials;
use super::error::TokenError;
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
    cache: SealedCache,
    learned: Mutex<Learned>,
}

#[derive(Default)]
struct Learned {
    token: Option<Result<Held, TokenError>>,
    /// A run renews its token once: a Connector that refuses a fresh one refuses the bot.
    renewed: bool,
}

/// A token, and which of the run's it is.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) token: AccessToken,
    number: u32,
}

impl<'a, H: Host> Tokens<'a, H> {
    /// Nothing is asked for before a token is needed.
    pub fn new(host: &'a H, bot: &'a BotCredentials) -> Self {
        Self { host, bot, cache: SealedCache::of(bot), learned: Mutex::default() }
    }

    /// The token: this run's, the stored one, or a fresh one.
    pub(crate) async fn get(&self, deadline: Deadline) -> Result<Held, TokenError> {
        let mut learned = self.learned.lock().await;
        if let Some(known) = &learned.token {
            return known.clone();
        }
        let token = match self.cache.load(self.host).await {
            Some(token) => Ok(token),
            None => self.fetch(deadline).await,
        };
        learned.token.insert(token.map(|token| Held { token, number: 0 })).clone()
    }

    /// Another token than the one that the Connector refused; `None` if this run has renewed it before.
    pub(crate) async fn replace(
        &self,
        refused: &Held,
        deadline: Deadline,
    ) -> Result<Option<Held>, TokenError> {
        let mut learned = self.learned.lock().await;
        match &learned.token {
            // Somebody else has renewed it meanwhile.
            Some(Ok(held)) if held.number != refused.number => return Ok(Some(held.clone())),
            Some(Err(error)) => return Err(error.clone()),
            _ if learned.renewed => return Ok(None),
            _ => learned.renewed = true,
        }
        self.cache.drop_token(self.host).await;
        let fresh = self.fetch(deadline).await.map(|token| Held { token, number: refused.number + 1 });
        learned.token.insert(fresh).clone().map(Some)
    }

    async fn fetch(&self, deadline: Deadline) -> Result<AccessToken, TokenError> {
        let mut answer = self.ask(deadline).await;
        if matches!(answer, Err(TokenError::Unavailable { again_at_once: true, .. }))
            && !deadline.has_passed(self.host)
        {
            answer = self.ask(deadline).await;
        }
        let Grant { token, life } = answer?;
        self.cache.store(self.host, &token, life).await;
        Ok(token)
    }

    async fn ask(&self, deadline: Deadline) -> Result<Grant, TokenError> {
        let request = token_request(self.bot, self.host.now(), self.host)?;
        let answer = self.host.send(request, TIMEOUTS.within(deadline.remaining(self.host))).await;
        read_answer(answer, self.host.now())
    }
}

impl<H> fmt::Debug for Tokens<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("bot", &self.bot).finish_non_exhaustive()
    }
}
