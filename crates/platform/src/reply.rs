//! The result of the function that serves an HTTP request. The result is the response, and the work that
//! follows the response.

use std::pin::Pin;

use bytes::Bytes;
use http::Response;

/// A response, and the work that the component does after the response was sent.
///
/// With WASI 0.2, a component can continue after it has set its response. `spin up` and SpinKube run the
/// component to its end. The documentation of other platforms does not say whether they do the same. So a
/// response must not promise anything that depends on this work.
pub struct Reply<'a> {
    /// The response.
    pub response: Response<Bytes>,
    /// The work that follows the response.
    pub then: Option<Pin<Box<dyn Future<Output = ()> + 'a>>>,
}

impl<'a> Reply<'a> {
    /// Makes the result from a response and from the work that follows the response.
    pub fn then(response: Response<Bytes>, work: impl Future<Output = ()> + 'a) -> Self {
        Self { response, then: Some(Box::pin(work)) }
    }

    /// Does the work that follows the response, and then returns the response. This method is for tests. On a
    /// real platform, the work begins after the response was sent.
    pub async fn finish(self) -> Response<Bytes> {
        if let Some(work) = self.then {
            work.await;
        }
        self.response
    }
}

impl From<Response<Bytes>> for Reply<'_> {
    fn from(response: Response<Bytes>) -> Self {
        Self { response, then: None }
    }
}

impl std::fmt::Debug for Reply<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply").field("status", &self.response.status()).finish_non_exhaustive()
    }
}
