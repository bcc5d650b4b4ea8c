//! The result of an HTTP entry point: the answer to one request, and the work that follows the answer.

use std::pin::Pin;

use bytes::Bytes;
use http::Response;

/// An answer, and the work that the component does after the answer was sent.
///
/// WASI 0.2 lets a component continue after it has set its response. `spin up` and SpinKube run the component
/// to its end. Other platforms do not document whether they do this, so no promise of the answer may depend
/// on that work.
pub struct Reply<'a> {
    /// The answer.
    pub answer: Response<Bytes>,
    /// The work that follows the answer.
    pub then: Option<Pin<Box<dyn Future<Output = ()> + 'a>>>,
}

impl<'a> Reply<'a> {
    /// An answer, and the work that follows it.
    pub fn then(answer: Response<Bytes>, work: impl Future<Output = ()> + 'a) -> Self {
        Self { answer, then: Some(Box::pin(work)) }
    }

    /// Does the work that follows the answer, and returns the answer. This method is for tests: a real
    /// platform sends the answer first, and then does the work.
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
