//! The result of handling an HTTP request: a response, and perhaps a *kick*. The kick is a call to the
//! poller. The bot makes this call after it has sent the response.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use platform::{Host, Reply, response};
use serde_json::{Value, json};

use crate::kick::Kick;

/// An HTTP response, and perhaps a kick to send after the response.
#[derive(Debug)]
pub(crate) struct Answered {
    response: Response<Bytes>,
    kick: Option<Kick>,
}

impl Answered {
    /// Makes a response with a kick. The calling function passes a kick if the bot has put a message on the
    /// queue, and if this message is due now.
    pub(crate) fn with_kick(response: Response<Bytes>, kick: Option<Kick>) -> Self {
        Self { response, kick }
    }

    /// Replaces the response by a response whose body holds the bot's replies, and keeps the kick. The sender
    /// of an activity asks for such a response by the member `deliveryMode` with the value `expectReplies`.
    pub(crate) fn with_replies(self, replies: &[Value]) -> Self {
        Self { response: response::json(StatusCode::OK, &json!({"activities": replies})), ..self }
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
