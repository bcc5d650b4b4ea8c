//! What the Connector answers.

use std::time::Duration;

use serde_json::{Value, json};

use super::Drip;

/// A scripted answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
    pub(super) delay: Duration,
    pub(super) cut: Option<Cut>,
    pub(super) drip: Option<Drip>,
}

/// How the connection breaks instead of a whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// As if the request had never arrived: it is not recorded.
    Unseen,
    /// The request counts, its answer is lost.
    Unanswered,
    /// The answer comes without the second half of its body.
    InBody,
}

impl Reply {
    /// A status with a JSON body; `null` for an empty one.
    pub fn status(status: u16, body: Value) -> Self {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        Self { status, headers: Vec::new(), body, delay: Duration::ZERO, cut: None, drip: None }
    }

    /// Accepted, with the id of the new activity.
    pub fn created(id: &str) -> Self {
        Self::status(201, json!({ "id": id }))
    }

    /// An error of the Connector's own shape.
    pub fn error(status: u16, code: &str) -> Self {
        Self::status(status, json!({ "error": { "code": code, "message": "a scripted failure" } }))
    }

    /// The connection breaks and the request is forgotten.
    pub fn cut_unseen() -> Self {
        Self { cut: Some(Cut::Unseen), ..Self::status(500, Value::Null) }
    }

    /// The connection breaks after the request was recorded.
    pub fn cut_unanswered() -> Self {
        Self { cut: Some(Cut::Unanswered), ..Self::status(500, Value::Null) }
    }

    /// The connection breaks in the middle of its body.
    #[must_use]
    pub fn cut_in_body(mut self) -> Self {
        self.cut = Some(Cut::InBody);
        self
    }

    /// With bytes behind its body that never end.
    #[must_use]
    pub fn dripping(mut self, drip: &Drip) -> Self {
        self.drip = Some(drip.clone());
        self
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// After a while.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}
