//! An HTTP server for a fake service. Each fake service starts its own server. The server listens on
//! loopback, and calls a function that makes the responses.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::runtime::runtime;

/// Makes a JSON response.
pub fn respond(status: u16, body: &Value) -> http::Response<Bytes> {
    let response = http::Response::builder().status(status).header("content-type", "application/json");
    response.body(body.to_string().into()).expect("a well-formed response")
}

/// A server on a free loopback port. When this value is dropped, the server stops, and closes its
/// connections.
#[derive(Debug)]
pub struct LoopbackServer {
    authority: String,
    accepting: JoinHandle<()>,
}

impl LoopbackServer {
    /// Starts a server. The server calls the function `response` with each request and its whole body. If the
    /// function returns `None`, the server closes the connection without a response.
    pub fn start<F, B>(response: impl Fn(http::Request<Bytes>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Option<http::Response<B>>> + Send + 'static,
        B: Into<ResponseBody> + 'static,
    {
        let listener = runtime().block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        Self { authority, accepting: runtime().spawn(accept(listener, Arc::new(response))) }
    }

    /// The address of the server: `127.0.0.1:<port>`.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

impl Drop for LoopbackServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The body of a response: bytes, or a stream of bytes.
#[derive(Debug)]
pub struct ResponseBody(UnsyncBoxBody<Bytes, BrokenConnection>);

impl From<Bytes> for ResponseBody {
    fn from(bytes: Bytes) -> Self {
        Self(Full::new(bytes).map_err(|never| match never {}).boxed_unsync())
    }
}

impl ResponseBody {
    /// Makes a body from `stream`. The server sends the bytes as `stream` yields them, without the header
    /// `Content-Length`. An error of `stream` closes the connection. The server drops `stream` when the
    /// client disconnects.
    pub fn stream(stream: impl Stream<Item = Result<Bytes, BrokenConnection>> + Send + 'static) -> Self {
        Self(BodyExt::boxed_unsync(StreamBody::new(stream.map_ok(Frame::data))))
    }
}

/// The error that makes hyper (the HTTP library) close the connection, before the response or in the middle
/// of the response.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut on purpose, or the request broke off")]
pub struct BrokenConnection;

async fn accept<F, B>(
    listener: TcpListener,
    response: Arc<impl Fn(http::Request<Bytes>) -> F + Send + Sync + 'static>,
) where
    F: Future<Output = Option<http::Response<B>>> + Send + 'static,
    B: Into<ResponseBody> + 'static,
{
    // This task owns the connections. So the connections close when the task ends.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, Arc::clone(&response)));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve<F, B>(
    stream: TcpStream,
    response: Arc<impl Fn(http::Request<Bytes>) -> F + Send + Sync + 'static>,
) where
    F: Future<Output = Option<http::Response<B>>> + Send + 'static,
    B: Into<ResponseBody> + 'static,
{
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let response = Arc::clone(&response);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map_err(|_| BrokenConnection)?.to_bytes();
            let response = response(http::Request::from_parts(head, body)).await.ok_or(BrokenConnection)?;
            Ok::<_, BrokenConnection>(response.map(|body| body.into().0))
        }
    });
    // An error means that the fake or the client has closed the connection, so this function ignores the
    // error.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
