//! What a door gives back: the answer to one request, and the work that follows it.

use std::pin::Pin;

use bytes::Bytes;
use http::Response;

/// An answer, and the work that the component does once the answer is out.
///
/// WASI 0.2 lets a component go on after its response is set: `spin up` and SpinKube run it to its end, other platforms
/// do not say. So nothing that was promised in the answer may rest on that work.
pub struct Reply<'a> {
    /// The answer.
    pub answer: Response<Bytes>,
    /// What follows it.
    pub then: Option<Pin<Box<dyn Future<Output = ()> + 'a>>>,
}

impl<'a> Reply<'a> {
    /// An answer that work follows.
    pub fn then(answer: Response<Bytes>, work: impl Future<Output = ()> + 'a) -> Self {
        Self { answer, then: Some(Box::pin(work)) }
    }

    /// Does what follows the answer, as the platform does once the answer is out, and returns the answer.
    pub async fn finish(self) -> Response<Bytes> {
        if let Some(work) = self.then {
            work.await;
        }
        self.answer
    }
}

impl From<Response<Bytes>> for Reply<'_> {
    fn from(answer: Response<Bytes>) -> Self {
        Self { answer, then: None }
    }
}

impl std::fmt::Debug for Reply<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply").field("status", &self.answer.status()).finish_non_exhaustive()
    }
}
