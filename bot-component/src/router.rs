//! Routes a request by its path and method.

use http::{Method, Request, StatusCode};
use platform::{Host, Reply, RequestBody, response};

use crate::alerts;
use crate::messages;
use crate::ops;
use crate::rejection::Rejection;

/// Handles one request. If a route refuses the request, this function writes a log line, and returns an error
/// response.
pub async fn handle<H: Host>(host: &H, request: Request<impl RequestBody>) -> Reply<'_> {
    let answered = match request.uri().path() {
        "/api/messages" => match *request.method() {
            Method::POST => messages::post(host, request).await,
            // Some clients first test the route with these methods. For example, Microsoft's Agents
            // Playground sends HEAD before its first activity.
            Method::GET | Method::HEAD | Method::OPTIONS => Ok(response::empty(StatusCode::OK).into()),
            _ => Err(Rejection::MethodNotAllowed { allow: "GET, HEAD, OPTIONS, POST" }),
        },
        "/healthz" => match *request.method() {
            Method::GET | Method::HEAD => Ok(response::empty(StatusCode::OK).into()),
            _ => Err(Rejection::MethodNotAllowed { allow: "GET, HEAD" }),
        },
        "/ops" => ops::get(host, &request).map(Into::into),
        path if path.starts_with(alerts::HOOKS_PATH) => alerts::handle_hook(host, request).await,
        _ => alerts::handle(host, request).await,
    };
    match answered {
        Ok(answered) => answered.into_reply(host),
        Err(rejection) => rejection.log_and_respond(host).into(),
    }
}
