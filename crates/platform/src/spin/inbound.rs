//! Serves inbound HTTP requests on Spin. This module converts between the HTTP types of WASI and the types of
//! the `http` crate.

use std::pin::pin;

use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::json;
use spin_sdk::http::{Headers, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};
use wasi::io::streams::{OutputStream, StreamError};

use super::{SpinHost, stream};
use crate::{BodyError, Joined, Level, Log, Reply, RequestBody};

/// The body of a request, not read yet.
pub struct SpinBody(IncomingRequest);

impl std::fmt::Debug for SpinBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpinBody").finish_non_exhaustive()
    }
}

impl RequestBody for SpinBody {
    async fn read(self, max_bytes: usize) -> Result<Bytes, BodyError> {
        let mut stream = pin!(self.0.into_body_stream());
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|_| BodyError::Broken)?;
            if bytes.len() + chunk.len() > max_bytes {
                return Err(BodyError::TooLarge);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.into())
    }
}

/// Serves one request with `handler`. Each component has a function with the attribute `#[http_component]`,
/// and this function calls `serve`. `joined` lists the component's joined variables (see [`Joined`]).
pub async fn serve(
    request: IncomingRequest,
    response_out: ResponseOutparam,
    joined: &'static [Joined],
    handler: impl AsyncFnOnce(&SpinHost, http::Request<SpinBody>) -> Reply<'_>,
) {
    let host = SpinHost::new(joined);
    let reply = match read_head(&request) {
        Some(head) => handler(&host, head.map(|()| SpinBody(request))).await,
        None => status_only(http::StatusCode::BAD_REQUEST).into(),
    };
    if let Err(error) = send(response_out, reply.response).await {
        let reason = match error {
            StreamError::Closed => "the connection was closed",
            StreamError::LastOperationFailed(_) => "the host failed to write the response",
        };
        host.event(Level::Warn, "response.not-sent", json!({"reason": reason}));
    }
    if let Some(work) = reply.then {
        work.await;
    }
}

/// Sends a response in one piece, if the body fits into Spin's buffer. To do this, the function writes and
/// finishes the body before the call of `set`, which passes the response to Spin.
///
/// The SDK's `set_with_body` calls `set` first. Then Spin sends the head and the body in two TCP segments.
/// Spin's listener does not set TCP_NODELAY, so the body waits until the client acknowledges the head. This
/// wait can take 40 ms. If the body is longer than Spin's buffer, this function writes the rest of the body
/// after `set`.
async fn send(response_out: ResponseOutparam, response: http::Response<Bytes>) -> Result<(), StreamError> {
    let (outgoing, bytes) = outgoing_response(response);
    if bytes.is_empty() {
        response_out.set(outgoing);
        return Ok(());
    }
    // The first call of `body` always succeeds, and this is the only call.
    let Ok(body) = outgoing.body() else { return Err(StreamError::Closed) };
    let Ok(stream) = body.write() else { return Err(StreamError::Closed) };
    let written = stream::write_now(&stream, &bytes)?;
    let rest = &bytes[written..];
    if rest.is_empty() {
        finish(stream, body);
        response_out.set(outgoing);
        return Ok(());
    }
    response_out.set(outgoing);
    let result = stream::write_all(&stream, rest).await;
    finish(stream, body);
    result
}

/// Drops the stream of a body, and then finishes the body. WASI requires this order.
fn finish(stream: OutputStream, body: OutgoingBody) {
    drop(stream);
    // `finish` fails if the client has closed the connection. The log does not need this error. `finish` also
    // fails if too few bytes were written. Then `write_all` has already failed, and `serve` logs the error of
    // `write_all`.
    _ = OutgoingBody::finish(body, None);
}

fn read_head(request: &IncomingRequest) -> Option<http::Request<()>> {
    let mut head = http::Request::new(());
    *head.method_mut() = http::Method::from_bytes(request.method().to_string().as_bytes()).ok()?;
    *head.uri_mut() = request.path_with_query()?.parse().ok()?;
    for (name, value) in request.headers().entries() {
        let name = http::HeaderName::from_bytes(name.as_bytes()).ok()?;
        head.headers_mut().append(name, http::HeaderValue::from_bytes(&value).ok()?);
    }
    // Spin removes the header `Host`. `authority()` returns the value of the removed header.
    if let Some(authority) = request.authority() {
        head.headers_mut().insert(http::header::HOST, http::HeaderValue::try_from(authority).ok()?);
    }
    Some(head)
}

fn status_only(status: http::StatusCode) -> http::Response<Bytes> {
    let mut response = http::Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

fn outgoing_response(response: http::Response<Bytes>) -> (OutgoingResponse, Bytes) {
    let (parts, body) = response.into_parts();
    let mut headers: Vec<(String, Vec<u8>)> =
        parts.headers.iter().map(|(name, value)| (name.as_str().into(), value.as_bytes().into())).collect();
    headers.push(("content-length".into(), body.len().to_string().into_bytes()));
    // `from_list` and `set_status_code` fail only on values that the `http` crate has already refused.
    let outgoing = OutgoingResponse::new(Headers::from_list(&headers).unwrap_or_else(|_| Headers::new()));
    _ = outgoing.set_status_code(parts.status.as_u16());
    (outgoing, body)
}
