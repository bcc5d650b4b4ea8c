//! HTTP clients for servers on this machine, and for a deployed bot.

use std::time::Duration;

use ureq::Agent;

/// The time limit of an HTTP call. The limit is long, because a call to the Playground can include a second
/// call: the Playground posts a person's message to the bot, waits for the bot's response, and only then
/// answers the first call.
const WITHIN: Duration = Duration::from_secs(30);

/// A client that uses no proxy, and for which no HTTP status is an error.
pub(crate) fn agent() -> Agent {
    let config = Agent::config_builder().timeout_global(Some(WITHIN)).proxy(None);
    Agent::new_with_config(config.http_status_as_error(false).build())
}

/// A client that uses the proxy of the environment, and for which no HTTP status is an error. The client
/// follows no redirect, so that it sends the API key only to the bot.
pub(crate) fn remote_agent() -> Agent {
    let config = Agent::config_builder().timeout_global(Some(WITHIN)).max_redirects(0);
    Agent::new_with_config(config.http_status_as_error(false).build())
}
