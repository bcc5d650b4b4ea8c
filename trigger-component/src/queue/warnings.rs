//! Failures of the state that a run survives, but that can cost the order, a double or a wait.

use std::cell::RefCell;
use std::error::Error;

use platform::{Clock, Level, Log};
use serde_json::json;

/// The events that a run has logged already: each is logged once for each run, because a table that fails fails often.
#[derive(Debug, Default)]
pub(crate) struct Warnings(RefCell<Vec<&'static str>>);

impl Warnings {
    /// Logs `event` with the reason, if this run has not logged it before.
    pub(crate) fn once(&self, host: &(impl Log + Clock), run: &str, event: &'static str, error: &dyn Error) {
        let mut logged = self.0.borrow_mut();
        if !logged.contains(&event) {
            logged.push(event);
            host.event(Level::Warn, event, json!({"run": run, "reason": error.to_string()}));
        }
    }
}
