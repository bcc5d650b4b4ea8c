//! The responses of the fake Connector.

use std::time::Duration;

use serde_json::{Value, json};

use super::EndlessBody;

/// A response of the fake Connector. Either a test or the fake itself chooses the response.
#[derive(Debug, Clone)]
pub struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
    pub(super) delay: Duration,
    pub(super) cut: Option<Cut>,
    pub(super) endless_body: Option<EndlessBody>,
}

/// The moment at which the connection breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Before the fake records the request, as if the request had never arrived.
    Unseen,
    /// After the fake records the request, and before the response.
    Unanswered,
    /// After the first half of the response's body.
    InBody,
}

impl Reply {
    /// Makes a response with a status and a JSON body. If `body` is `null`, the response has an empty body.
    pub fn status(status: u16, body: Value) -> Self {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        Self { status, headers: Vec::new(), body, delay: Duration::ZERO, cut: None, endless_body: None }
    }

    /// Makes the response to a request that creates an activity or a conversation. `id` is the new id.
    pub fn created(id: &str) -> Self {
        Self::status(201, json!({ "id": id }))
    }

    /// Makes an error response. The body has the same form as the errors of the real Connector.
    pub fn error(status: u16, code: &str) -> Self {
        Self::status(status, json!({ "error": { "code": code, "message": "a scripted failure" } }))
    }

    /// Makes the fake break the connection. The fake does not record the request.
    pub fn cut_unseen() -> Self {
        Self { cut: Some(Cut::Unseen), ..Self::status(500, Value::Null) }
    }

    /// Makes the fake record the request, and break the connection without a response.
    pub fn cut_without_response() -> Self {
        Self { cut: Some(Cut::Unanswered), ..Self::status(500, Value::Null) }
    }

    /// Makes the fake break the connection after the first half of the response's body.
    #[must_use]
    pub fn cut_in_body(mut self) -> Self {
        self.cut = Some(Cut::InBody);
        self
    }

    /// Appends an endless stream of bytes to the body.
    #[must_use]
    pub fn with_endless_body(mut self, endless_body: &EndlessBody) -> Self {
        self.endless_body = Some(endless_body.clone());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Makes the fake wait for the time `delay` before it responds.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}
