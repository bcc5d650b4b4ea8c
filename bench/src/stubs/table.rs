//! The stub of the table service: entities in memory, with the operations that the components use. The stub
//! does not check the signatures of requests. Azurite, the emulator of Azure Storage, is less strict than
//! Azure in some cases. In these cases, the stub is as strict as Azure.

mod batch;
mod entities;
mod query;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use dev::azurite::ACCOUNT;
use http::header::{ACCEPT, CONTENT_TYPE, ETAG, IF_MATCH};
use http::{HeaderValue, Method, Response};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use self::entities::{Metadata, Operation, Refusal, Tables};
use self::query::Query;
use super::stub::{Stub, json_response, response};

/// A table service, at first without tables. This code does not set the header `Date`, because the HTTP
/// library (hyper) adds the header to each response.
#[derive(Debug)]
pub struct Table(Stub<Tables>);

impl Table {
    pub(super) fn start() -> Self {
        Self(Stub::start(response_to))
    }

    /// The address of the stub: `127.0.0.1:<port>`.
    pub fn authority(&self) -> &str {
        self.0.authority()
    }

    /// The URL of the account. The URLs of tables and entities begin with this URL.
    pub fn account_url(&self) -> String {
        format!("http://{}/{ACCOUNT}", self.0.authority())
    }

    /// The number of entities in all tables.
    pub fn len(&self) -> usize {
        self.0.state().len()
    }

    /// Whether no table has an entity.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies the rows (entities) of a conversation, once for each of `times` new conversations. `key` is the
    /// conversation key, 32 hexadecimal digits. The stub does not count this operation as a call.
    pub fn copy_rows(&self, key: &str, times: usize) {
        // The conversation keys of the new conversations. Different numbers give different keys, because the
        // factor is odd. The factor is large, so the keys of two neighbouring numbers are far apart.
        let other = |number: usize| {
            format!("{:032x}", (number as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
        };
        self.0.state().copy_rows(key, (0..times).map(other));
    }

    /// Deletes all tables. The stub does not count this operation as a call.
    pub fn clear(&self) {
        *self.0.state() = Tables::default();
    }

    /// The number of calls to the stub so far. A batch is one call.
    pub fn calls(&self) -> u64 {
        self.0.calls()
    }

    pub(super) fn complaint(&self) -> Option<String> {
        self.0.complaint()
    }
}

fn response_to(tables: &mut Tables, request: &http::Request<Bytes>) -> Option<Response<Bytes>> {
    let header = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let below = request.uri().path().strip_prefix('/')?.strip_prefix(ACCOUNT)?.strip_prefix('/')?;
    let path = percent_decode_str(below).decode_utf8().ok()?;
    // Except for `$batch`, the header `Accept` must have one of these two values. With another value, Azure
    // responds in Atom (XML), or refuses the request. So the stub complains about such a request.
    let metadata = match header(ACCEPT) {
        Some("application/json;odata=nometadata") => Metadata::None,
        Some("application/json;odata=minimalmetadata") => Metadata::Minimal,
        _ if path == "$batch" => Metadata::None,
        _ => return None,
    };
    let wants_no_content = request.headers().get("prefer").is_some_and(|value| value == "return-no-content");
    match (request.method(), path.as_ref()) {
        (&Method::POST, "$batch") => batch::response_to(tables, header(CONTENT_TYPE)?, request.body()),
        (&Method::POST, "Tables") => {
            let body: Value = serde_json::from_slice(request.body()).ok()?;
            let name = body["TableName"].as_str()?;
            Some(match tables.create(name) {
                Ok(()) if wants_no_content => with_preference_applied(response(204, "")),
                Ok(()) => json_response(201, &json!({"TableName": name})),
                Err(refusal) => response_to_refusal(refusal),
            })
        }
        (&Method::GET, path) => match entities::key_of(path) {
            Some((table, key)) => Some(match tables.get(&table, &key) {
                Ok(entity) => {
                    with_etag(json_response(200, &entity.show(&key, metadata, &[]).into()), &entity.etag)
                }
                Err(refusal) => response_to_refusal(refusal),
            }),
            None => {
                let query = Query::parse(request.uri().query().unwrap_or_default())?;
                Some(match query.run(tables, path.strip_suffix("()")?, metadata) {
                    Ok(page) => page,
                    Err(refusal) => response_to_refusal(refusal),
                })
            }
        },
        (method, path) => {
            let operation = Operation::parse(method.as_str(), path, header(IF_MATCH), request.body())?;
            let is_insert = method == Method::POST;
            Some(match tables.write(&operation) {
                Err(refusal) => response_to_refusal(refusal),
                Ok(None) => response(204, ""),
                Ok(Some(etag)) if is_insert && !wants_no_content => {
                    let entity = tables.get(&operation.table, &operation.key).ok()?;
                    let shown = entity.show(&operation.key, metadata, &[]);
                    with_etag(json_response(201, &shown.into()), &etag)
                }
                Ok(Some(etag)) if is_insert => with_etag(with_preference_applied(response(204, "")), &etag),
                Ok(Some(etag)) => with_etag(response(204, ""), &etag),
            })
        }
    }
}

fn with_etag(mut response: Response<Bytes>, etag: &str) -> Response<Bytes> {
    response.headers_mut().extend(HeaderValue::from_str(etag).ok().map(|etag| (ETAG, etag)));
    response
}

fn with_preference_applied(mut response: Response<Bytes>) -> Response<Bytes> {
    response.headers_mut().insert("preference-applied", HeaderValue::from_static("return-no-content"));
    response
}

fn response_to_refusal(refusal: Refusal) -> Response<Bytes> {
    let mut response = json_response(refusal.status, &refusal.body(None));
    response.headers_mut().insert("x-ms-error-code", HeaderValue::from_static(refusal.code));
    response
}
