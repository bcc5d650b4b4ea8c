//! Saying something in a running chat page from outside of it, by the routes that the page itself uses.
//!
//! They are internal to the Playground and hold for the version that `package.json` pins.

use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use ureq::Agent;

/// How long the Playground may take to answer: it waits for the bot before it does.
const WITHIN: Duration = Duration::from_secs(30);

/// The conversation between one person and the bot in a running Playground.
#[derive(Debug)]
pub struct PersonalChat {
    agent: Agent,
    base: String,
    conversation: String,
    person: String,
}

impl PersonalChat {
    /// Finds it in the Playground that runs on this port.
    pub fn find(port: u16) -> anyhow::Result<Self> {
        let agent =
            Agent::new_with_config(Agent::config_builder().timeout_global(Some(WITHIN)).proxy(None).build());
        let base = format!("http://127.0.0.1:{port}");
        let Ok(mut answer) = agent.get(format!("{base}/_internal/v1/config")).call() else {
            bail!(
                "no chat page runs on port {port}: start `cargo dev up` in another terminal, or name its port with --playground-port"
            );
        };
        let answer = answer.body_mut().read_to_string().unwrap_or_default();
        let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
        let id = |of: &str| answer["config"][of]["id"].as_str().map(str::to_owned);
        match (id("personalChat"), id("currentUser")) {
            (Some(conversation), Some(person)) => Ok(Self { agent, base, conversation, person }),
            _ => bail!(
                "what runs on port {port} is not the chat page of `cargo dev up`: name its port with --playground-port"
            ),
        }
    }

    /// Its id, as the bot sees it.
    pub fn conversation(&self) -> &str {
        &self.conversation
    }

    /// Adds the bot, as the page does when it is opened.
    pub fn add_the_bot(&self) -> anyhow::Result<()> {
        self.post(&format!("_debug/conversation/{}/installation", self.conversation), json!({}))
    }

    /// Says something in the person's name.
    pub fn say(&self, text: &str) -> anyhow::Result<()> {
        let message = json!({"from": {"id": self.person}, "text": text, "textFormat": "plain"});
        self.post(&format!("_conversation/v1/conversations/{}/messages", self.conversation), message)
    }

    fn post(&self, path: &str, body: Value) -> anyhow::Result<()> {
        let request = self.agent.post(format!("{}/{path}", self.base)).content_type("application/json");
        request
            .send(body.to_string())
            .map(drop)
            .with_context(|| format!("the chat page refuses POST /{path}"))
    }
}
