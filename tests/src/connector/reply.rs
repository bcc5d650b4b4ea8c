//! The responses that a test scripts for the fake Connector.

use std::time::Duration;

use serde_json::{Value, json};

use super::Drip;

/// A scripted response.
#[derive(Debug, Clone)]
pub struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
    pub(super) delay: Duration,
    pub(super) cut: Option<Cut>,
    pub(super) drip: Option<Drip>,
}

/// Where the connection breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Before the request is recorded, as if it had never arrived.
    Unseen,
    /// After the request is recorded, and before the response.
    Unanswered,
    /// After the first half of the response's body.
    InBody,
}

impl Reply {
    /// Answers with a status and a JSON body; `null` means an empty body.
    pub fn status(status: u16, body: Value) -> Self {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        Self { status, headers: Vec::new(), body, delay: Duration::ZERO, cut: None, drip: None }
    }

    /// Accepts the activity, and answers with `id` as the new activity's id.
    pub fn created(id: &str) -> Self {
        Self::status(201, json!({ "id": id }))
    }

    /// Answers with an error in the Connector's own form.
    pub fn error(status: u16, code: &str) -> Self {
        Self::status(status, json!({ "error": { "code": code, "message": "a scripted failure" } }))
    }

    /// Breaks the connection, and does not record the request.
    pub fn cut_unseen() -> Self {
        Self { cut: Some(Cut::Unseen), ..Self::status(500, Value::Null) }
    }

    /// Records the request, and breaks the connection instead of answering.
    pub fn cut_without_response() -> Self {
        Self { cut: Some(Cut::Unanswered), ..Self::status(500, Value::Null) }
    }

    /// Breaks the connection in the middle of the response's body.
    #[must_use]
    pub fn cut_in_body(mut self) -> Self {
        self.cut = Some(Cut::InBody);
        self
    }

    /// Appends this endless stream of bytes to the body.
    #[must_use]
    pub fn dripping(mut self, drip: &Drip) -> Self {
        self.drip = Some(drip.clone());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Waits this long before the response.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}
