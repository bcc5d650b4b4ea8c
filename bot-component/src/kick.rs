//! The kick: the bot's call to the poller after the bot has put an alert on the queue. The kick starts a
//! *run*: the poller takes messages off the queue, and sends their alerts. Without the kick, the person would
//! have to wait until a timer (cron) starts the next run.
//!
//! The bot first responds to the HTTP request, and then sends the kick. Delivery does not depend on the kick:
//! if the kick is lost, the next run that the timer starts gets the message. While a run works, the bot sends
//! no kick, because that run also gets new messages. While all runs pause, the bot sends no kick either. The
//! poller pauses all runs if the poller gets no access token for sending alerts, or if a service refuses the
//! bot's credential.

use std::time::Duration;

use bot_framework::BotCredentials;
use bot_framework::outbound::kick_key;
use bytes::Bytes;
use envelope::is_run_at_work;
use http::header::AUTHORIZATION;
use http::{Request, StatusCode};
use platform::{Host, Level, Secret, Settings, SettingsError, Timeouts};
use serde_json::json;
use storage_queue::QueueName;

/// The URL of the poller, which is another component of the application. Spin calls the component without the
/// network (<https://spinframework.dev/http-outbound#local-service-chaining>).
const POLLER: &str = "http://poller.spin.internal/internal/poll";

/// The time-outs of the kick. They are short, because the poller responds as soon as its run has begun.
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(1),
    first_byte: Duration::from_secs(2),
    between_bytes: Duration::from_secs(1),
    total: Duration::from_secs(3),
    max_response_bytes: 4 * 1024,
};

/// The data of a kick: the key that the poller expects, and the name of the queue.
#[derive(Debug, Clone)]
pub(crate) struct Kick {
    key: Secret,
    queue: String,
}

impl Kick {
    /// Reads the variable `kick`. Returns `None` if the value is `off`. This value is for platforms without
    /// service chaining, on which components cannot call each other.
    pub(crate) fn read(
        settings: &impl Settings,
        bot: Option<&BotCredentials>,
        queue: &QueueName,
    ) -> Result<Option<Self>, SettingsError> {
        if !settings.choice("kick", &[("on", true), ("off", false)])? {
            return Ok(None);
        }
        let queue = queue.as_str().to_owned();
        Ok(Some(Self { key: kick_key(settings, bot, &queue)?, queue }))
    }

    /// Asks the poller to begin a run, unless a run works already or all runs pause. The bot only logs a
    /// failure.
    pub(crate) async fn send<H: Host>(self, host: &H) {
        if is_run_at_work(host, &self.queue).await {
            return;
        }
        let request = Request::post(POLLER)
            .header(AUTHORIZATION, format!("Bearer {}", self.key.expose()))
            // With this header (RFC 7240), the poller responds when the run has begun. Without this header,
            // the poller would respond when the run has ended.
            .header("prefer", "respond-async")
            .body(Bytes::new());
        let reason = match request {
            Ok(request) => match host.send(request, TIMEOUTS).await {
                Ok(answer) if answer.status() == StatusCode::ACCEPTED => return,
                Ok(answer) => format!("the poller responded with {}", answer.status().as_u16()),
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        host.event(Level::Warn, "kick.failed", json!({"reason": reason}));
    }
}

#[cfg(test)]
mod tests {
    use platform::testing::{FakeHost, run};
    use platform::{Clock, TransportError};

    use super::*;

    fn host(kick: &str) -> FakeHost {
        FakeHost::with_settings([("storageconnection", "UseDevelopmentStorage=true"), ("kick", kick)])
    }

    fn kick(host: &FakeHost) -> Option<Kick> {
        Kick::read(host, None, &QueueName::parse("bot-queue").unwrap()).unwrap()
    }

    #[test]
    fn kick_calls_the_poller_with_the_derived_key_and_does_not_wait_for_the_run() {
        let host = host("");
        host.then_status(202, "{}");
        run(kick(&host).unwrap().send(&host));
        let sent = host.sent.borrow();
        let key = kick_key(&host, None, "bot-queue").unwrap();
        assert_eq!(sent[0].uri(), POLLER);
        assert_eq!(sent[0].headers()[AUTHORIZATION], format!("Bearer {}", key.expose()).as_str());
        assert_eq!(sent[0].headers()["prefer"], "respond-async");
        assert!(host.lines.borrow().is_empty());
    }

    #[test]
    fn kick_is_not_sent_when_off_or_while_a_run_works() {
        assert!(kick(&host("off")).is_none());
        let host = host("on");
        let record = json!({"run": "a", "untilMilliseconds": host.now().timestamp_millis() + 1000});
        host.store.borrow_mut().insert("drain:bot-queue".into(), record.to_string().into_bytes());
        run(kick(&host).unwrap().send(&host));
        assert!(host.sent.borrow().is_empty());
    }

    #[test]
    fn failed_kick_writes_one_log_line_without_the_key() {
        for answer in [
            Ok(platform::testing::response(401, "")),
            Ok(platform::testing::response(500, "")),
            Err(TransportError::Denied),
            Err(TransportError::ResponseLost("no response in time".into())),
        ] {
            let host = host("on");
            host.then(answer);
            let kick = kick(&host).unwrap();
            let key = kick.key.expose().to_owned();
            run(kick.send(&host));
            assert_eq!(host.events("kick.failed").len(), 1);
            assert!(!host.lines.borrow().iter().any(|line| line.contains(&key)));
        }
    }
}
