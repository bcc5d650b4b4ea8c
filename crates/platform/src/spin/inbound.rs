//! Inbound HTTP: between the host's handles and the `http` crate's types.

use std::pin::pin;

use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::json;
use spin_sdk::http::{Headers, IncomingRequest, OutgoingResponse, ResponseOutparam};

use super::SpinHost;
use crate::{BodyError, Level, Log, RequestBody};

/// A request's body, unread.
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

/// Serves one request with `handler`: what the function under `#[http_component]` calls.
pub async fn serve(
    request: IncomingRequest,
    response_out: ResponseOutparam,
    handler: impl AsyncFnOnce(&SpinHost, http::Request<SpinBody>) -> http::Response<Bytes>,
) {
    let response = match read_head(&request) {
        Some(head) => handler(&SpinHost::new(), head.map(|()| SpinBody(request))).await,
        None => status_only(http::StatusCode::BAD_REQUEST),
    };
    let (outgoing, body) = outgoing_response(response);
    if let Err(error) = response_out.set_with_body(outgoing, body).await {
        SpinHost::new().event(Level::Warn, "answer.not-sent", json!({"reason": error.to_string()}));
    }
}

fn read_head(request: &IncomingRequest) -> Option<http::Request<()>> {
    let mut head = http::Request::new(());
    *head.method_mut() = http::Method::from_bytes(request.method().to_string().as_bytes()).ok()?;
    *head.uri_mut() = request.path_with_query()?.parse().ok()?;
    for (name, value) in request.headers().entries() {
        let name = http::HeaderName::from_bytes(name.as_bytes()).ok()?;
        head.headers_mut().append(name, http::HeaderValue::from_bytes(&value).ok()?);
    }
    Some(head)
}

fn status_only(status: http::StatusCode) -> http::Response<Bytes> {
    let mut response = http::Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

fn outgoing_response(response: http::Response<Bytes>) -> (OutgoingResponse, Vec<u8>) {
    let (parts, body) = response.into_parts();
    let mut headers: Vec<(String, Vec<u8>)> =
        parts.headers.iter().map(|(name, value)| (name.as_str().into(), value.as_bytes().into())).collect();
    headers.push(("content-length".into(), body.len().to_string().into_bytes()));
    // Both can fail only on what the `http` crate has already refused.
    let outgoing = OutgoingResponse::new(Headers::from_list(&headers).unwrap_or_else(|_| Headers::new()));
    _ = outgoing.set_status_code(parts.status.as_u16());
    (outgoing, body.into())
}
