//! The rules of a test, which choose the responses of the fake Connector.

use super::received::Received;
use super::reply::Reply;

/// A function of a test that gets a request and can choose the response. If the function returns `None`, the
/// fake tries the next rule.
pub(super) type Rule = Box<dyn Fn(&Received) -> Option<Reply> + Send + Sync>;
