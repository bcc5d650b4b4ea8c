//! The stub of the queue service: one queue in memory, with the operations that the components use. The stub
//! does not check the signatures of requests.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write;
use std::time::Instant;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use dev::azurite::ACCOUNT;
use http::{HeaderValue, Method};

use super::stub::{Stub, response};

/// A queue service with one queue. The queue exists from the start.
#[derive(Debug)]
pub struct Queue(Stub<Messages>);

#[derive(Debug, Default)]
struct Messages {
    next_id: u64,
    last_put: Option<Instant>,
    visible: VecDeque<Message>,
    /// The *leased* messages, by id. Get Messages leases a message: the queue then hides this message. In the
    /// stub, a lease never expires. On Azure, the lease expires after 60 s, and the poller's run ends before
    /// that. So the poller sees no difference.
    leased: HashMap<String, Message>,
}

#[derive(Debug)]
struct Message {
    id: String,
    text: String,
    inserted: String,
    dequeue_count: u32,
}

impl Queue {
    /// The name of the queue.
    pub const NAME: &'static str = "bot-queue";

    pub(super) fn start() -> Self {
        Self(Stub::start(Messages::response))
    }

    /// The address of the stub: `127.0.0.1:<port>`.
    pub fn authority(&self) -> &str {
        self.0.authority()
    }

    /// The URL of the queue's messages.
    pub fn messages_url(&self) -> String {
        format!("http://{}/{ACCOUNT}/{}/messages", self.0.authority(), Self::NAME)
    }

    /// Puts a message on the queue. The stub does not count this operation as a call.
    pub fn put(&self, text: String) {
        self.0.state().put(text);
    }

    /// The number of messages, including leased messages.
    pub fn len(&self) -> usize {
        let messages = self.0.state();
        messages.visible.len() + messages.leased.len()
    }

    /// Whether [`Queue::len`] is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Deletes all messages. The stub does not count this operation as a call.
    pub fn clear(&self) {
        let mut messages = self.0.state();
        messages.visible.clear();
        messages.leased.clear();
    }

    /// The time of the last Put Message, or of the last [`Queue::put`].
    pub fn last_put(&self) -> Option<Instant> {
        self.0.state().last_put
    }

    /// The number of calls to the stub so far.
    pub fn calls(&self) -> u64 {
        self.0.calls()
    }

    pub(super) fn complaint(&self) -> Option<String> {
        self.0.complaint()
    }
}

impl Messages {
    fn response(&mut self, request: &http::Request<Bytes>) -> Option<http::Response<Bytes>> {
        let uri = request.uri();
        let below = uri.path().strip_prefix('/').and_then(|path| path.strip_prefix(ACCOUNT));
        let below = below.and_then(|path| path.strip_prefix('/')?.strip_prefix(Queue::NAME));
        let query = |name: &str| {
            let pairs = uri.query().unwrap_or_default().split('&');
            pairs
                .filter_map(|pair| pair.split_once('='))
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value)
        };
        match (request.method(), below?) {
            (&Method::POST, "/messages") => text_of(request.body()).map(|text| response(201, self.put(text))),
            (&Method::GET, "/messages") => {
                let count = query("numofmessages").and_then(|count| count.parse().ok()).unwrap_or(1);
                let is_peek = query("peekonly") == Some("true");
                Some(response(200, if is_peek { self.peek() } else { self.get(count) }))
            }
            (&Method::DELETE, path) => {
                self.leased.remove(path.strip_prefix("/messages/")?).map(|_| response(204, ""))
            }
            (&Method::PUT, path) => {
                let becomes_visible = query("visibilitytimeout") == Some("0");
                self.update(path.strip_prefix("/messages/")?, text_of(request.body()), becomes_visible)
            }
            _ => None,
        }
    }

    /// Put Message: stores the message, and returns the body of the response.
    fn put(&mut self, text: String) -> String {
        self.next_id += 1;
        self.last_put = Some(Instant::now());
        let message = Message {
            id: format!("00000000-0000-0000-0000-{:012}", self.next_id),
            text,
            inserted: rfc1123(Utc::now()),
            dequeue_count: 0,
        };
        let mut xml = String::from("<QueueMessagesList>");
        message.write(&mut xml, false);
        xml.push_str("</QueueMessagesList>");
        self.visible.push_back(message);
        xml
    }

    /// Peek Messages: returns the body of the response, with at most one message.
    fn peek(&self) -> String {
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?><QueueMessagesList>");
        if let Some(message) = self.visible.front() {
            message.write(&mut xml, true);
        }
        xml.push_str("</QueueMessagesList>");
        xml
    }

    /// Get Messages: leases messages, and returns the body of the response.
    fn get(&mut self, count: usize) -> String {
        let count = count.min(self.visible.len());
        let mut xml = String::with_capacity(256 + count * 2048);
        xml.push_str("<?xml version=\"1.0\" encoding=\"utf-8\"?><QueueMessagesList>");
        for mut message in self.visible.drain(..count) {
            message.dequeue_count += 1;
            message.write(&mut xml, true);
            self.leased.insert(message.id.clone(), message);
        }
        xml.push_str("</QueueMessagesList>");
        xml
    }

    /// Update Message: replaces the text if `text` is given. If `becomes_visible` is true, the message
    /// becomes visible. Otherwise, the message stays leased.
    fn update(
        &mut self,
        id: &str,
        text: Option<String>,
        becomes_visible: bool,
    ) -> Option<http::Response<Bytes>> {
        let mut message = self.leased.remove(id)?;
        if let Some(text) = text {
            message.text = text;
        }
        if becomes_visible {
            self.visible.push_back(message);
        } else {
            self.leased.insert(message.id.clone(), message);
        }
        let mut response = response(204, "");
        response.headers_mut().insert("x-ms-popreceipt", HeaderValue::from_static("AgAAAAMAAAAAAAAA"));
        Some(response)
    }
}

impl Message {
    fn write(&self, xml: &mut String, with_text: bool) {
        let Self { id, text, inserted, dequeue_count } = self;
        // Writing into a string does not fail.
        _ = write!(
            xml,
            "<QueueMessage><MessageId>{id}</MessageId><InsertionTime>{inserted}</InsertionTime>\
             <ExpirationTime>Fri, 31 Dec 9999 23:59:59 GMT</ExpirationTime><PopReceipt>AgAAAAMAAAAAAAAA</PopReceipt>\
             <TimeNextVisible>{inserted}</TimeNextVisible>"
        );
        if with_text {
            _ = write!(xml, "<DequeueCount>{dequeue_count}</DequeueCount><MessageText>{text}</MessageText>");
        }
        xml.push_str("</QueueMessage>");
    }
}

fn rfc1123(time: DateTime<Utc>) -> String {
    time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Returns the text between `<MessageText>` and `</MessageText>`. The components encode each message as
/// base64, so the text has no XML entities.
fn text_of(body: &[u8]) -> Option<String> {
    let body = std::str::from_utf8(body).ok()?;
    let (_, rest) = body.split_once("<MessageText>")?;
    Some(rest.split_once("</MessageText>")?.0.to_owned())
}
