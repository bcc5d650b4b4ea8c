//! The doors for other programs: `POST /api/alerts`, `DELETE /api/alerts/{id}`, `GET /api/targets`. `docs/openapi.yaml`
//! describes them.

mod activity;
mod admission;
mod body;
mod call;
mod caller;
mod cancel;
mod duration;
mod grant;
mod identity;
mod keys;
mod listing;
mod named_key;
mod request_id;
mod target;
#[cfg(test)]
mod term;

use http::{Method, Request};
use platform::{Host, RequestBody};

use crate::answered::Answered;
use crate::rejection::Rejection;
use crate::request::expect_own_host;
use caller::Caller;
use keys::AlertKeys;
use request_id::RequestId;

/// What a path leads to.
enum Route<'a> {
    Alerts,
    Alert(&'a str),
    Targets,
}

impl<'a> Route<'a> {
    /// The route of a path, if it is one of these.
    fn of(path: &'a str) -> Option<Self> {
        match path {
            "/api/alerts" => Some(Self::Alerts),
            "/api/targets" => Some(Self::Targets),
            _ => path.strip_prefix("/api/alerts/").map(Self::Alert),
        }
    }

    fn method(&self) -> (Method, &'static str) {
        match self {
            Self::Alerts => (Method::POST, "POST"),
            Self::Alert(_) => (Method::DELETE, "DELETE"),
            Self::Targets => (Method::GET, "GET"),
        }
    }
}

/// Answers one request, if its path is one of these. The answer of each of these routes has the request's id.
pub(crate) async fn handle<H: Host>(
    host: &H,
    request: Request<impl RequestBody>,
) -> Result<Answered, Rejection> {
    let uri = request.uri().clone();
    let Some(route) = Route::of(uri.path()) else { return Err(Rejection::NoSuchRoute) };
    let request_id = RequestId::of(host, request.headers());
    let (result, about) = match admit(host, &request, &route, &request_id).await {
        Ok(caller) => (answer(host, request, &route, &caller).await, caller.about()),
        Err(rejection) => (Err(rejection), request_id.about()),
    };
    let mut answered = result.unwrap_or_else(|rejection| rejection.log_about(host, about).into());
    request_id.add_to(answered.headers_mut());
    Ok(answered)
}

async fn admit<H: Host, B>(
    host: &H,
    request: &Request<B>,
    route: &Route<'_>,
    request_id: &RequestId,
) -> Result<Caller, Rejection> {
    let Some(keys) = AlertKeys::read(host)? else { return Err(Rejection::NoSuchRoute) };
    let (method, allow) = route.method();
    if request.method() != method {
        return Err(Rejection::MethodNotAllowed { allow });
    }
    let caller = admission::admit(host, &keys, request.headers(), request_id).await?;
    expect_own_host(host, request.headers())?;
    Ok(caller)
}

async fn answer<H: Host>(
    host: &H,
    request: Request<impl RequestBody>,
    route: &Route<'_>,
    caller: &Caller,
) -> Result<Answered, Rejection> {
    match route {
        Route::Alerts => call::post(host, request, caller).await,
        Route::Alert(id) => cancel::delete(host, id, caller).await.map(Answered::from),
        Route::Targets => {
            let query = request.uri().query().unwrap_or_default();
            listing::get(host, query, caller).await.map(Answered::from)
        }
    }
}
