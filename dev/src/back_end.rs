//! A back end: a program that calls a running bot. The back end sends alerts, and lists the conversations
//! that can get alerts.

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use ureq::Agent;

use crate::alert_key::AlertKey;
use crate::loopback_http::{agent, remote_agent};
use crate::run_note::RunNote;

/// The content type of an Adaptive Card.
const ADAPTIVE_CARD: &str = "application/vnd.microsoft.card.adaptive";

/// A back end that calls the bot at one address with one API key.
#[derive(Debug)]
pub struct BackEnd {
    agent: Agent,
    bot: String,
    key: AlertKey,
    callback_secret: Option<String>,
}

/// The result of an alert for one conversation. The bot's response to the alert has one result for each
/// conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alerted {
    /// The alert's id; `None` if the conversation gets no alert.
    pub id: Option<String>,
    /// `queued`, or the reason why the conversation gets no alert. `docs/alerts.md` lists the reasons.
    pub status: String,
}

impl BackEnd {
    /// Makes a back end for the bot at the address `bot` (`http://127.0.0.1:<port>`), with this API key.
    pub fn new(bot: &str, key: AlertKey) -> Self {
        Self { agent: agent(), bot: bot.to_owned(), key, callback_secret: None }
    }

    /// The random secret with which the poller signs callbacks (its calls to programs). `None` if a person
    /// has set another secret, or if this back end comes from another function than [`Self::find`].
    pub fn callback_secret(&self) -> Option<&str> {
        self.callback_secret.as_deref()
    }

    /// Makes a back end for the bot that `cargo dev up` runs together with the chat page on this port. The
    /// bot's address and API key come from the run note, a file that `cargo dev up` writes.
    pub fn find(playground_port: u16) -> anyhow::Result<Self> {
        let RunNote { bot, key, callback_secret, .. } = RunNote::read(playground_port)?;
        Ok(Self { callback_secret, ..Self::new(&bot, key) })
    }

    /// Sends an alert in the form of `POST /api/alerts`, e.g. `{"to": …, "text": …}`.
    pub fn alert(&self, alert: &Value) -> anyhow::Result<Vec<Alerted>> {
        let request = self.agent.post(self.url("/api/alerts")).header("authorization", self.authorization());
        let sent = request.content_type("application/json").send(alert.to_string());
        let response = self.read(sent, 202)?;
        let alerts = response["alerts"]
            .as_array()
            .context("the bot's response: expected a list of alerts, found none")?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let alerted =
            |alert: &Value| Some(Alerted { id: text(&alert["id"]), status: text(&alert["status"])? });
        alerts
            .iter()
            .map(alerted)
            .collect::<Option<_>>()
            .context("the bot's response: expected a status of each alert, found an alert without one")
    }

    /// Returns the first 100 conversations that the bot knows, in the form of `GET /api/targets`.
    pub fn targets(&self) -> anyhow::Result<Vec<Value>> {
        let request = self.agent.get(self.url("/api/targets")).header("authorization", self.authorization());
        match self.read(request.call(), 200)?["targets"].take() {
            Value::Array(targets) => Ok(targets),
            _ => bail!("the bot's response: expected a list of targets, found none"),
        }
    }

    /// Makes a back end for the bot at this address, perhaps on another machine. The address must be https,
    /// or http on this machine. With another address, the API key would cross the network unencrypted.
    pub fn at_address(url: &str, key: &str) -> anyhow::Result<Self> {
        let bot = url.trim().trim_end_matches('/');
        let host = bot.strip_prefix("http://").map(|rest| rest.split(['/', ':']).next().unwrap_or_default());
        let is_safe = match host {
            Some(host) => ["localhost", "127.0.0.1"].contains(&host),
            None => bot.starts_with("https://"),
        };
        ensure!(is_safe, "--url: expected https://<host of the bot>, or http:// and localhost");
        let key = AlertKey::new(key);
        ensure!(
            key.bearer().is_some(),
            "ALERTKEY: expected an API key with the scope `operate`; set the environment variable"
        );
        Ok(Self { agent: remote_agent(), bot: bot.to_owned(), key, callback_secret: None })
    }

    /// Calls a route, and returns the HTTP status and the JSON of the response. Fails if the HTTP status is
    /// 400 or more.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<(u16, Value)> {
        let request = ureq::http::Request::builder().method(method).uri(self.url(path));
        let request = request.header("authorization", self.authorization());
        let sent = match body {
            Some(body) => {
                let request = request.header("content-type", "application/json").body(body.to_string())?;
                self.agent.run(request)
            }
            None => self.agent.run(request.body(())?),
        };
        let mut response =
            sent.with_context(|| format!("{}: the bot does not respond; check the address", self.bot))?;
        let status = response.status().as_u16();
        let body = response.body_mut().read_to_string().unwrap_or_default();
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        let message = body["error"]["message"].as_str().unwrap_or("no reason given");
        ensure!(status < 400, "the bot refuses the call ({status}): {message}");
        Ok((status, body))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.bot)
    }

    fn authorization(&self) -> String {
        format!("Bearer {}", self.key.bearer().unwrap_or_default())
    }

    fn read(
        &self,
        response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
        expected: u16,
    ) -> anyhow::Result<Value> {
        let mut response = response.with_context(|| {
            format!("{}: the bot does not respond; end `cargo dev up` and start it again", self.bot)
        })?;
        let status = response.status().as_u16();
        let body = response.body_mut().read_to_string().unwrap_or_default();
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        let message = body["error"]["message"].as_str().unwrap_or("no reason given");
        ensure!(status == expected, "the bot refuses the call ({status}): {message}");
        Ok(body)
    }
}

/// Makes the attachment by which an activity shows this Adaptive Card. Fails if the `type` of `card` is not
/// `AdaptiveCard`.
pub fn attachment_of(card: &Value) -> anyhow::Result<Value> {
    ensure!(
        card["type"] == "AdaptiveCard",
        "card: expected the `type` AdaptiveCard, found another one; https://adaptivecards.io/designer makes cards"
    );
    Ok(json!({"contentType": ADAPTIVE_CARD, "content": card}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adaptive_card_becomes_an_attachment_and_other_json_is_refused() {
        let card = json!({"type": "AdaptiveCard", "version": "1.5", "body": []});
        let attachment = attachment_of(&card).unwrap();
        assert_eq!(attachment["content"], card);
        for other in [json!({}), json!([]), json!("AdaptiveCard"), json!({"type": "message"}), attachment] {
            assert!(attachment_of(&other).is_err(), "{other}");
        }
    }

    #[test]
    fn key_is_sent_over_https_or_within_this_machine_only() {
        for (url, expected) in [
            ("https://bot.example", true),
            ("https://bot.example/", true),
            ("http://127.0.0.1:3000", true),
            ("http://localhost:3000/", true),
            ("http://bot.example", false),
            ("http://localhost.bot.example", false),
            ("http://localhost@bot.example", false),
            ("bot.example", false),
            ("", false),
        ] {
            assert_eq!(BackEnd::at_address(url, "a key").is_ok(), expected, "{url}");
            assert!(BackEnd::at_address(url, " ,").is_err(), "{url}");
        }
    }

    #[test]
    fn bot_that_does_not_answer_gives_an_error_with_the_remedy() {
        let port = crate::ports::free().unwrap();
        let back_end = BackEnd::new(&format!("http://127.0.0.1:{port}"), AlertKey::random().unwrap());
        let error = format!("{:#}", back_end.targets().unwrap_err());
        assert!(error.contains(&port.to_string()) && error.contains("cargo dev up"), "{error}");
    }
}
