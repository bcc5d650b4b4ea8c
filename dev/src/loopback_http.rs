//! HTTP clients: [`agent`] for servers on this machine, and [`remote_agent`] for a deployed bot.

use std::time::Duration;

use ureq::Agent;

/// The time limit of an HTTP call. The limit is long, because a call to the Playground (Microsoft's chat page
/// for bots) can include a second call. The Playground posts a person's message to the bot, and waits for the
/// bot's response. After the bot's response, the Playground responds to the first call.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// Makes a client that uses no proxy. The client returns every response, also a response with an HTTP status
/// of 400 or more.
pub(crate) fn agent() -> Agent {
    let config = Agent::config_builder().timeout_global(Some(TIME_LIMIT)).proxy(None);
    Agent::new_with_config(config.http_status_as_error(false).build())
}

/// Makes a client that uses the proxy of the environment variables, e.g. `HTTPS_PROXY`. The client returns
/// every response, also a response with an HTTP status of 400 or more. The client follows no redirect,
/// because it must send the API key only to the bot.
pub(crate) fn remote_agent() -> Agent {
    let config = Agent::config_builder().timeout_global(Some(TIME_LIMIT)).max_redirects(0);
    Agent::new_with_config(config.http_status_as_error(false).build())
}
