//! Serves the code of the bot and the poller over HTTP, with one thread for each core. Each thread has its
//! own connections, and its own HTTP client for outbound calls. A request stays on one thread, because the
//! future that handles the request cannot move to another thread.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

use super::host::{NativeHost, Shared, pool};

pub(super) fn serve(address: SocketAddr, shared: Arc<Shared>, fresh_connections: bool) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    listener.set_nonblocking(true)?;
    println!("Serving http://{}", listener.local_addr()?);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = (0..threads)
        .map(|_| {
            let (listener, shared) = (listener.try_clone()?, Arc::clone(&shared));
            Ok(std::thread::spawn(move || accept(listener, &shared, fresh_connections)))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    for thread in threads {
        thread.join().expect("a thread of the server panicked")?;
    }
    Ok(())
}

fn accept(listener: TcpListener, shared: &Arc<Shared>, fresh_connections: bool) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let client = pool(fresh_connections);
    LocalSet::new().block_on(&runtime, async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let (shared, client) = (Arc::clone(shared), client.clone());
            tokio::task::spawn_local(async move {
                let service = service_fn(|request| {
                    let host = NativeHost::new(Arc::clone(&shared), client.clone());
                    async move { Ok::<_, Infallible>(response(&host, request).await) }
                });
                // If a caller disconnects, the error ends only the caller's connection. The code ignores the
                // error.
                _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    })
}

async fn response(host: &NativeHost, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    // If a caller disconnects before the end of the body, the body counts as empty. The driver always sends
    // whole bodies.
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let request = Request::from_parts(head, body);
    let reply = if request.uri().path() == "/internal/poll" {
        trigger_component::handle(host, request).await
    } else {
        bot_component::handle(host, request).await
    };
    // `reply.then` is the work after the response. For the bot, this work is the kick (the bot's call to the
    // poller). For the poller, this work is a run that a kick has started. Here, `reply.then` is empty: the
    // native build runs with the variable `kick=off`, so there are no kicks.
    reply.response.map(Full::new)
}
