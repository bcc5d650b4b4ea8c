//! `cargo dev send`: sends a message to the bot, or an alert to the person who has opened the chat page.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use dev::back_end::{Alerted, BackEnd, attachment_of};
use dev::chat::PersonalChat;
use dev::playground::Playground;
use serde_json::{Value, json};

#[derive(Debug, Args)]
pub(crate) struct Send {
    /// The message of the person to the bot, e.g. "hello"
    #[arg(required_unless_present_any = ["alert", "card", "ask"], conflicts_with_all = ["alert", "card", "ask"])]
    text: Option<String>,
    /// Sends the person an alert, e.g. "The pizza is ready", through POST /api/alerts, as other programs do
    #[arg(long, value_name = "TEXT")]
    alert: Option<String>,
    /// Asks the person this question, e.g. "Deploy?", waits for the answer, and prints the answer
    #[arg(long, value_name = "TEXT", conflicts_with = "alert")]
    ask: Option<String>,
    /// A button of the question, e.g. approve, or approve="Approve it". Without --action, the question has
    /// one button, Acknowledge
    #[arg(long = "action", value_name = "ID[=TITLE]", requires = "ask", conflicts_with = "alert")]
    actions: Vec<String>,
    /// A JSON file with an Adaptive Card. The bot sends this card with the text of --alert or --ask, or
    /// without a text
    #[arg(long, value_name = "FILE")]
    card: Option<PathBuf>,
    /// The port of the chat page of `cargo dev up`
    #[arg(long, default_value_t = Playground::PORT)]
    playground_port: u16,
}

impl Send {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let chat = PersonalChat::find(self.playground_port)?;
        let page = format!("http://localhost:{}", self.playground_port);
        if let Some(text) = &self.text {
            chat.say(text)?;
            println!("Sent. If the chat page is open, the bot's reply appears there: {page}");
            return Ok(());
        }
        let text = self.ask.as_ref().or(self.alert.as_ref());
        let mut alert = json!({"to": {"address": chat.reference()}, "text": text});
        if self.ask.is_some() {
            match self.actions.as_slice() {
                [] => alert["acknowledge"] = true.into(),
                actions => alert["actions"] = actions.iter().map(|action| action_of(action)).collect(),
            }
        }
        if let Some(card) = &self.card {
            alert["activity"] = json!({"attachments": [read_card(card)?]});
        }
        let back_end = BackEnd::find(self.playground_port)?;
        let alerted = back_end.alert(&alert)?;
        let id = id_of_the_queued_alert(&alerted)?;
        if self.ask.is_some() {
            eprintln!("Asked as alert {id}. Press a button in the chat page: {page}");
            println!("{}", wait_for_answer(&back_end, id)?);
            return Ok(());
        }
        println!("Accepted as alert {id}. If the chat page is open, the alert appears there at once: {page}");
        Ok(())
    }
}

/// Makes a button from a value of `--action`: `<id>` or `<id>=<title>`. Without a title, the button shows the
/// id with a capital first letter.
fn action_of(action: &str) -> Value {
    let (id, title) = match action.split_once('=') {
        Some((id, title)) => (id, title.to_owned()),
        None => {
            let mut letters = action.chars();
            let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
            (action, first + letters.as_str())
        }
    };
    json!({"id": id, "title": title})
}

/// Waits until the person has answered. Returns the id of the button that the person pressed, and the text
/// that the person typed, if any.
fn wait_for_answer(back_end: &BackEnd, id: &str) -> anyhow::Result<String> {
    loop {
        let (_, alert) = back_end.call("GET", &format!("/api/alerts/{id}?wait=30"), None)?;
        match alert["status"].as_str().unwrap_or_default() {
            "answered" => {
                let answer = &alert["answer"];
                let name = answer["by"]["name"].as_str().unwrap_or("the person in the chat page");
                eprintln!("Answered by {name}.");
                let action = answer["action"].as_str().unwrap_or_default();
                let input = answer["input"].as_str().map(|input| format!(": {input}"));
                return Ok(format!("{action}{}", input.unwrap_or_default()));
            }
            "queued" | "waiting" | "delivered" => {}
            other => bail!("the question got no answer, because its status is {other}; ask again"),
        }
    }
}

fn read_card(path: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let card = serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))?;
    attachment_of(&card).with_context(|| path.display().to_string())
}

/// Returns the id of the alert if exactly one alert is queued. Otherwise, fails with the reason.
fn id_of_the_queued_alert(alerted: &[Alerted]) -> anyhow::Result<&str> {
    match alerted {
        [Alerted { id: Some(id), status }] if status == "queued" => Ok(id),
        [Alerted { status, .. }] if status == "stopped" => {
            bail!(
                "the person in the chat page gets no alerts, because they sent `stop`; undo it: cargo dev send start"
            )
        }
        [Alerted { status, .. }] => bail!(
            "the conversation of the chat page gets no alerts, because the status of the conversation is {status}; first \
             send a message to the bot: cargo dev send hello"
        ),
        _ => bail!("the bot's response: expected one alert, found {}", alerted.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Cli {
        #[command(flatten)]
        send: Send,
    }

    #[test]
    fn arguments_are_a_message_or_an_alert() {
        use clap::Parser;
        for (arguments, expected) in [
            (&["hello"][..], true),
            (&["--alert", "pizza"], true),
            (&["--card", "card.json"], true),
            (&["--alert", "pizza", "--card", "card.json"], true),
            (&[], false),
            (&["hello", "--alert", "pizza"], false),
            (&["hello", "--card", "card.json"], false),
            (&["--playground-port", "1"], false),
            (&["--ask", "Deploy?"], true),
            (&["--ask", "Deploy?", "--action", "approve", "--action", "reject=Not now"], true),
            (&["--ask", "Deploy?", "--card", "card.json"], true),
            (&["--ask", "Deploy?", "--alert", "x"], false),
            (&["hello", "--ask", "Deploy?"], false),
            (&["--alert", "x", "--action", "approve"], false),
        ] {
            let parsed = Cli::try_parse_from([&["send"], arguments].concat());
            assert_eq!(parsed.is_ok(), expected, "{arguments:?}: {parsed:?}");
        }
    }

    #[test]
    fn button_has_its_id_and_a_title() {
        for (action, expected) in [
            ("approve", json!({"id": "approve", "title": "Approve"})),
            ("reject=Not now", json!({"id": "reject", "title": "Not now"})),
            ("\u{e9}tage", json!({"id": "\u{e9}tage", "title": "\u{c9}tage"})),
        ] {
            assert_eq!(action_of(action), expected);
        }
    }

    #[test]
    fn other_result_than_one_queued_alert_is_an_error_with_the_reason() {
        let alerted =
            |id: Option<&str>, status: &str| Alerted { id: id.map(Into::into), status: status.into() };
        assert_eq!(id_of_the_queued_alert(&[alerted(Some("a"), "queued")]).unwrap(), "a");
        for (alerts, hint) in [
            (vec![alerted(None, "stopped")], "send start"),
            (vec![alerted(None, "paused")], "send hello"),
            (vec![alerted(Some("a"), "queued"), alerted(Some("b"), "queued")], "found 2"),
        ] {
            let error = id_of_the_queued_alert(&alerts).unwrap_err().to_string();
            assert!(error.contains(hint), "{error}");
        }
    }
}
