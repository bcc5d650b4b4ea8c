//! A storage service that fails on purpose. It is a proxy in front of one service of Azurite, the storage
//! emulator. The queue service and the table service each have their own proxy. In this file, a *call* is a
//! call to a storage service, and a *host* is a Spin host that runs the components.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};

use crate::loopback_server::LoopbackServer;
use crate::runtime::runtime;
use crate::web::{self, WholeResponse};

/// The way in which the proxy makes a call fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The proxy responds with this status, and does not pass the call on.
    Status(u16),
    /// The proxy cuts the connection, and does not pass the call on.
    CutBefore,
    /// The proxy passes the call on, gets Azurite's response, and then cuts the connection.
    CutAfter,
}

/// How the proxy treats one call.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plan {
    pub fault: Option<Fault>,
    /// How long the proxy waits before it passes the call on or makes the call fail.
    pub delay: Duration,
}

/// A call with Azurite's response, just before the proxy responds or cuts the connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchange<'a> {
    /// The call's number; the first is 0.
    pub(crate) number: usize,
    /// The number of the host that called. The proxy has a separate address for each host.
    pub(crate) caller: usize,
    /// When the call arrived at the proxy.
    pub(crate) asked: Instant,
    pub(crate) request: &'a Request<Bytes>,
    /// Azurite's response; `None` if the call was not passed on.
    pub(crate) response: Option<&'a WholeResponse>,
    pub(crate) fault: Option<Fault>,
}

impl Exchange<'_> {
    /// Whether Azurite responded to the call, but the caller gets no response.
    pub(crate) fn is_lost(&self) -> bool {
        self.fault == Some(Fault::CutAfter)
    }
}

/// The proxy, with one address for each host. The proxy stops when this value is dropped.
#[derive(Debug)]
pub(crate) struct FaultyService {
    servers: [LoopbackServer; HOSTS],
    counts: Arc<Counts>,
}

/// The number of addresses of the proxy. The address shows which host calls.
pub(crate) const HOSTS: usize = 2;

#[derive(Debug, Default)]
struct Counts {
    calls: AtomicUsize,
    faults: AtomicUsize,
}

impl FaultyService {
    /// Starts a proxy that passes calls on to the service at `behind`, an `address:port`. `plan` gets a
    /// call's number and the call itself, and decides whether the call is delayed or fails. `note` gets each
    /// call just before the proxy responds or cuts the connection.
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
            // A separate task carries out the call. So the call is finished even if a test kills the calling
            // host.
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

    /// The address of the proxy for the first host: `127.0.0.1:<port>`.
    pub(crate) fn authority(&self) -> &str {
        self.authorities()[0]
    }

    /// The addresses of the proxy, one for each host.
    pub(crate) fn authorities(&self) -> [&str; HOSTS] {
        self.servers.each_ref().map(LoopbackServer::authority)
    }

    /// The number of calls that arrived, and the number of these calls with a [`Fault`].
    pub(crate) fn calls_and_faults(&self) -> (usize, usize) {
        (self.counts.calls.load(Ordering::SeqCst), self.counts.faults.load(Ordering::SeqCst))
    }
}

/// Headers that the proxy does not pass on, because each of these headers belongs to one connection.
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
    response.unwrap_or_else(|error| panic!("Azurite does not respond: {error}"))
}

fn passed_back(whole: &WholeResponse) -> Response<Bytes> {
    let mut response = Response::new(whole.body.clone());
    *response.status_mut() = http::StatusCode::from_u16(whole.status).unwrap();
    for (name, value) in &whole.headers {
        // hyper, the HTTP library of the proxy, sets the length itself.
        if name != "content-length" && !OF_A_CONNECTION.contains(&name.as_str()) {
            response.headers_mut().append(name, value.clone());
        }
    }
    response
}
