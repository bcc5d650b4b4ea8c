//! Makes the HTTP responses of the components. A response is empty, or has a JSON body. Errors have the same
//! JSON form as the errors of the Bot Connector: `{"error":{"code":"...","message":"..."}}`.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

/// A response without a body.
pub fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

/// A response with a JSON body.
pub fn json(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut response = empty(status);
    *response.body_mut() = body.to_string().into();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A response with an error. Programs read `code`, so the code of an error must never change. People read
/// `message`, which names the problem and the remedy.
pub fn error(status: StatusCode, code: &str, message: &str) -> Response<Bytes> {
    json(status, &json!({"error": {"code": code, "message": message}}))
}
