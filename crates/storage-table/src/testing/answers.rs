//! Builds the answers of the fake service.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::Response;
use serde_json::{Value, json};
use storage_account::rfc_1123;

/// Returns an answer without a body.
pub(super) fn done(etag: Option<&str>) -> Response<Bytes> {
    let answer = Response::builder().status(204);
    let answer = match etag {
        Some(etag) => answer.header("etag", etag),
        None => answer,
    };
    answer.body(Bytes::new()).unwrap()
}

pub(super) fn json_answer(body: &Value) -> Response<Bytes> {
    let answer = Response::builder().status(200).header("content-type", "application/json;odata=nometadata");
    answer.body(Bytes::from(body.to_string())).unwrap()
}

/// The status and the code of a refusal.
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

    pub(super) fn answer(self) -> Response<Bytes> {
        let answer = Response::builder().status(self.status).header("x-ms-error-code", self.code);
        answer.body(Bytes::from(self.body(""))).unwrap()
    }
}

/// Adds the headers of every answer.
pub(super) fn finish(answer: &mut Response<Bytes>, now: DateTime<Utc>) {
    answer.headers_mut().insert("date", rfc_1123(now).parse().unwrap());
    answer.headers_mut().insert("x-ms-version", "2021-12-02".parse().unwrap());
}
