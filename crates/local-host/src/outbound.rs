//! Outbound HTTP of one component: the policy first, then another component of the application, or a server.
//!
//! As Spin does it (crates/factor-outbound-http/src/wasi.rs): plain HTTP goes over connections that are kept for the whole
//! application, without TCP_NODELAY; the guest's time-outs are honoured (10 minutes each where it sets none); no redirect is
//! followed. Unlike Spin, HTTPS goes by wasmtime's own sender, which opens a connection for each request.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};
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

use crate::allowed_hosts::{AllowedHosts, Target, chained_component};
use crate::http::{self, Site};
use crate::output;

/// What the sender allows each phase of a request unless the guest says otherwise; Spin too.
const PHASE: Duration = Duration::from_secs(600);

/// What all components of the application share: the connections that are kept, and the components themselves, once all
/// are loaded.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    client: OnceLock<Client<Connector, WasiBody>>,
    site: OnceLock<Weak<Site>>,
}

impl Shared {
    /// From now on components can call each other.
    pub(crate) fn set_site(&self, site: &Arc<Site>) {
        _ = self.site.set(Arc::downgrade(site));
    }

    fn client(&self) -> &Client<Connector, WasiBody> {
        self.client.get_or_init(|| Client::builder(TokioExecutor::new()).build(Connector))
    }
}

/// Cheap to clone: every instance has one.
#[derive(Clone, Debug)]
pub(crate) struct Outbound {
    rules: Arc<Rules>,
    calls: u64,
}

#[derive(Debug)]
struct Rules {
    component: Arc<str>,
    manifest: PathBuf,
    /// Or why they could not be read, in which case nothing is allowed.
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

    /// How many requests this instance has made.
    pub(crate) fn calls(&self) -> u64 {
        self.calls
    }

    /// Says no on stderr: the guest only learns that it was denied. Never the path or the query, which hold secrets.
    fn check(&self, uri: &Uri) -> Result<(), Error> {
        let Rules { component, manifest, allowed, .. } = &*self.rules;
        let target =
            Target::new(uri.scheme_str().unwrap_or("https"), uri.host().unwrap_or(""), uri.port_u16())
                .map_err(|_| Error::HttpRequestUriInvalid)?;
        let advice = match allowed {
            Ok(hosts) if hosts.allows(&target) => return Ok(()),
            Ok(_) => format!("to allow it, add {:?} to", target.to_string()),
            Err(why) => format!("nothing is allowed while an entry is bad ({why}): correct"),
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
type Answer = Result<(Response<WasiBody>, Processing), Error>;

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _processing: Processing,
    ) -> Box<dyn Future<Output = Answer> + Send> {
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
            let limit = limit(&options.unwrap_or_default());
            let sending = tokio::time::timeout(limit, default_send_request(request, options));
            let (response, connection) = sending.await.map_err(|_| Error::ConnectionTimeout)??;
            Ok((response.map(BodyExt::boxed_unsync), Box::new(connection) as Processing))
        })
    }
}

/// wasmtime's sender times each phase but the TLS handshake; this bounds the sum, so that a silent server cannot hold a
/// guest.
fn limit(options: &RequestOptions) -> Duration {
    let connect = options.connect_timeout.unwrap_or(PHASE);
    let first_byte = options.first_byte_timeout.unwrap_or(PHASE);
    connect.saturating_mul(2).saturating_add(first_byte)
}

/// Calls another component. As in Spin there are no time-outs, and the call ends with the instance that made it; what the
/// called instance does after its answer goes on.
async fn chain(shared: &Shared, component: String, request: Request<WasiBody>) -> Answer {
    let site = shared.site.get().and_then(Weak::upgrade);
    let unknown = || Error::InternalError(Some("components are not loaded yet".to_owned()));
    let site = site.ok_or_else(unknown)?;
    let response = http::call_component(&site, &component, request).await.map_err(|error| {
        output::error(&format!("[{component}] request of another component failed: {error:#}"));
        Error::InternalError(None)
    })?;
    Ok((response, nothing_left()))
}

async fn send(shared: &Shared, request: Request<WasiBody>, options: &RequestOptions) -> Answer {
    let connect = options.connect_timeout.unwrap_or(PHASE);
    let between_bytes = options.between_bytes_timeout.unwrap_or(PHASE);
    let sending = CONNECT_TIMEOUT.scope(connect, shared.client().request(request));
    let response = tokio::time::timeout(options.first_byte_timeout.unwrap_or(PHASE), sending).await;
    let response = response.map_err(|_| Error::ConnectionReadTimeout)?.map_err(|error| {
        // What the connector said, if it was the connector.
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
    Ok((response.map(body), nothing_left()))
}

fn nothing_left() -> Processing {
    Box::new(async { Ok(()) })
}

tokio::task_local! {
    /// For the connection that a request may have to open: the client has no other way to hand it on (nor has Spin's).
    static CONNECT_TIMEOUT: Duration;
}

/// No connection was made.
#[derive(Debug)]
struct NotConnected(std::io::ErrorKind);

impl std::fmt::Display for NotConnected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no connection: {}", self.0)
    }
}

impl std::error::Error for NotConnected {}

/// Opens connections, without TCP_NODELAY as Spin does.
#[derive(Debug, Clone)]
struct Connector;

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Connected1>;
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
            Ok(TokioIo::new(Connected1(stream)))
        })
    }
}

/// A connection over HTTP/1.
#[derive(Debug)]
struct Connected1(TcpStream);

impl Connection for Connected1 {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Connected1 {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connected1 {
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

/// An answer's body, each part of which has to come in time.
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
