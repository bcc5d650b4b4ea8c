//! A table service that fails on purpose. It is a proxy in front of the table service of Azurite, the storage
//! emulator. In this file, a *call* is a call to the table service. The proxy notes every call.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dev::azurite::ACCOUNT;
use http::{Method, Request};
use percent_encoding::percent_decode_str;

use crate::dice::Dice;
use crate::faulty_service::{Exchange, FaultyService, HOSTS};
pub use crate::faulty_service::{Fault, Plan};

/// The parts of a call. From these parts, a test decides whether the call fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call<'a> {
    pub method: &'a Method,
    /// The path below the account, percent-decoded. It is `Tables`, `$batch`, `name()` or
    /// `name(PartitionKey='p',RowKey='r')`.
    pub path: String,
    /// The query, percent-decoded.
    pub query: String,
    /// The body as the client sent it. The body of a `$batch` contains the operations.
    pub body: Cow<'a, str>,
}

impl<'a> Call<'a> {
    fn of(request: &'a Request<Bytes>) -> Self {
        let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let path = request.uri().path().trim_start_matches('/');
        let path = path.strip_prefix(ACCOUNT).map_or(path, |path| path.trim_start_matches('/'));
        Self {
            method: request.method(),
            path: decoded(path),
            query: decoded(request.uri().query().unwrap_or_default()),
            body: String::from_utf8_lossy(request.body()),
        }
    }

    /// The table that the path names; empty for `Tables` and `$batch`, because these paths name no table.
    pub fn table(&self) -> &str {
        match self.path.split('(').next().unwrap_or_default() {
            "Tables" | "$batch" => "",
            table => table,
        }
    }
}

/// A finished call.
#[derive(Debug, Clone)]
pub struct Note {
    /// When the call arrived at the proxy.
    pub asked: Instant,
    /// The time just before the proxy responded or cut the connection.
    pub at: Instant,
    /// The index of the Spin host that called. The first host has the index 0. The proxy has a separate
    /// address for each host.
    pub caller: usize,
    pub method: Method,
    /// See [`Call::path`].
    pub path: String,
    /// See [`Call::query`].
    pub query: String,
    /// See [`Call::body`]. Empty for a call that only reads.
    pub body: String,
    /// The status of Azurite's response, or the status of a [`Fault::Status`]. `None` after a
    /// [`Fault::CutBefore`].
    pub status: Option<u16>,
    /// Whether Azurite responded to the call, but the caller got no response.
    pub lost: bool,
}

impl Note {
    /// Formats the note for people. The time is shown in seconds after `begin`.
    pub fn line(&self, begin: Instant) -> String {
        let Self { caller, method, path, status, lost, .. } = self;
        let seconds = (self.at - begin).as_secs_f64();
        let lost = if *lost { ", lost" } else { "" };
        format!("{seconds:.3} s host {caller} {method} {path}: {status:?}{lost}")
    }

    /// Whether the call succeeded in Azurite, even if the caller got no response.
    pub fn is_done(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

type Rule = dyn Fn(&Call<'_>) -> Option<Fault> + Send + Sync;

/// The proxy. It stops when this value is dropped.
pub struct FaultyTables {
    service: FaultyService,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    rule: Mutex<Option<Arc<Rule>>>,
    /// The number of calls so far with each method and path.
    times: Mutex<HashMap<(Method, String), u64>>,
    notes: Mutex<Vec<Note>>,
}

impl fmt::Debug for FaultyTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyTables").field("service", &self.service).finish_non_exhaustive()
    }
}

impl FaultyTables {
    /// Starts a proxy that passes calls on to the table service at `behind`, an `address:port`. By default,
    /// no call fails. [`Self::fail`] makes calls fail.
    pub fn start(behind: &str) -> Self {
        Self::start_with(behind, |_, _| Plan::default())
    }

    /// Like [`Self::start`], but 10 % of the calls fail. The proxy responds with 503 to one half of these
    /// calls. For the other half, the proxy passes the call on to Azurite, and then cuts the connection.
    ///
    /// `dice` (repeatable random numbers) choose the calls that fail. The choice depends on the seed of the
    /// dice, on the method and path of the call, and on the number of earlier calls with the same method and
    /// path. Nothing else has an effect.
    pub fn start_with_dice(behind: &str, dice: Dice) -> Self {
        Self::start_with(behind, move |call, earlier_calls| {
            let fault = match dice.roll(("table", call.method.as_str(), &call.path, earlier_calls), 100) {
                0..5 => Some(Fault::Status(503)),
                5..10 => Some(Fault::CutAfter),
                _ => None,
            };
            Plan { fault, delay: Duration::ZERO }
        })
    }

    /// Like [`Self::start`], but `plan` decides whether a call is delayed or fails. `plan` gets the call, and
    /// the number of earlier calls with the same method and path.
    pub fn start_with(behind: &str, plan: impl Fn(&Call<'_>, u64) -> Plan + Send + Sync + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let (planning, noting) = (Arc::clone(&shared), Arc::clone(&shared));
        let service = FaultyService::start(
            behind,
            move |_, request| {
                let call = Call::of(request);
                let earlier_calls = planning.count(&call);
                // The next line locks the rule, and releases the lock at once. If the lock were still held
                // while the rule runs, a rule that uses `fail` would wait for the lock forever.
                let rule = planning.rule.lock().unwrap().clone();
                let plan = plan(&call, earlier_calls);
                match rule.and_then(|rule| rule(&call)) {
                    None => plan,
                    fault => Plan { fault, ..plan },
                }
            },
            move |exchange| noting.notes.lock().unwrap().push(note(exchange)),
        );
        Self { service, shared }
    }

    /// Sets a rule that makes calls fail. The rule replaces the previous rule. If the rule returns a fault
    /// for a call, the call fails with this fault, even if the `plan` of [`Self::start_with`] chose another
    /// fault. If the rule returns `None` for a call, the rule has no effect on this call.
    pub fn fail(&self, rule: impl Fn(&Call<'_>) -> Option<Fault> + Send + Sync + 'static) {
        *self.shared.rule.lock().unwrap() = Some(Arc::new(rule));
    }

    /// Removes the rule of [`Self::fail`].
    pub fn fail_nothing(&self) {
        *self.shared.rule.lock().unwrap() = None;
    }

    /// The address of the proxy for the first Spin host: `127.0.0.1:<port>`.
    pub fn authority(&self) -> &str {
        self.service.authority()
    }

    /// The addresses of the proxy, one for each of the two Spin hosts. The address shows which host calls.
    pub fn authorities(&self) -> [&str; HOSTS] {
        self.service.authorities()
    }

    /// The number of calls that arrived, and the number of these calls with a [`Fault`].
    pub fn calls_and_faults(&self) -> (usize, usize) {
        self.service.calls_and_faults()
    }

    /// All finished calls, the earliest first.
    pub fn notes(&self) -> Vec<Note> {
        self.shared.notes.lock().unwrap().clone()
    }
}

impl Shared {
    /// Counts the call, and returns how many earlier calls had the same method and path.
    fn count(&self, call: &Call<'_>) -> u64 {
        let mut times = self.times.lock().unwrap();
        let time = times.entry((call.method.clone(), call.path.clone())).or_default();
        *time += 1;
        *time - 1
    }
}

fn note(exchange: &Exchange<'_>) -> Note {
    let Call { method, path, query, body } = Call::of(exchange.request);
    let status = match exchange.fault {
        Some(Fault::Status(status)) => Some(status),
        _ => exchange.response.map(|response| response.status),
    };
    let (asked, at, caller, lost) = (exchange.asked, Instant::now(), exchange.caller, exchange.is_lost());
    let (method, body) = (method.clone(), body.into_owned());
    Note { asked, at, caller, method, path, query, body, status, lost }
}
