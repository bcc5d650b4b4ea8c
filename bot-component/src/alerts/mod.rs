//! The doors for other programs: `POST /api/alerts`, `DELETE /api/alerts/{id}`, `GET /api/targets`,
//! `DELETE /api/targets/{conversation}`. `docs/openapi.yaml` describes them.

mod activity;
mod body;
mod call;
mod cancel;
mod duration;
mod forgetting;
mod identity;
mod keys;
mod listing;
mod target;
#[cfg(test)]
mod term;

use http::{Method, Request};
use platform::{Host, RequestBody};

use crate::answered::Answered;
use crate::rejection::{AlertRejection, Rejection};
use keys::AlertKeys;

/// What a path leads to.
enum Route<'a> {
    Alerts,
    Alert(&'a str),
    Targets,
    Target(&'a str),
}

impl<'a> Route<'a> {
    /// The route of a path, if it is one of these.
    fn of(path: &'a str) -> Option<Self> {
        match path {
            "/api/alerts" => Some(Self::Alerts),
            "/api/targets" => Some(Self::Targets),
            _ => match path.strip_prefix("/api/alerts/") {
                Some(id) => Some(Self::Alert(id)),
                None => path.strip_prefix("/api/targets/").map(Self::Target),
            },
        }
    }

    fn method(&self) -> (Method, &'static str) {
        match self {
            Self::Alerts => (Method::POST, "POST"),
            Self::Alert(_) | Self::Target(_) => (Method::DELETE, "DELETE"),
            Self::Targets => (Method::GET, "GET"),
        }
    }
}

/// Answers one request, if its path is one of these.
pub(crate) async fn handle<H: Host>(
    host: &H,
    request: Request<impl RequestBody>,
) -> Result<Answered, Rejection> {
    let uri = request.uri().clone();
    let Some(route) = Route::of(uri.path()) else { return Err(Rejection::NoSuchRoute) };
    let Some(keys) = AlertKeys::read(host)? else { return Err(Rejection::NoSuchRoute) };
    let (method, allow) = route.method();
    if request.method() != method {
        return Err(Rejection::MethodNotAllowed { allow });
    }
    if !keys.admit(request.headers()) {
        return Err(AlertRejection::Unauthorized.into());
    }
    match route {
        Route::Alerts => call::post(host, request).await,
        Route::Alert(id) => cancel::delete(host, id).await.map(Answered::from),
        Route::Target(key) => forgetting::delete(host, key).await.map(Answered::from),
        Route::Targets => listing::get(host, uri.query().unwrap_or_default()).await.map(Answered::from),
    }
}
