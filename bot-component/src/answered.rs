//! What a route gives back: an answer, and what is to follow it.

use bytes::Bytes;
use envelope::ALL_MARKS;
use http::Response;
use platform::{Host, Marks, Reply};

use crate::kick::Kick;

/// After how many answers that put something on the queue, on average, marks that are over are looked for. The poller does
/// that too, when it has nothing else to do; where it has a store of its own, this keeps the bot's bounded.
const SWEEP_ONE_IN: u64 = 256;

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

    pub(crate) fn into_reply<H: Host>(self, host: &H) -> Reply<'_> {
        let Some(kick) = self.kick else { return self.response.into() };
        Reply::then(self.response, async move {
            kick.send(host).await;
            if host.up_to(SWEEP_ONE_IN - 1) == 0 {
                Marks::sweep(&ALL_MARKS, host).await;
            }
        })
    }
}

impl From<Response<Bytes>> for Answered {
    fn from(response: Response<Bytes>) -> Self {
        Self { response, kick: None }
    }
}
