//! Asks the bot for a *webhook address*, and posts to this address as a program does. A webhook address
//! belongs to one conversation. The bot sends each post to this conversation as an alert.

use hmac::{Hmac, KeyInit, Mac};
use platform::hex;
use sha2::Sha256;

use crate::activity::message;
use crate::stage::Stage;
use crate::waiting::eventually;
use crate::web::{self, WholeResponse};

/// A webhook address, and the secret with which programs sign their posts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    pub url: String,
    pub secret: String,
}

impl Hook {
    /// Reads the address and the secret from a reply of the bot. Returns `None` if the reply lacks the
    /// address or the secret.
    pub fn in_reply(text: &str) -> Option<Self> {
        let mut lines = text.lines().map(|line| line.trim_matches('`'));
        let url = lines.find(|line| line.starts_with("http") && line.contains("/api/hooks/"))?;
        let secret = lines.find_map(|line| line.split_once("The secret for that: "))?.1;
        Some(Self { url: url.to_owned(), secret: secret.trim_matches('`').to_owned() })
    }

    /// The token of the webhook, which is the last part of the address.
    pub fn token(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or_default()
    }

    /// Posts JSON to the webhook address.
    #[track_caller]
    pub fn post(&self, body: &serde_json::Value) -> WholeResponse {
        self.post_with(&[("content-type", "application/json")], &body.to_string())
    }

    /// Posts a body with these headers to the webhook address.
    #[track_caller]
    pub fn post_with(&self, headers: &[(&str, &str)], body: &str) -> WholeResponse {
        send(http::Method::POST, &self.url, headers, body)
    }

    /// The signature of a body: the HMAC-SHA256 with the secret as the key, in hexadecimal.
    pub fn signature(&self, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).expect("any length");
        mac.update(body.as_bytes());
        hex(&mac.finalize().into_bytes())
    }
}

/// Sends a request to an address.
#[track_caller]
pub fn send(method: http::Method, url: &str, headers: &[(&str, &str)], body: &str) -> WholeResponse {
    let mut request = http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    web::send(request.body(web::whole(body.to_owned())).unwrap())
}

/// Sends `text` to the bot as a person in a personal chat. Returns the webhook that the bot's reply shows.
#[track_caller]
pub fn ask(stage: &Stage, conversation: &str, text: &str) -> Hook {
    let before = stage.connector.received().len();
    let id = format!("{conversation}-{text}-{before}");
    stage.say(&message(conversation, &id, text));
    eventually("a reply with a webhook address", || {
        stage.connector.received()[before..].iter().find_map(|received| Hook::in_reply(received.text()))
    })
}

/// Gets the webhook of the personal chat `a:1`, and clears the fake Connector's record of requests.
#[track_caller]
pub fn hook(stage: &Stage) -> Hook {
    let hook = ask(stage, "a:1", "webhook");
    stage.connector.forget();
    hook
}
