//! How a test scripts the fake Connector.

use super::received::Received;
use super::reply::Reply;

/// A rule of the test: a function that returns a response, or `None` to leave the request to the next rule.
pub(super) type Rule = Box<dyn Fn(&Received) -> Option<Reply> + Send + Sync>;
