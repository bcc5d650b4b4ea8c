//! Outbound HTTP of one component: the policy first, then wasmtime's own sender.
//!
//! The sender honours the guest's time-outs (10 minutes each where it sets none, as in Spin), follows no redirect and
//! opens a connection per request.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::{Request, Response};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks, default_send_request};

use crate::allowed_hosts::{AllowedHosts, Target};
use crate::output;

/// What the sender allows each phase of a request unless the guest says otherwise; Spin too.
const PHASE: Duration = Duration::from_secs(600);

/// Cheap to clone: every instance has one.
#[derive(Clone, Debug)]
pub(crate) struct Outbound(Arc<Rules>);

#[derive(Debug)]
struct Rules {
    component: Arc<str>,
    manifest: PathBuf,
    /// Or why they could not be read, in which case nothing is allowed.
    allowed: Result<AllowedHosts, String>,
}

impl Outbound {
    pub(crate) fn new(component: Arc<str>, manifest: PathBuf, allowed: Result<AllowedHosts, String>) -> Self {
        Self(Arc::new(Rules { component, manifest, allowed }))
    }

    /// Says no on stderr: the guest only learns that it was denied. Never the path or the query, which hold secrets.
    fn check(&self, uri: &hyper::Uri) -> Result<(), Error> {
        let Rules { component, manifest, allowed } = &*self.0;
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

/// The sender times each phase but the TLS handshake; this bounds the sum, so that a silent server cannot hold a guest.
fn limit(options: &RequestOptions) -> Duration {
    let connect = options.connect_timeout.unwrap_or(PHASE);
    let first_byte = options.first_byte_timeout.unwrap_or(PHASE);
    connect.saturating_mul(2).saturating_add(first_byte)
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
        let verdict = self.check(request.uri());
        Box::new(async move {
            verdict?;
            let limit = limit(&options.unwrap_or_default());
            let sending = tokio::time::timeout(limit, default_send_request(request, options));
            let (response, connection) = sending.await.map_err(|_| Error::ConnectionTimeout)??;
            Ok((response.map(BodyExt::boxed_unsync), Box::new(connection) as Processing))
        })
    }
}
