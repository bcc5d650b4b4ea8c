//! Runs the whole application as `cargo dev up` does, but on free ports. The M365 Agents Playground (a test
//! program of Microsoft) acts as the channel, the service that connects people with the bot. The Playground
//! serves the chat page, and has the Connector that the bot calls. The Playground records its HTTP calls to
//! the bot, and the bot's calls to the Playground.

use std::path::PathBuf;

use dev::alert_key::AlertKey;
use dev::application::{Application, ApplicationOptions};
use dev::azurite::{Azurite, AzuritePorts};
use dev::back_end::{BackEnd, attachment_of};
use dev::chat::PersonalChat;
use dev::ports;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::failure;
use crate::suite::World;
use crate::waiting::eventually;

/// Makes an Adaptive Card with a title, a text and a button that opens an address.
pub fn card(title: &str, text: &str, button: &str) -> Value {
    json!({
        "type": "AdaptiveCard",
        "$schema": "https://adaptivecards.io/schemas/adaptive-card.json",
        "version": "1.5",
        "body": [
            {"type": "TextBlock", "text": title, "weight": "Bolder", "size": "Large"},
            {"type": "TextBlock", "text": text, "wrap": true},
        ],
        "actions": [{"type": "Action.OpenUrl", "title": button, "url": "https://orders.example/42"}],
    })
}

/// A running application with its chat page.
#[derive(Debug)]
pub struct ChatPage {
    application: Application,
    port: u16,
    recording: PathBuf,
    folder: TempDir,
}

/// An activity that the bot sent to the Connector of the Playground.
#[derive(Debug, Clone)]
pub struct SentActivity {
    /// The activity.
    pub activity: Value,
    /// The HTTP status of the Connector's response.
    pub status: u64,
}

impl SentActivity {
    /// The activity's text.
    pub fn text(&self) -> &str {
        self.activity["text"].as_str().unwrap_or_default()
    }
}

impl ChatPage {
    /// Starts the application and its chat page. The Playground acts as the channel `channel_id`, such as
    /// `msteams`.
    #[track_caller]
    pub fn start(world: &World, channel_id: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("e2e-chat-").tempdir().unwrap();
        let recording = folder.path().join("recording.txt");
        let port = ports::free().unwrap();
        let application = Application::start(&ApplicationOptions {
            host: world.host(),
            bot_port: ports::free().unwrap(),
            azurite_ports: AzuritePorts::free().unwrap(),
            playground_port: port,
            channel_id: channel_id.into(),
            variables: Vec::new(),
            alert_key: Some(AlertKey::random().unwrap()),
            state_dir: folder.path().join("state"),
            recording: Some(recording.clone()),
        });
        let application =
            application.unwrap_or_else(|error| panic!("the application does not start: {error:#}"));
        Self { application, port, recording, folder }
    }

    /// The Azurite (storage emulator) that holds the bot's queue and tables.
    pub fn azurite(&self) -> &Azurite {
        self.application.azurite()
    }

    /// The folder of the Spin host's key-value store and of the chat page's log.
    pub fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The page's address.
    pub fn url(&self) -> String {
        self.application.playground().url()
    }

    /// Finds the conversation between the Playground's user and the bot. This function needs no browser,
    /// because the function calls the HTTP routes of the Playground.
    #[track_caller]
    pub fn chat(&self) -> PersonalChat {
        PersonalChat::find(self.port).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Makes a back end: a client that calls this application's alert routes. This function reads the API key
    /// from a file of the application. `cargo dev send` reads the same file.
    #[track_caller]
    pub fn back_end(&self) -> BackEnd {
        BackEnd::find(self.port).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// The secret with which the poller signs callbacks. A *callback* is an HTTP call from the poller to a
    /// program. The call reports a person's answer to a question of this program.
    #[track_caller]
    pub fn callback_secret(&self) -> String {
        self.back_end().callback_secret().expect("a secret for callbacks").to_owned()
    }

    /// Sends an alert with a card and a summary to the only stored conversation. Returns the alert's
    /// attachments.
    #[track_caller]
    pub fn alert_with_card(&self, card: &Value) -> Value {
        let back_end = self.back_end();
        let targets = back_end.targets().unwrap_or_else(|error| panic!("{error:#}"));
        let [target] = &targets[..] else { panic!("expected one conversation, found {targets:?}") };
        let attachments = json!([attachment_of(card).unwrap()]);
        let alert = json!({
            "to": {"conversation": target["conversation"]},
            "activity": {"attachments": attachments, "summary": "A card"},
        });
        let alerted = back_end.alert(&alert).unwrap_or_else(|error| panic!("{error:#}"));
        assert!(
            alerted.len() == 1 && alerted[0].status == "queued",
            "expected one queued alert, found {alerted:?}"
        );
        attachments
    }

    /// Waits until the bot has sent an activity with exactly this text.
    #[track_caller]
    pub fn wait_for(&self, text: &str) -> SentActivity {
        eventually(&format!("an activity of the bot with text {text:?}"), || {
            self.activities_of_the_bot().into_iter().find(|said| said.text() == text)
        })
    }

    /// Waits until the bot has sent these attachments.
    #[track_caller]
    pub fn wait_for_attachments(&self, attachments: &Value) -> SentActivity {
        eventually(&format!("an activity of the bot with attachments {attachments}"), || {
            self.activities_of_the_bot().into_iter().find(|said| said.activity["attachments"] == *attachments)
        })
    }

    /// The activities that the bot has sent so far, in the order of the recording.
    pub fn activities_of_the_bot(&self) -> Vec<SentActivity> {
        let from_the_bot = |exchange: &Value| {
            let direction = exchange["direction"].as_str().unwrap_or_default();
            direction.starts_with("User Application")
        };
        let said = |mut exchange: Value| SentActivity {
            activity: exchange["request"]["body"].take(),
            status: exchange["response"]["statusCode"].as_u64().unwrap_or_default(),
        };
        self.exchanges().into_iter().filter(from_the_bot).map(said).collect()
    }

    /// Reads the recording. The recording has one JSON object for each HTTP call, and a line `---` after each
    /// object.
    fn exchanges(&self) -> Vec<Value> {
        let recording = std::fs::read_to_string(&self.recording).unwrap_or_default();
        let mut objects: Vec<&str> = recording.split("\n---\n").collect();
        // After the last line `---`, there is no object, or an object that the Playground is still writing.
        objects.pop();
        let parse = |object| serde_json::from_str(object).unwrap_or_else(|error| panic!("{error}: {object}"));
        objects.into_iter().map(parse).collect()
    }
}

impl Drop for ChatPage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.application.host().output();
            failure::note(format!("The host's last lines:\n{}", failure::tail(&log)));
            let recording = std::fs::read_to_string(&self.recording).unwrap_or_default();
            failure::note(format!("The traffic between the chat page and the bot:\n{recording}"));
        }
    }
}
