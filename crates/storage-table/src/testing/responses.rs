//! Builds the responses of the fake service.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::Response;
use serde_json::{Value, json};
use storage_account::rfc_1123;

/// Returns a response without a body.
pub(super) fn done(etag: Option<&str>) -> Response<Bytes> {
    let response = Response::builder().status(204);
    let response = match etag {
        Some(etag) => response.header("etag", etag),
        None => response,
    };
    response.body(Bytes::new()).unwrap()
}

pub(super) fn json_response(body: &Value) -> Response<Bytes> {
    let response =
        Response::builder().status(200).header("content-type", "application/json;odata=nometadata");
    response.body(Bytes::from(body.to_string())).unwrap()
}

/// The HTTP status and the error code of a refused request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) code: &'static str,
}

pub(super) const TABLE_NOT_FOUND: Refused = Refused { status: 404, code: "TableNotFound" };
pub(super) const NOT_FOUND: Refused = Refused { status: 404, code: "ResourceNotFound" };
pub(super) const EXISTS: Refused = Refused { status: 409, code: "EntityAlreadyExists" };
pub(super) const CHANGED: Refused = Refused { status: 412, code: "UpdateConditionNotSatisfied" };

impl Refused {
    pub(super) fn body(self, prefix: &str) -> String {
        let message = format!("{prefix}{}.\nRequestId:1\nTime:2", self.code);
        json!({"odata.error": {"code": self.code, "message": {"lang": "en-US", "value": message}}})
            .to_string()
    }

    pub(super) fn response(self) -> Response<Bytes> {
        let response = Response::builder().status(self.status).header("x-ms-error-code", self.code);
        response.body(Bytes::from(self.body(""))).unwrap()
    }
}

/// Adds the headers that every response has.
pub(super) fn finish(response: &mut Response<Bytes>, now: DateTime<Utc>) {
    response.headers_mut().insert("date", rfc_1123(now).parse().unwrap());
    response.headers_mut().insert("x-ms-version", "2021-12-02".parse().unwrap());
}
