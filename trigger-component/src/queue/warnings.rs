//! Warnings about failed calls to the queue or the tables. The run goes on after such a failure. But perhaps
//! alerts are delivered twice, later, or in another order.

use std::cell::RefCell;
use std::error::Error;

use platform::{Clock, Level, Log};
use serde_json::json;

/// The events that this run has already logged. The run logs each event only once, because a failing table
/// usually fails many times.
#[derive(Debug, Default)]
pub(crate) struct Warnings(RefCell<Vec<&'static str>>);

impl Warnings {
    /// Logs `event` with the reason, unless this run has already logged `event`.
    pub(crate) fn once(&self, host: &(impl Log + Clock), run: &str, event: &'static str, error: &dyn Error) {
        let mut logged = self.0.borrow_mut();
        if !logged.contains(&event) {
            logged.push(event);
            host.event(Level::Warn, event, json!({"run": run, "reason": error.to_string()}));
        }
    }
}
