//! Sends requests, and measures how long each request takes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::header::HOST;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

/// The time limit of a request. A request that starts a run (one execution of the poller) can take 26 s.
const REQUEST_LIMIT: Duration = Duration::from_secs(60);

/// The result of [`load`].
#[derive(Debug)]
pub struct Outcome {
    /// The time from the first request to the last response.
    pub elapsed: Duration,
    /// The latency of each request, in ascending order.
    pub latencies: Vec<Duration>,
}

impl Outcome {
    /// The number of responses per second.
    pub fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }
}

/// Sends all requests to `url` (`http://address:port`) over `connections` connections, which stay open. All
/// connections take their requests from the same list. When a response arrives on a connection, this
/// connection takes the next request. Returns an error if a response has an HTTP status other than
/// `expected`.
pub fn load(
    url: &str,
    connections: usize,
    requests: Vec<Request<Bytes>>,
    expected: u16,
) -> anyhow::Result<Outcome> {
    let requests = Arc::new(requests);
    let next = Arc::new(AtomicUsize::new(0));
    runtime().block_on(async {
        let mut clients = Vec::new();
        for _ in 0..connections {
            clients.push(Client::connect(url).await?);
        }
        let start = Instant::now();
        let tasks: Vec<_> = clients
            .into_iter()
            .map(|mut client| {
                let (requests, next) = (Arc::clone(&requests), Arc::clone(&next));
                tokio::spawn(async move {
                    let mut latencies = Vec::new();
                    while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let sent = Instant::now();
                        client.send(request.clone(), expected).await?;
                        latencies.push(sent.elapsed());
                    }
                    anyhow::Ok(latencies)
                })
            })
            .collect();
        let mut latencies = Vec::new();
        for task in tasks {
            latencies.extend(task.await??);
        }
        let elapsed = start.elapsed();
        latencies.sort_unstable();
        Ok(Outcome { elapsed, latencies })
    })
}

/// Sends one request, and returns the body of the response.
pub fn send(url: &str, request: Request<Bytes>, expected: u16) -> anyhow::Result<Bytes> {
    runtime().block_on(async { Client::connect(url).await?.send(request, expected).await })
}

struct Client {
    authority: String,
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    async fn connect(url: &str) -> anyhow::Result<Self> {
        let authority = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let stream =
            TcpStream::connect(&authority).await.with_context(|| format!("cannot connect to {url}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { authority, sender })
    }

    async fn send(&mut self, request: Request<Bytes>, expected: u16) -> anyhow::Result<Bytes> {
        let mut request = request.map(Full::new);
        request.headers_mut().insert(HOST, self.authority.parse()?);
        let exchange = async {
            self.sender.ready().await?;
            let (head, body) = self.sender.send_request(request).await?.into_parts();
            Ok::<_, hyper::Error>((head.status, body.collect().await?.to_bytes()))
        };
        let (status, body) = tokio::time::timeout(REQUEST_LIMIT, exchange)
            .await
            .context("the response did not come in time")??;
        ensure!(
            status == StatusCode::from_u16(expected)?,
            "status: expected {expected}, found {status}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok(body)
    }
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap())
}
