//! A blocking HTTP client. The client returns a response after it has read the whole body.

use std::convert::Infallible;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use platform::{BodyProblem, TransportError};

use crate::runtime::runtime;

/// The body of a request.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The time limit of one request. The bot, the poller and the storage services respond in less time. If a
/// request takes longer, a server hangs.
const PATIENCE: Duration = Duration::from_secs(45);

/// A response with its whole body.
#[derive(Debug, Clone)]
pub struct WholeResponse {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl WholeResponse {
    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("expected a JSON body ({error}), found {}", self.describe()))
    }

    /// The `code` of an error body in the Connector's form: `{"error": {"code": …, "message": …}}`; empty if
    /// the body has another form.
    pub fn error_code(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["error"]["code"].as_str().unwrap_or_default().into()
    }

    /// A header's text; empty if the header is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Formats the whole response for a failure message.
    pub fn describe(&self) -> String {
        format!("{} {:?} {}", self.status, self.headers, String::from_utf8_lossy(&self.body))
    }

    /// Returns the response, or fails the test if the response has another HTTP status.
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "expected status {status}, found {}", self.describe());
        self
    }

    /// Returns the response if it is an error in the Connector's form (JSON, see [`Self::error_code`]) with
    /// this HTTP status, with this code, and with a message. Otherwise fails the test.
    #[track_caller]
    pub fn expect_error(self, status: u16, code: &str) -> Self {
        let response = self.expect_status(status);
        assert_eq!(response.error_code(), code, "expected code {code}, found {}", response.describe());
        let message = response.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert!(!message.is_empty(), "expected a message for a person, found {}", response.describe());
        assert_eq!(response.header("content-type"), "application/json", "{}", response.describe());
        response
    }
}

/// Makes a body with a declared length.
pub fn whole(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).boxed_unsync()
}

/// Makes a body without a declared length. The client sends the body in chunks of 16 KiB.
pub fn chunked(body: impl Into<Bytes>) -> Body {
    let body = body.into();
    let chunks =
        (0..body.len()).step_by(16 * 1024).map(move |at| body.slice(at..body.len().min(at + 16 * 1024)));
    let frames: Vec<Result<Frame<Bytes>, Infallible>> = chunks.map(|chunk| Ok(Frame::data(chunk))).collect();
    BodyExt::boxed_unsync(StreamBody::new(futures_util::stream::iter(frames)))
}

/// Sends a request and waits for the response. Fails the test if no whole response comes.
#[track_caller]
pub fn send(request: http::Request<Body>) -> WholeResponse {
    let what = format!("{} {}", request.method(), request.uri());
    match try_send(request) {
        Ok(response) => response,
        Err(error) => panic!("no response to {what}: {error}"),
    }
}

/// Sends a request and returns the response. If no whole response comes, the variant of the error shows
/// whether the server has perhaps received the request ([`TransportError::may_have_arrived`]).
pub fn try_send(request: http::Request<Body>) -> Result<WholeResponse, TransportError> {
    runtime().block_on(exchange(request))
}

pub(crate) async fn exchange(request: http::Request<Body>) -> Result<WholeResponse, TransportError> {
    let work = async {
        let response = client().request(request).await.map_err(|error| {
            let text = format!("{error:?}");
            if error.is_connect() {
                TransportError::NotSent(text)
            } else {
                TransportError::ResponseLost(text)
            }
        })?;
        let (head, body) = response.into_parts();
        match body.collect().await {
            Ok(body) => Ok(WholeResponse {
                status: head.status.as_u16(),
                headers: head.headers,
                body: body.to_bytes(),
            }),
            Err(_) => Err(TransportError::body_lost(head.status, head.headers, BodyProblem::Broken)),
        }
    };
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => Err(TransportError::ResponseLost(format!("nothing came for {} s", PATIENCE.as_secs()))),
    }
}

fn client() -> &'static Client<HttpConnector, Body> {
    static CLIENT: OnceLock<Client<HttpConnector, Body>> = OnceLock::new();
    CLIENT.get_or_init(|| {
        // Each request gets a new connection. If the client kept a connection open, the server could stop,
        // and the next request on this connection would fail.
        Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http()
    })
}
