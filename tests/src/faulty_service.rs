//! A storage service that fails on purpose: a proxy in front of one service of Azurite. The queue service has
//! one proxy, and the table service has another. In this file, a *call* is a call to a storage service, and a
//! *host* is a Spin host that runs the bot.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};

use crate::loopback_server::LoopbackServer;
use crate::runtime::runtime;
use crate::web::{self, WholeResponse};

/// The way in which one call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The proxy answers this status, and does not pass the call on.
    Status(u16),
    /// The proxy cuts the connection, and does not pass the call on.
    CutBefore,
    /// The proxy passes the call on, and cuts the connection instead of answering.
    CutAfter,
}

/// How the proxy treats one call.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plan {
    pub fault: Option<Fault>,
    /// How long the proxy waits before it passes the call on.
    pub delay: Duration,
}

/// A call, just before the proxy answers it or cuts the connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchange<'a> {
    /// The call's number; the first is 0.
    pub(crate) number: usize,
    /// The number of the host that called. Each host calls the proxy at its own address.
    pub(crate) caller: usize,
    /// When the call arrived at the proxy.
    pub(crate) asked: Instant,
    pub(crate) request: &'a Request<Bytes>,
    /// Azurite's response; `None` if the call was not passed on.
    pub(crate) response: Option<&'a WholeResponse>,
    pub(crate) fault: Option<Fault>,
}

impl Exchange<'_> {
    /// Whether Azurite carried out the call, but the caller gets no response.
    pub(crate) fn is_lost(&self) -> bool {
        self.fault == Some(Fault::CutAfter)
    }
}

/// The proxy, with an address for each host that calls the proxy. It stops when this value is dropped.
#[derive(Debug)]
pub(crate) struct FaultyService {
    servers: [LoopbackServer; HOSTS],
    counts: Arc<Counts>,
}

/// How many hosts the proxy can tell apart.
pub(crate) const HOSTS: usize = 2;

#[derive(Debug, Default)]
struct Counts {
    calls: AtomicUsize,
    faults: AtomicUsize,
}

impl FaultyService {
    /// Passes calls on to the service at `behind`, an `address:port`. `plan` gets the number of a call and
    /// the call, and decides whether the call is delayed or fails. `note` gets each call just before the
    /// proxy answers it or cuts the connection.
    pub(crate) fn start(
        behind: &str,
        plan: impl Fn(usize, &Request<Bytes>) -> Plan + Send + Sync + 'static,
        note: impl Fn(&Exchange<'_>) + Send + Sync + 'static,
    ) -> Self {
        let counts = Arc::new(Counts::default());
        let (counting, behind, note) = (Arc::clone(&counts), behind.to_owned(), Arc::new(note));
        let response = Arc::new(move |caller: usize, request: Request<Bytes>| {
            let number = counting.calls.fetch_add(1, Ordering::SeqCst);
            let plan = plan(number, &request);
            counting.faults.fetch_add(usize::from(plan.fault.is_some()), Ordering::SeqCst);
            let (behind, note) = (behind.clone(), Arc::clone(&note));
            // A separate task carries out the call, so the call is finished even if its caller is killed.
            let work = runtime().spawn(async move {
                let asked = Instant::now();
                tokio::time::sleep(plan.delay).await;
                let response = match plan.fault {
                    Some(Fault::Status(_) | Fault::CutBefore) => None,
                    Some(Fault::CutAfter) | None => Some(pass_on(&request, &behind).await),
                };
                let (fault, response) = (plan.fault, response.as_ref());
                note(&Exchange { number, caller, asked, request: &request, response, fault });
                match (fault, response) {
                    (Some(Fault::Status(status)), _) => {
                        Some(Response::builder().status(status).body(Bytes::new()).unwrap())
                    }
                    (None, Some(response)) => Some(passed_back(response)),
                    _ => None,
                }
            });
            async move { work.await.expect("the proxy does not panic") }
        });
        let servers = std::array::from_fn(|caller| {
            let response = Arc::clone(&response);
            LoopbackServer::start(move |request| response(caller, request))
        });
        Self { servers, counts }
    }

    /// `127.0.0.1:<port>`
    pub(crate) fn authority(&self) -> &str {
        self.authorities()[0]
    }

    /// An address for each host.
    pub(crate) fn authorities(&self) -> [&str; HOSTS] {
        self.servers.each_ref().map(LoopbackServer::authority)
    }

    /// The number of calls that arrived, and the number of calls that the proxy made fail.
    pub(crate) fn calls_and_faults(&self) -> (usize, usize) {
        (self.counts.calls.load(Ordering::SeqCst), self.counts.faults.load(Ordering::SeqCst))
    }
}

/// Headers that the proxy does not pass on, because they belong to one connection.
const OF_A_CONNECTION: [&str; 3] = ["transfer-encoding", "connection", "keep-alive"];

async fn pass_on(request: &Request<Bytes>, behind: &str) -> WholeResponse {
    let (mut head, body) = request.clone().into_parts();
    let target = head.uri.path_and_query().expect("a request has a target");
    head.uri = format!("http://{behind}{target}").parse().unwrap();
    head.headers.remove("host");
    for name in OF_A_CONNECTION {
        head.headers.remove(name);
    }
    let response = web::exchange(Request::from_parts(head, web::whole(body))).await;
    response.unwrap_or_else(|error| panic!("Azurite does not answer: {error}"))
}

fn passed_back(whole: &WholeResponse) -> Response<Bytes> {
    let mut response = Response::new(whole.body.clone());
    *response.status_mut() = http::StatusCode::from_u16(whole.status).unwrap();
    for (name, value) in &whole.headers {
        // The server sets the length itself.
        if name != "content-length" && !OF_A_CONNECTION.contains(&name.as_str()) {
            response.headers_mut().append(name, value.clone());
        }
    }
    response
}
