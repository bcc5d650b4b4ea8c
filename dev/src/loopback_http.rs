//! A client for what runs on this machine.

use std::time::Duration;

use ureq::Agent;

/// How long an answer may take: the Playground waits for the bot before it gives one.
const WITHIN: Duration = Duration::from_secs(30);

/// A client that asks no proxy, and takes every status for an answer.
pub(crate) fn agent() -> Agent {
    let config = Agent::config_builder().timeout_global(Some(WITHIN)).proxy(None);
    Agent::new_with_config(config.http_status_as_error(false).build())
}
