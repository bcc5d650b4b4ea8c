//! Sends the HTTP requests of one component. The host first checks the component's `allowed_outbound_hosts`.
//! Then the request goes to another component of the application, or to a server.
//!
//! As in Spin (spin: crates/factor-outbound-http/src/wasi.rs), requests over plain HTTP reuse connections.
//! The whole application shares these connections, which do not set TCP_NODELAY. The *guest* (the running
//! instance of a component) can set time-outs. If the guest sets no time-out, the default is 10 minutes. The
//! host does not follow redirects. Unlike Spin, requests over HTTPS use `default_send_request` of wasmtime,
//! which opens a connection for each request.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks, default_send_request};

use crate::output;
use allowed_hosts::{AllowedHosts, Target, chained_component};

/// The default time-out of each phase of a request. The phases are the connect, the wait for the first byte
/// of the response, and each wait for the next bytes. Spin has the same default.
const PHASE: Duration = Duration::from_secs(600);

/// The state that all components of the application share: the open connections, and a function that calls
/// another component. The host sets this function after it has loaded all components.
#[derive(Default)]
pub(crate) struct Shared {
    client: OnceLock<Client<Connector, WasiBody>>,
    components: OnceLock<Box<CallComponent>>,
}

/// Calls the component with this id. Returns `None` if the host is ending and has already dropped the routes.
pub(crate) type CallComponent = dyn Fn(String, Request<WasiBody>) -> Option<Called> + Send + Sync;

/// A running call to a component: the future that returns the component's response.
pub(crate) type Called = Pin<Box<dyn Future<Output = anyhow::Result<Response<WasiBody>>> + Send>>;

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Shared {
    /// Sets the function by which components call each other. The host calls this method only once.
    pub(crate) fn set_components(&self, call: Box<CallComponent>) {
        assert!(
            self.components.set(call).is_ok(),
            "the host sets this function only once, after it has loaded all components"
        );
    }

    fn client(&self) -> &Client<Connector, WasiBody> {
        self.client.get_or_init(|| Client::builder(TokioExecutor::new()).build(Connector))
    }
}

/// Sends the HTTP requests of one guest, and counts them. Each guest gets a clone of its component's
/// `Outbound`. A clone is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Outbound {
    rules: Arc<Rules>,
    calls: u64,
}

#[derive(Debug)]
struct Rules {
    component: Arc<str>,
    manifest: PathBuf,
    /// The entries of `allowed_outbound_hosts`, or the reason why an entry is invalid. If an entry is
    /// invalid, the host denies all requests.
    allowed: Result<AllowedHosts, String>,
    shared: Arc<Shared>,
}

impl Outbound {
    pub(crate) fn new(
        component: Arc<str>,
        manifest: PathBuf,
        allowed: Result<AllowedHosts, String>,
        shared: Arc<Shared>,
    ) -> Self {
        Self { rules: Arc::new(Rules { component, manifest, allowed, shared }), calls: 0 }
    }

    /// How many requests this guest has made.
    pub(crate) fn calls(&self) -> u64 {
        self.calls
    }

    /// Checks whether `allowed_outbound_hosts` allows a request to `uri`. The host prints the reason for a
    /// refusal on stderr. The guest learns only that the host denied the request. The host never prints the
    /// path and the query, because they can hold secrets.
    fn check(&self, uri: &Uri) -> Result<(), Error> {
        let Rules { component, manifest, allowed, .. } = &*self.rules;
        let target =
            Target::new(uri.scheme_str().unwrap_or("https"), uri.host().unwrap_or(""), uri.port_u16())
                .map_err(|_| Error::HttpRequestUriInvalid)?;
        let advice = match allowed {
            Ok(hosts) if hosts.allows(&target) => return Ok(()),
            Ok(_) => format!("to allow it, add {:?} to", target.to_string()),
            Err(why) => format!("no request is allowed while an entry is malformed ({why}); correct"),
        };
        output::error(&format!(
            "[{component}] outbound request to {target} denied; {advice} `allowed_outbound_hosts` of \
             [component.{component}] in {}",
            manifest.display()
        ));
        Err(Error::HttpRequestDenied)
    }
}

type Processing = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Outcome = Result<(Response<WasiBody>, Processing), Error>;

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _processing: Processing,
    ) -> Box<dyn Future<Output = Outcome> + Send> {
        self.calls += 1;
        let verdict = self.check(request.uri());
        let shared = Arc::clone(&self.rules.shared);
        Box::new(async move {
            verdict?;
            if let Some(component) = chained_component(request.uri()) {
                return chain(&shared, component.to_owned(), request).await;
            }
            if request.uri().scheme_str() == Some("http") {
                return send(&shared, request, &options.unwrap_or_default()).await;
            }
            let limit = https_head_limit(&options.unwrap_or_default());
            let sending = tokio::time::timeout(limit, default_send_request(request, options));
            let (response, connection) = sending.await.map_err(|_| Error::ConnectionTimeout)??;
            Ok((response.map(BodyExt::boxed_unsync), Box::new(connection) as Processing))
        })
    }
}

/// Returns the longest time from the beginning of an HTTPS request until the head of the response.
/// `default_send_request` has no time-out for the TLS handshake. Without the limit of this function, the
/// guest would wait for ever if the server sent nothing in the TLS handshake. The connect time-out counts
/// twice, because `default_send_request` applies this time-out to the TCP connection, and again to the HTTP
/// handshake.
fn https_head_limit(options: &RequestOptions) -> Duration {
    let connect = options.connect_timeout.unwrap_or(PHASE);
    let first_byte = options.first_byte_timeout.unwrap_or(PHASE);
    connect.saturating_mul(2).saturating_add(first_byte)
}

/// Calls another component. As in Spin, there are no time-outs. The called guest runs in its own task. So the
/// called guest can continue after its response, and even after the calling guest has ended.
async fn chain(shared: &Shared, component: String, request: Request<WasiBody>) -> Outcome {
    let called = shared.components.get().and_then(|call| call(component.clone(), request));
    let no_components =
        || Error::InternalError(Some("components are not loaded, or the host is ending".to_owned()));
    let response = called.ok_or_else(no_components)?.await.map_err(|error| {
        output::error(&format!("[{component}] failed on a request of another component: {error:#}"));
        Error::InternalError(None)
    })?;
    Ok((response, no_processing()))
}

async fn send(shared: &Shared, request: Request<WasiBody>, options: &RequestOptions) -> Outcome {
    let connect = options.connect_timeout.unwrap_or(PHASE);
    let between_bytes = options.between_bytes_timeout.unwrap_or(PHASE);
    let sending = CONNECT_TIMEOUT.scope(connect, shared.client().request(request));
    let response = tokio::time::timeout(options.first_byte_timeout.unwrap_or(PHASE), sending).await;
    let response = response.map_err(|_| Error::ConnectionReadTimeout)?.map_err(|error| {
        // If `Connector` opened no connection, `NotConnected` is one of the causes of `error`.
        let mut source = std::error::Error::source(&error);
        while let Some(inner) = source {
            if let Some(NotConnected(kind)) = inner.downcast_ref() {
                return match kind {
                    std::io::ErrorKind::TimedOut => Error::ConnectionTimeout,
                    _ => Error::ConnectionRefused,
                };
            }
            source = inner.source();
        }
        Error::ConnectionTerminated
    })?;
    let body = |body: hyper::body::Incoming| Timed { body, limit: between_bytes, sleep: None }.boxed_unsync();
    Ok((response.map(body), no_processing()))
}

fn no_processing() -> Processing {
    Box::new(async { Ok(()) })
}

tokio::task_local! {
    /// The connect time-out of the request that the current task sends. [`Connector`] reads this task-local
    /// value, because `Client` cannot pass a time-out to its connector. Spin does the same.
    static CONNECT_TIMEOUT: Duration;
}

/// The error that [`Connector`] returns if it opens no connection.
#[derive(Debug)]
struct NotConnected(std::io::ErrorKind);

impl std::fmt::Display for NotConnected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no connection: {}", self.0)
    }
}

impl std::error::Error for NotConnected {}

/// Opens TCP connections. Like Spin, this type does not set TCP_NODELAY.
#[derive(Debug, Clone)]
struct Connector;

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Http1Stream>;
    type Error = NotConnected;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let limit = CONNECT_TIMEOUT.try_with(|limit| *limit).unwrap_or(PHASE);
        Box::pin(async move {
            let address = format!("{}:{}", uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(80));
            let stream = tokio::time::timeout(limit, TcpStream::connect(address)).await;
            let stream = stream
                .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
                .map_err(|error| NotConnected(error.kind()))?;
            Ok(TokioIo::new(Http1Stream(stream)))
        })
    }
}

/// A connection over HTTP/1.
#[derive(Debug)]
struct Http1Stream(TcpStream);

impl Connection for Http1Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Http1Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Http1Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// The body of a response. A wait for the next bytes fails if the wait is longer than `limit`.
struct Timed {
    body: hyper::body::Incoming,
    limit: Duration,
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl hyper::body::Body for Timed {
    type Data = hyper::body::Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.sleep = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Error::Hyper)));
        }
        let limit = self.limit;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        sleep.as_mut().poll(context).map(|()| Some(Err(Error::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
