//! A fake queue service. A Get Messages call hides each returned message for the time that the call names,
//! and gives the message a new receipt. The call returns the messages in the order in which the messages
//! became visible.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{Request, Response};
use platform::testing::response;
use url::form_urlencoded;

#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) inserted_at: DateTime<Utc>,
    pub(super) visible_at: DateTime<Utc>,
    receipt: String,
}

#[derive(Debug, Default)]
pub(super) struct FakeQueues {
    pub(super) queues: BTreeMap<String, Vec<Message>>,
    counter: u64,
}

impl FakeQueues {
    /// Puts a message on the queue, and returns the message's id.
    pub(super) fn put(&mut self, queue: &str, text: &str, now: DateTime<Utc>) -> String {
        self.counter += 1;
        let id = format!("00000000-0000-0000-0000-{:012}", self.counter);
        let message = Message {
            id: id.clone(),
            text: text.into(),
            inserted_at: now,
            visible_at: now,
            receipt: String::new(),
        };
        self.queues.entry(queue.into()).or_default().push(message);
        id
    }

    pub(super) fn texts(&self, queue: &str) -> Vec<String> {
        self.queues.get(queue).into_iter().flatten().map(|message| message.text.clone()).collect()
    }

    pub(super) fn response(&mut self, request: &Request<Bytes>, now: DateTime<Utc>) -> Response<Bytes> {
        let segments: Vec<&str> = request.uri().path().split('/').skip(2).collect();
        let query: BTreeMap<String, String> =
            form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect();
        let number =
            |name: &str| query.get(name).and_then(|value| value.parse::<i64>().ok()).unwrap_or_default();
        let lease = TimeDelta::seconds(number("visibilitytimeout"));
        if request.method() == "PUT" && segments.len() == 1 {
            self.queues.entry(segments[0].into()).or_default();
            return response(201, "");
        }
        let Some(messages) = self.queues.get_mut(segments[0]) else { return refused(404, "QueueNotFound") };
        match (request.method().as_str(), &segments[1..]) {
            ("GET", []) => {
                let mut response = response(200, "");
                let count = messages.len().to_string().parse().unwrap();
                response.headers_mut().insert("x-ms-approximate-messages-count", count);
                response
            }
            ("POST", ["messages"]) => {
                let body = std::str::from_utf8(request.body()).unwrap();
                let text =
                    body.split_once("<MessageText>").unwrap().1.split_once("</MessageText>").unwrap().0;
                self.put(segments[0], text, now);
                response(201, "")
            }
            ("GET", ["messages"]) => {
                let mut order: Vec<usize> =
                    (0..messages.len()).filter(|index| messages[*index].visible_at <= now).collect();
                order.sort_by_key(|index| messages[*index].visible_at);
                order.truncate(usize::try_from(number("numofmessages")).unwrap());
                let is_peek = query.contains_key("peekonly");
                let list = order.into_iter().map(|index| {
                    let message = &mut messages[index];
                    if !is_peek {
                        self.counter += 1;
                        message.visible_at = now + lease;
                        message.receipt = self.counter.to_string();
                    }
                    shown(message)
                });
                let list = list.collect::<String>();
                response(200, &format!("<QueueMessagesList>{list}</QueueMessagesList>"))
            }
            (method, ["messages", id]) => {
                let Some(index) = messages.iter().position(|message| message.id == *id) else {
                    return refused(404, "MessageNotFound");
                };
                if query.get("popreceipt") != Some(&messages[index].receipt) {
                    return refused(400, "PopReceiptMismatch");
                }
                if method == "DELETE" {
                    messages.remove(index);
                    return response(204, "");
                }
                self.counter += 1;
                messages[index].visible_at = now + lease;
                messages[index].receipt = self.counter.to_string();
                let mut response = response(204, "");
                response.headers_mut().insert("x-ms-popreceipt", messages[index].receipt.parse().unwrap());
                response
            }
            _ => panic!("the fake queue does not expect {} {}", request.method(), request.uri()),
        }
    }
}

fn shown(message: &Message) -> String {
    let date = |date: DateTime<Utc>| date.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    format!(
        "<QueueMessage><MessageId>{}</MessageId><InsertionTime>{}</InsertionTime><ExpirationTime>{}</ExpirationTime>\
         <PopReceipt>{}</PopReceipt><TimeNextVisible>{}</TimeNextVisible><DequeueCount>1</DequeueCount>\
         <MessageText>{}</MessageText></QueueMessage>",
        message.id,
        date(message.inserted_at),
        date(message.inserted_at + TimeDelta::days(7)),
        message.receipt,
        date(message.visible_at),
        message.text.replace('&', "&amp;").replace('<', "&lt;"),
    )
}

fn refused(status: u16, code: &str) -> Response<Bytes> {
    Response::builder().status(status).header("x-ms-error-code", code).body(Bytes::new()).unwrap()
}
