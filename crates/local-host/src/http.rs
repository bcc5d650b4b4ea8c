//! The HTTP trigger: each request gets a new instance of a component.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{WasiBody, WasiHttpCtxView, WasiHttpView as _};

use crate::engine::{explain, store};
use crate::routes::{self, Route};
use crate::state::{Component, State};
use crate::{meter, output};

/// The beginning of the paths to which the host itself responds, as Spin does.
const WELL_KNOWN: &str = "/.well-known/spin/";

/// A component that responds to requests.
pub(crate) struct Handler {
    pub(crate) component: Arc<Component>,
    pub(crate) pre: ProxyPre<State>,
    pub(crate) description: String,
}

/// The routes of the application, each with its handler.
pub(crate) type Site = Vec<(Route, Handler)>;

pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("--listen {address}: cannot listen there; choose another address"))
}

/// Serves requests until the process ends.
pub(crate) async fn serve(listener: TcpListener, site: Arc<Site>) -> Infallible {
    loop {
        let (stream, client) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(e) => {
                output::error(&format!("cannot accept a connection: {e}"));
                // The process probably has no file descriptors left. The pause avoids a busy loop.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        // Like Spin's listener, this listener does not set TCP_NODELAY. If the host sends a response in two
        // pieces, the operating system keeps the second piece until the client has acknowledged the first
        // piece. The acknowledgement can come up to 40 ms late.
        let site = site.clone();
        tokio::spawn(async move {
            let service = hyper::service::service_fn(|request| {
                let site = site.clone();
                async move { Ok::<_, Infallible>(respond(&site, request, client).await) }
            });
            // This code ignores the error, because the error ends only this connection. Usually, the client
            // has disconnected.
            _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn respond(
    site: &Site,
    mut request: Request<Incoming>,
    client: SocketAddr,
) -> Response<HyperOutgoingBody> {
    let path = request.uri().path();
    if let Some(name) = path.strip_prefix(WELL_KNOWN) {
        return if name == "health" { plain(StatusCode::OK, "OK") } else { plain(StatusCode::NOT_FOUND, "") };
    }
    let Some((route, handler)) = routes::find(site, path) else {
        return plain(StatusCode::NOT_FOUND, "");
    };
    // Like Spin, this host refuses a request with a header that is not UTF-8, and calls no component (spin:
    // crates/trigger-http/src/headers.rs).
    if request.headers().values().any(|value| std::str::from_utf8(value.as_bytes()).is_err()) {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, "");
    }
    if add_headers(&mut request, route, client).is_none() {
        return plain(StatusCode::BAD_REQUEST, "");
    }
    handler.call(request).await.unwrap_or_else(|e| {
        // As in Spin, the response is empty, because the caller must not learn about internal errors.
        output::error(&format!("[{}] request failed: {e:#}", handler.component.id));
        plain(StatusCode::INTERNAL_SERVER_ERROR, "")
    })
}

fn plain(status: StatusCode, text: &'static str) -> Response<HyperOutgoingBody> {
    let body = Full::from(text).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

/// Adds the headers that Spin adds (spin: crates/trigger-http/src/headers.rs). Returns `None` if the request
/// names no host, or if a value is no valid header value.
fn add_headers<B>(request: &mut Request<B>, route: &Route, client: SocketAddr) -> Option<()> {
    let uri = request.uri();
    let host = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => request.headers().get(HOST)?.to_str().ok()?,
    };
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let added = [
        ("spin-path-info", route.path_info(uri.path()).to_owned()),
        ("spin-full-url", format!("http://{host}{target}")),
        ("spin-matched-route", route.pattern.clone()),
        ("spin-base-path", "/".to_owned()),
        ("spin-raw-component-route", route.pattern.clone()),
        ("spin-component-route", route.prefix().to_owned()),
        ("spin-client-addr", client.to_string()),
    ];
    for (name, value) in added {
        request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::try_from(value).ok()?);
    }
    Some(())
}

/// Sends the request of one component to another component, without the network. Spin's name for this feature
/// is *local service chaining* (spin: crates/trigger-http/src/outbound_http.rs).
pub(crate) async fn call_component(
    site: &Site,
    component: &str,
    mut request: Request<WasiBody>,
) -> Result<Response<HyperOutgoingBody>> {
    let handler = site.iter().map(|(_, handler)| handler).find(|handler| *handler.component.id == *component);
    let handler = handler.with_context(|| {
        format!("no HTTP trigger names the component {component:?}; correct the host in the URL")
    })?;
    let client = SocketAddr::from(([0, 0, 0, 0], 0));
    add_headers(&mut request, &Route::new("/..."), client).context("the request names no host")?;
    handler.call(request).await
}

impl Handler {
    async fn call<B>(&self, request: Request<B>) -> Result<Response<HyperOutgoingBody>>
    where
        B: hyper::body::Body<Data = hyper::body::Bytes> + Send + 'static,
        B::Error: Into<wasmtime_wasi_http::Error>,
    {
        let mut store = store(self.pre.engine(), &self.component);
        let (sender, receiver) = oneshot::channel();
        let mut view: WasiHttpCtxView<'_> = store.data_mut().http();
        let request = view.new_incoming_request(Scheme::Http, request).map_err(explain)?;
        let outparam = view.new_response_outparam(sender).map_err(explain)?;
        let pre = self.pre.clone();
        // The guest (the new instance) runs in a separate task, because a guest can continue to work after it
        // has begun its response. The task also continues if the client disconnects.
        let task = tokio::spawn(async move {
            let proxy = pre.instantiate_async(&mut store).await?;
            let outcome = proxy.wasi_http_incoming_handler().call_handle(&mut store, request, outparam).await;
            meter::report(&store);
            outcome
        });
        match receiver.await {
            Ok(Ok(response)) => {
                let id = self.component.id.clone();
                tokio::spawn(async move {
                    if let Err(e) = finish(task.await) {
                        output::error(&format!("[{id}] failed after its response had begun: {e:#}"));
                    }
                });
                Ok(response)
            }
            Ok(Err(code)) => Err(anyhow!("the guest returned an error: {code:?}")),
            Err(_) => {
                finish(task.await)?;
                Err(anyhow!("the guest returned without a response"))
            }
        }
    }
}

fn finish(outcome: Result<wasmtime::Result<()>, tokio::task::JoinError>) -> Result<()> {
    outcome.context("the host panicked; please report this")?.map_err(explain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_gets_the_headers_of_spin() {
        let mut request =
            Request::get("/a/b?c=d").header("host", "bot.local").header("spin-full-url", "forged");
        let request = request.headers_mut().map(|_| ()).and(Some(request)).unwrap();
        let mut request = request.body(()).unwrap();
        let client = "127.0.0.1:8777".parse().unwrap();
        add_headers(&mut request, &Route::new("/a/..."), client).unwrap();
        for (name, expected) in [
            ("spin-path-info", "/b"),
            ("spin-full-url", "http://bot.local/a/b?c=d"),
            ("spin-matched-route", "/a/..."),
            ("spin-component-route", "/a"),
            ("spin-client-addr", "127.0.0.1:8777"),
        ] {
            let values: Vec<_> = request.headers().get_all(name).iter().collect();
            assert_eq!(values, [expected], "{name}");
        }
        assert!(add_headers(&mut Request::new(()), &Route::new("/"), client).is_none());
    }
}
