//! What a route gives back: an answer, and what is to follow it.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use platform::{Host, Reply, answer};
use serde_json::{Value, json};

use crate::kick::Kick;

/// An answer, and the poller to be called after it.
#[derive(Debug)]
pub(crate) struct Answered {
    response: Response<Bytes>,
    kick: Option<Kick>,
}

impl Answered {
    /// With a kick, if something was put on the queue that is due.
    pub(crate) fn with_kick(response: Response<Bytes>, kick: Option<Kick>) -> Self {
        Self { response, kick }
    }

    /// The same, with what the bot says in the response.
    pub(crate) fn with_replies(self, replies: &[Value]) -> Self {
        Self { response: answer::json(StatusCode::OK, &json!({"activities": replies})), ..self }
    }

    pub(crate) fn headers_mut(&mut self) -> &mut HeaderMap {
        self.response.headers_mut()
    }

    pub(crate) fn into_reply<H: Host>(self, host: &H) -> Reply<'_> {
        let Some(kick) = self.kick else { return self.response.into() };
        Reply::then(self.response, kick.send(host))
    }
}

impl From<Response<Bytes>> for Answered {
    fn from(response: Response<Bytes>) -> Self {
        Self { response, kick: None }
    }
}
