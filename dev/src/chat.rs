//! Sends a person's messages to the bot without a browser, by the HTTP routes that the chat page itself uses.
//!
//! The chat page is Microsoft's M365 Agents Playground. The routes are internal to the Playground. Another
//! version can have other routes, so `package.json` pins the version.

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use ureq::Agent;

use crate::loopback_http::agent;
use crate::playground::service_url;

/// The conversation between one person and the bot in a running Playground.
#[derive(Debug)]
pub struct PersonalChat {
    agent: Agent,
    base: String,
    conversation: String,
    person: String,
    reference: Value,
}

impl PersonalChat {
    /// Finds the conversation in the Playground that runs on this port.
    pub fn find(port: u16) -> anyhow::Result<Self> {
        let agent = agent();
        let base = format!("http://127.0.0.1:{port}");
        let Ok(mut response) = agent.get(format!("{base}/_internal/v1/config")).call() else {
            bail!(
                "port {port}: no chat page runs there; start `cargo dev up` in another terminal, or name the page's port with \
                 --playground-port"
            );
        };
        let response = response.body_mut().read_to_string().unwrap_or_default();
        let response: Value = serde_json::from_str(&response).unwrap_or_default();
        let config = &response["config"];
        let id = |of: &str| config[of]["id"].as_str().map(str::to_owned);
        // The conversation's reference has the same ids and the same `serviceUrl` as each activity that the
        // page sends to the bot.
        let reference = json!({
            "channelId": response["internalConfig"]["channelId"],
            "serviceUrl": service_url(port),
            "conversation": {"id": config["personalChat"]["id"]},
            "bot": config["bot"],
            "user": {"id": config["currentUser"]["id"], "name": config["currentUser"]["name"]},
        });
        match (id("personalChat"), id("currentUser")) {
            (Some(conversation), Some(person)) => Ok(Self { agent, base, conversation, person, reference }),
            _ => bail!(
                "port {port}: another program than the chat page of `cargo dev up` runs there; name the page's port with \
                 --playground-port"
            ),
        }
    }

    /// The conversation's id, as the bot sees it.
    pub fn conversation(&self) -> &str {
        &self.conversation
    }

    /// The conversation's reference: the ids and the address with which the bot can reach the conversation. A
    /// program that alerts people stores references in this form.
    pub fn reference(&self) -> &Value {
        &self.reference
    }

    /// Adds the bot to the conversation. The chat page does the same when a person opens the page.
    pub fn add_the_bot(&self) -> anyhow::Result<()> {
        self.post(&format!("_debug/conversation/{}/installation", self.conversation), json!({}))
    }

    /// Sends a message of the person.
    pub fn say(&self, text: &str) -> anyhow::Result<()> {
        let message = json!({"from": {"id": self.person}, "text": text, "textFormat": "plain"});
        self.post(&format!("_conversation/v1/conversations/{}/messages", self.conversation), message)
    }

    fn post(&self, path: &str, body: Value) -> anyhow::Result<()> {
        let request = self.agent.post(format!("{}/{path}", self.base)).content_type("application/json");
        let response = request.send(body.to_string()).with_context(|| format!("POST /{path}"))?;
        ensure!(response.status().is_success(), "the chat page refuses POST /{path} ({})", response.status());
        Ok(())
    }
}
