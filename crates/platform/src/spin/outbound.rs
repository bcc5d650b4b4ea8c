//! Sends HTTP requests with `wasi:http/outgoing-handler`. This module does not use `http::send` of SDK 5.2,
//! because that function sets no time-outs. Spin's default is ten minutes for each phase of a call (e.g. the
//! connect). Spin has no time-out for a whole call, so this module has a timer that ends the call.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use wasi::http::outgoing_handler;
use wasi::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
    RequestOptions, Scheme,
};
use wasi::io::streams::{OutputStream, StreamError};

use super::{SpinHost, stream, wait};
use crate::{BodyProblem, HttpClient, Timeouts, TransportError};

const READ_BYTES: u64 = 64 * 1024;

impl HttpClient for SpinHost {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        timeouts: Timeouts,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let mut end = pin!(wait::pause(timeouts.total));
        let (parts, body) = request.into_parts();
        let outgoing = outgoing_request(&parts, body.len())?;
        // This function takes the handle of the body only if there is a body. If a component takes the handle
        // and writes nothing, Spin announces a body with `Transfer-Encoding: chunked`, but there is none.
        let outgoing_body = if body.is_empty() { None } else { outgoing.body().ok() };
        let outgoing_body = outgoing_body.and_then(|outgoing_body| write_at_once(outgoing_body, &body));
        let options = request_options(timeouts)?;
        let pending = outgoing_handler::handle(outgoing, Some(options)).map_err(transport_error)?;
        // If the timer ends first, this function drops the future of `exchange`, and the request in this
        // future. Then Spin closes the connection.
        let incoming = match select(pin!(exchange(pending, outgoing_body, &body)), end.as_mut()).await {
            Either::Left((incoming, _)) => incoming.map_err(transport_error)?,
            Either::Right(_) => return Err(TransportError::ResponseLost("no response in time".into())),
        };
        let mut response = head_of(&incoming)?;
        let problem = match select(pin!(read_body(incoming, timeouts.max_response_bytes)), end).await {
            Either::Left((Ok(body), _)) => {
                *response.body_mut() = body;
                return Ok(response);
            }
            Either::Left((Err(problem), _)) => problem,
            Either::Right(_) => BodyProblem::OutOfTime,
        };
        let (head, _) = response.into_parts();
        Err(TransportError::body_lost(head.status, head.headers, problem))
    }
}

/// Writes the rest of the body, and waits for the head of the response.
async fn exchange(
    pending: FutureIncomingResponse,
    unwritten: Option<(OutputStream, OutgoingBody)>,
    body: &[u8],
) -> Result<IncomingResponse, ErrorCode> {
    let Some((stream, outgoing_body)) = unwritten else { return wait_for_head(&pending).await };
    // A server can respond before it has read the whole request (e.g. with 413). `exchange` returns such a
    // response.
    let written = pin!(write_body(outgoing_body, stream, body));
    let head = pin!(wait_for_head(&pending));
    match select(written, head).await {
        Either::Left(((), head)) => head.await,
        Either::Right((response, _written)) => response,
    }
}

fn outgoing_request(
    parts: &http::request::Parts,
    body_bytes: usize,
) -> Result<OutgoingRequest, TransportError> {
    let invalid = |what: &str| TransportError::NotSent(format!("the request's {what} is not valid"));
    let mut headers: Vec<(String, Vec<u8>)> =
        parts.headers.iter().map(|(name, value)| (name.as_str().into(), value.as_bytes().into())).collect();
    // Without the header `content-length`, Spin sends a body with `Transfer-Encoding: chunked`, and sends an
    // empty PUT without a length. Azure refuses a PUT without a length, with 411.
    if body_bytes > 0 || matches!(parts.method, http::Method::PUT | http::Method::POST) {
        headers.push(("content-length".into(), body_bytes.to_string().into_bytes()));
    }
    let headers = Fields::from_list(&headers).map_err(|_| invalid("header list"))?;
    let outgoing = OutgoingRequest::new(headers);
    let scheme = match parts.uri.scheme_str() {
        Some("https") => Scheme::Https,
        Some("http") => Scheme::Http,
        _ => return Err(invalid("scheme")),
    };
    let authority = parts.uri.authority().ok_or_else(|| invalid("host"))?;
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    outgoing.set_method(&method(&parts.method)).map_err(|()| invalid("method"))?;
    outgoing.set_scheme(Some(&scheme)).map_err(|()| invalid("scheme"))?;
    outgoing.set_authority(Some(authority.as_str())).map_err(|()| invalid("host"))?;
    outgoing.set_path_with_query(Some(path)).map_err(|()| invalid("path"))?;
    Ok(outgoing)
}

fn method(method: &http::Method) -> Method {
    match method.as_str() {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "HEAD" => Method::Head,
        other => Method::Other(other.into()),
    }
}

fn request_options(timeouts: Timeouts) -> Result<RequestOptions, TransportError> {
    let nanoseconds = |duration: Duration| Some(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    let options = RequestOptions::new();
    options
        .set_connect_timeout(nanoseconds(timeouts.connect))
        .and_then(|()| options.set_first_byte_timeout(nanoseconds(timeouts.first_byte)))
        .and_then(|()| options.set_between_bytes_timeout(nanoseconds(timeouts.between_bytes)))
        .map_err(|()| TransportError::NotSent("the platform cannot set time-outs".into()))?;
    Ok(options)
}

/// Writes the body before the request is sent, if the stream accepts the whole body at once. Then the WASI
/// host sends the head and the body together. If the host sends them separately, the body waits until the
/// server acknowledges the head. On a WASI host that does not set TCP_NODELAY (such as Spin 4.1), this wait
/// can take 40 ms.
///
/// If the stream does not accept the whole body at once, this function writes nothing, and returns the
/// handles for a later write. The stream is first in the returned pair, because Rust drops the first part of
/// a pair first, and the stream must be dropped before its body.
///
/// This function reports no failed write. The caller notices the failure later: the server responds with an
/// error, or no response arrives.
fn write_at_once(body: OutgoingBody, bytes: &[u8]) -> Option<(OutputStream, OutgoingBody)> {
    let stream = body.write().ok()?;
    let takes = stream.check_write().unwrap_or_default();
    if usize::try_from(takes).unwrap_or(usize::MAX) < bytes.len() {
        return Some((stream, body));
    }
    _ = stream.write(bytes).and_then(|()| stream.flush());
    drop(stream);
    _ = OutgoingBody::finish(body, None);
    None
}

/// Writes the body as fast as the stream accepts the bytes. Like [`write_at_once`], this function reports no
/// failed write.
///
/// `stream` comes after `body` in the parameters, because the stream must be dropped before its body. If a
/// caller drops the future early, Rust drops the parameters in reverse order.
async fn write_body(body: OutgoingBody, stream: OutputStream, bytes: &[u8]) {
    _ = stream::write_all(&stream, bytes).await;
    drop(stream);
    _ = OutgoingBody::finish(body, None);
}

async fn wait_for_head(pending: &FutureIncomingResponse) -> Result<IncomingResponse, ErrorCode> {
    wait::until(|| pending.get(), || pending.subscribe())
        .await
        .unwrap_or(Err(ErrorCode::InternalError(Some("the response was read twice".into()))))
}

fn head_of(incoming: &IncomingResponse) -> Result<http::Response<Bytes>, TransportError> {
    let mut response = http::Response::new(Bytes::new());
    *response.status_mut() = http::StatusCode::from_u16(incoming.status())
        .map_err(|_| TransportError::ResponseLost("the response's status is not an HTTP status".into()))?;
    for (name, value) in incoming.headers().entries() {
        let name = http::HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, http::HeaderValue::from_bytes(&value)) {
            response.headers_mut().append(name, value);
        }
    }
    Ok(response)
}

async fn read_body(response: IncomingResponse, max_bytes: usize) -> Result<Bytes, BodyProblem> {
    let body = response.consume().map_err(|()| BodyProblem::Broken)?;
    let stream = body.stream().map_err(|()| BodyProblem::Broken)?;
    let mut bytes = Vec::new();
    loop {
        let chunk = wait::until(
            || match stream.read(READ_BYTES) {
                Ok(chunk) if chunk.is_empty() => None,
                other => Some(other),
            },
            || stream.subscribe(),
        )
        .await;
        match chunk {
            Ok(chunk) if bytes.len() + chunk.len() > max_bytes => {
                return Err(BodyProblem::TooLong { limit_bytes: max_bytes });
            }
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(StreamError::Closed) => return Ok(bytes.into()),
            Err(StreamError::LastOperationFailed(_)) => return Err(BodyProblem::Broken),
        }
    }
}

/// Converts an error code of the WASI host. If the code shows that the request was not sent, the result is
/// [`TransportError::NotSent`] or [`TransportError::Denied`]. For every other code, the server has perhaps
/// received the request, so the result is [`TransportError::ResponseLost`].
///
/// Spin maps a connect time-out to `ConnectionTimeout` and a missing first byte to `ConnectionReadTimeout`
/// (spin: crates/factor-outbound-http/src/wasi.rs).
fn transport_error(code: ErrorCode) -> TransportError {
    let not_sent = |what: &str| TransportError::NotSent(what.to_owned());
    let lost = |what: &str| TransportError::ResponseLost(what.to_owned());
    match code {
        ErrorCode::HttpRequestDenied => TransportError::Denied,
        ErrorCode::DnsTimeout | ErrorCode::DnsError(_) => not_sent("the host name was not resolved"),
        ErrorCode::DestinationNotFound
        | ErrorCode::DestinationUnavailable
        | ErrorCode::DestinationIpProhibited
        | ErrorCode::DestinationIpUnroutable => not_sent("the host cannot be reached"),
        ErrorCode::ConnectionRefused => not_sent("the connection was refused"),
        ErrorCode::ConnectionTimeout => not_sent("the connection was not made in time"),
        ErrorCode::ConnectionLimitReached => not_sent("the platform's limit of connections is reached"),
        ErrorCode::TlsProtocolError | ErrorCode::TlsCertificateError | ErrorCode::TlsAlertReceived(_) => {
            not_sent("TLS failed")
        }
        ErrorCode::HttpRequestUriInvalid
        | ErrorCode::HttpRequestMethodInvalid
        | ErrorCode::HttpRequestUriTooLong => not_sent("the platform does not accept this request"),
        ErrorCode::ConnectionReadTimeout | ErrorCode::HttpResponseTimeout => lost("no response in time"),
        ErrorCode::ConnectionTerminated => lost("the connection was closed"),
        _ => lost("the connection failed during the exchange"),
    }
}
