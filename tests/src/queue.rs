//! Reads and fills the queue of a case in the real Azurite, with the project's own client. In this file, a
//! *message* is a queue message.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use platform::Deadline;
use serde_json::Value;
use storage_queue::{Account, PutOptions, QueueClient, QueueError, QueueName, TimeToLive};

use crate::ports::Machine;
use crate::runtime::runtime;

/// The time limit of one [`Queue::with`]: all its storage calls together must end within this time.
const WITHIN: Duration = Duration::from_secs(20);

impl Clone for Queue {
    fn clone(&self) -> Self {
        self.with_name(self.name.clone())
    }
}

/// A queue in Azurite.
#[derive(Debug)]
pub struct Queue {
    account: Account,
    name: QueueName,
    machine: Machine,
}

impl Queue {
    /// Names a queue, but does not create the queue.
    pub fn new(connection_string: &str, name: &str) -> Self {
        Self {
            account: Account::parse(connection_string).unwrap(),
            name: QueueName::parse(name).unwrap(),
            machine: Machine::default(),
        }
    }

    fn with_name(&self, name: QueueName) -> Self {
        Self { account: self.account.clone(), name, machine: Machine::default() }
    }

    /// The queue's name.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Returns the queue of the same account that has this name. Does not create the queue.
    pub fn named(&self, name: &str) -> Self {
        self.with_name(QueueName::parse(name).unwrap())
    }

    /// The poison queue of this queue.
    pub fn poison(&self) -> Self {
        self.with_name(self.name.poison())
    }

    /// Runs `calls` with a client for this queue, and waits for the result.
    pub fn with<T>(&self, calls: impl AsyncFnOnce(QueueClient<'_, Machine>) -> T) -> T {
        let deadline = Deadline::after(&self.machine, WITHIN);
        let client = QueueClient::new(&self.machine, &self.account, &self.name, deadline);
        runtime().block_on(calls(client))
    }

    /// Whether the queue exists.
    pub fn exists(&self) -> bool {
        match self.with(async |client| client.approximate_count().await) {
            Ok(_) => true,
            Err(QueueError::QueueMissing) => false,
            Err(error) => panic!("the queue does not answer: {error}"),
        }
    }

    /// How many messages the queue contains, hidden messages included; 0 if the queue is missing.
    pub fn count(&self) -> u64 {
        match self.with(async |client| client.approximate_count().await) {
            Err(QueueError::QueueMissing) => 0,
            count => count.unwrap(),
        }
    }

    /// Puts a text as it is, without base64. Creates the queue if the queue is missing.
    pub fn put(&self, text: &str) {
        let options = PutOptions { time_to_live: TimeToLive::Never, ..PutOptions::default() };
        self.with(async |client| client.put_creating_queue_if_missing(text, options).await).unwrap();
    }

    /// Puts JSON as base64.
    pub fn put_json(&self, json: &Value) {
        self.put(&STANDARD.encode(json.to_string()));
    }

    /// Peeks at the texts of up to 32 visible messages.
    pub fn texts(&self) -> Vec<String> {
        match self.with(async |client| client.peek(32).await) {
            Err(QueueError::QueueMissing) => Vec::new(),
            texts => texts.unwrap(),
        }
    }

    /// Deletes every visible message, and returns the texts.
    pub fn take_all(&self) -> Vec<String> {
        self.with(async |client| {
            let mut texts = Vec::new();
            loop {
                let messages = match client.get(32, 60).await {
                    Err(QueueError::QueueMissing) => return texts,
                    messages => messages.unwrap(),
                };
                if messages.is_empty() {
                    return texts;
                }
                for message in messages {
                    client.delete(&message.id, &message.pop_receipt).await.unwrap();
                    texts.push(message.text);
                }
            }
        })
    }

    /// The JSON of up to 32 visible messages.
    pub fn envelopes(&self) -> Vec<Value> {
        self.texts().iter().map(|text| decode(text)).collect()
    }
}

/// Reads the envelope from a message's text, as the poller reads it; `None` if the text contains no JSON.
pub fn envelope_of(text: &str) -> Option<Value> {
    serde_json::from_str(&envelope::json_of(text).ok()?).ok()
}

/// Reads the JSON from a message's text.
#[track_caller]
pub fn decode(text: &str) -> Value {
    envelope_of(text).unwrap_or_else(|| panic!("no JSON: {text}"))
}
