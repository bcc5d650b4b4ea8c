//! Reads and fills the queue of a case (one end-to-end test) in Azurite, Microsoft's emulator of Azure
//! Storage. The calls go through the project's own client. In this file, a *message* is a queue message.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use platform::Deadline;
use serde_json::Value;
use storage_queue::{Account, PutOptions, QueueClient, QueueError, QueueName, TimeToLive};

use crate::ports::Machine;
use crate::runtime::runtime;

/// The time limit for all storage calls that one execution of [`Queue::with`] makes.
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
    /// Makes a value for the queue with this name. Does not create the queue.
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

    /// Makes a value for another queue of the same account. Does not create the queue.
    pub fn named(&self, name: &str) -> Self {
        self.with_name(QueueName::parse(name).unwrap())
    }

    /// The poison queue of this queue: the queue for the messages that the poller could not deliver.
    pub fn poison(&self) -> Self {
        self.with_name(self.name.poison())
    }

    /// Runs `calls` with a client for this queue. Blocks until `calls` ends, and returns the result.
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
            Err(error) => panic!("the queue does not respond: {error}"),
        }
    }

    /// How many messages the queue contains, including hidden messages; 0 if the queue is missing.
    pub fn count(&self) -> u64 {
        match self.with(async |client| client.approximate_count().await) {
            Err(QueueError::QueueMissing) => 0,
            count => count.unwrap(),
        }
    }

    /// Puts a message with this text on the queue, without base64. The message never expires. Creates the
    /// queue if the queue is missing.
    pub fn put(&self, text: &str) {
        let options = PutOptions { time_to_live: TimeToLive::Never, ..PutOptions::default() };
        self.with(async |client| client.put_creating_queue_if_missing(text, options).await).unwrap();
    }

    /// Puts a message with this JSON on the queue, in base64.
    pub fn put_json(&self, json: &Value) {
        self.put(&STANDARD.encode(json.to_string()));
    }

    /// Returns the texts of up to 32 visible messages, which stay on the queue (Peek Messages). If the queue
    /// is missing, the list is empty.
    pub fn texts(&self) -> Vec<String> {
        match self.with(async |client| client.peek(32).await) {
            Err(QueueError::QueueMissing) => Vec::new(),
            texts => texts.unwrap(),
        }
    }

    /// Takes all visible messages off the queue, and returns their texts.
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

    /// Returns the envelopes (the JSON) of up to 32 visible messages, which stay on the queue.
    pub fn envelopes(&self) -> Vec<Value> {
        self.texts().iter().map(|text| decode(text)).collect()
    }
}

/// Decodes the envelope (the JSON) in a message's text, in the same way as the poller. Returns `None` if the
/// text contains no JSON.
pub fn envelope_of(text: &str) -> Option<Value> {
    serde_json::from_str(&envelope::json_of(text).ok()?).ok()
}

/// Like [`envelope_of`], but fails the test if the text contains no JSON.
#[track_caller]
pub fn decode(text: &str) -> Value {
    envelope_of(text).unwrap_or_else(|| panic!("no JSON: {text}"))
}
