//! A fake queue service that follows the documented rules of pop receipts and visibility. A *pop receipt* is
//! the text with which a client deletes or updates a message that it has dequeued. The service hands out
//! messages in the order in which they became visible.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeZone, Utc};
use http::{Method, Request, Response};
use percent_encoding::percent_decode_str;

use crate::sim::START_SECONDS;

#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) text: String,
    inserted: Duration,
    expires: Option<Duration>,
    pub(crate) visible_at: Duration,
    pub(crate) dequeue_count: u32,
    pub(crate) receipt: String,
}

/// A call that the fake service received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) at: Duration,
    pub(crate) method: Method,
    /// The id of the message that a Delete or an Update names.
    pub(crate) message: Option<String>,
    pub(crate) visibility_seconds: Option<u64>,
}

#[derive(Debug, Default)]
pub(crate) struct Storage {
    pub(crate) queues: BTreeMap<String, Vec<Message>>,
    pub(crate) calls: Vec<Call>,
    counter: u64,
    /// Selects the response to a call with an outdated pop receipt. If `true`, the service returns the error
    /// of Azure, `MessageNotFound`. If `false`, it returns the error of Azurite, `PopReceiptMismatch`.
    pub(crate) is_like_azure: bool,
    /// The Deletes and Updates that are under way. Each entry has the number of the run and the id of the
    /// message.
    in_flight: Rc<RefCell<Vec<(usize, String)>>>,
}

/// A Delete or Update that is under way. A run must not make two of these calls for one message at the same
/// time.
#[derive(Debug)]
pub(crate) struct Operation(Rc<RefCell<Vec<(usize, String)>>>, (usize, String));

impl Drop for Operation {
    fn drop(&mut self) {
        self.0.borrow_mut().retain(|other| *other != self.1);
    }
}

impl Storage {
    pub(crate) fn put(&mut self, queue: &str, text: &str, now: Duration, expires: Option<Duration>) {
        self.counter += 1;
        let id = format!("00000000-0000-0000-0000-{:012}", self.counter);
        let message = Message {
            id,
            text: text.into(),
            inserted: now,
            expires,
            visible_at: now,
            dequeue_count: 0,
            receipt: String::new(),
        };
        self.queues.entry(queue.into()).or_default().push(message);
    }

    /// Returns the messages of a queue, in the order in which the service hands them out.
    pub(crate) fn messages(&self, queue: &str) -> Vec<Message> {
        let mut messages = self.queues.get(queue).cloned().unwrap_or_default();
        messages.sort_by_key(|message| message.visible_at);
        messages
    }

    /// Records that a Delete or an Update is under way, until the returned value is dropped.
    pub(crate) fn begin(&self, run: usize, request: &Request<Bytes>) -> Option<Operation> {
        let (queue, id) = target(request);
        let id = id.filter(|id| !id.is_empty())?;
        // A call with an outdated receipt has no effect, so a run is allowed to make it beside another call.
        let message = self.queues.get(&queue)?.iter().find(|message| message.id == id)?;
        if query(request).get("popreceipt") != Some(&message.receipt) {
            return None;
        }
        let mut in_flight = self.in_flight.borrow_mut();
        let operation = (run, id);
        assert!(!in_flight.contains(&operation), "two calls for one message at once: {request:?}");
        in_flight.push(operation.clone());
        Some(Operation(Rc::clone(&self.in_flight), operation))
    }

    /// Carries out a request at the moment `now`, and returns the response. `receipt_number` is a random
    /// number for the new pop receipts.
    pub(crate) fn carry_out(
        &mut self,
        request: &Request<Bytes>,
        now: Duration,
        receipt_number: u64,
    ) -> Response<Bytes> {
        let query = query(request);
        let number = |name: &str| query.get(name).and_then(|value| value.parse::<u64>().ok());
        let (queue, id) = target(request);
        if query.contains_key("peekonly") {
            return self.peek(&queue, now);
        }
        self.calls.push(Call {
            at: now,
            method: request.method().clone(),
            message: id.clone().filter(|id| !id.is_empty()),
            visibility_seconds: number("visibilitytimeout"),
        });
        match (request.method().as_str(), id.as_deref()) {
            ("PUT", None) => {
                self.queues.entry(queue).or_default();
                return status(201, "");
            }
            (_, None) => panic!("the fake queue expected a path with /messages, found {request:?}"),
            _ => {}
        }
        if !self.queues.contains_key(&queue) {
            return status(404, "QueueNotFound");
        }
        let text = || {
            let body = std::str::from_utf8(request.body()).unwrap();
            let (_, rest) = body.split_once("<MessageText>")?;
            Some(rest.split_once("</MessageText>").unwrap().0.to_owned())
        };
        match (request.method().as_str(), id.as_deref().unwrap_or_default()) {
            ("POST", "") => {
                let life = query.get("messagettl").map(String::as_str);
                assert_eq!(life, Some("-1"), "messages of the poller never expire");
                self.put(&queue, &text().unwrap(), now, None);
                let message = self.queues.get_mut(&queue).unwrap().last_mut().unwrap();
                message.visible_at =
                    now + Duration::from_secs(number("visibilitytimeout").unwrap_or_default());
                let id = &message.id;
                let list = format!(
                    "<QueueMessagesList><QueueMessage><MessageId>{id}</MessageId><PopReceipt>r</PopReceipt>\
                     </QueueMessage></QueueMessagesList>"
                );
                Response::builder().status(201).body(list.into()).unwrap()
            }
            ("GET", "") => self.get(
                &queue,
                number("numofmessages").unwrap(),
                number("visibilitytimeout").unwrap(),
                now,
                receipt_number,
            ),
            ("DELETE" | "PUT", id) => {
                let messages = self.queues.get_mut(&queue).unwrap();
                let matches =
                    |message: &Message| message.id == id && query.get("popreceipt") == Some(&message.receipt);
                let Some(index) = messages.iter().position(matches) else {
                    return match !self.is_like_azure && messages.iter().any(|message| message.id == id) {
                        true => status(400, "PopReceiptMismatch"),
                        false => status(404, "MessageNotFound"),
                    };
                };
                if request.method() == "DELETE" {
                    messages.remove(index);
                    return status(204, "");
                }
                let message = &mut messages[index];
                let seconds = number("visibilitytimeout").unwrap();
                let until = now + Duration::from_secs(seconds);
                if seconds > 604_800 || message.expires.is_some_and(|expires| until >= expires) {
                    return status(400, "OutOfRangeQueryParameterValue");
                }
                message.visible_at = until;
                message.receipt = format!("{receipt_number}");
                if let Some(text) = text() {
                    message.text = text;
                }
                let receipt = message.receipt.clone();
                Response::builder().status(204).header("x-ms-popreceipt", receipt).body(Bytes::new()).unwrap()
            }
            _ => panic!("the fake queue expected PUT, POST, GET or DELETE, found {request:?}"),
        }
    }

    /// Returns the response to a Peek Messages, with the oldest visible message.
    fn peek(&mut self, queue: &str, now: Duration) -> Response<Bytes> {
        let mut messages = self.queues.get(queue).into_iter().flatten();
        let is_visible = |message: &&Message| {
            message.visible_at <= now && message.expires.is_none_or(|expires| expires > now)
        };
        let list = messages.find(is_visible).map(|message| {
            let text = message.text.replace('&', "&amp;").replace('<', "&lt;");
            format!("<QueueMessage><MessageText>{text}</MessageText></QueueMessage>")
        });
        let list = format!("<QueueMessagesList>{}</QueueMessagesList>", list.unwrap_or_default());
        Response::builder().status(200).body(list.into()).unwrap()
    }

    fn get(
        &mut self,
        queue: &str,
        count: u64,
        visibility_seconds: u64,
        now: Duration,
        receipt_number: u64,
    ) -> Response<Bytes> {
        let messages = self.queues.get_mut(queue).unwrap();
        messages.retain(|message| message.expires.is_none_or(|expires| expires > now));
        let mut order: Vec<usize> =
            (0..messages.len()).filter(|index| messages[*index].visible_at <= now).collect();
        order.sort_by_key(|index| messages[*index].visible_at);
        order.truncate(usize::try_from(count).unwrap());
        let mut list = String::from("<QueueMessagesList>");
        for index in order {
            let message = &mut messages[index];
            message.visible_at = now + Duration::from_secs(visibility_seconds);
            message.dequeue_count += 1;
            message.receipt = format!("{receipt_number}-{index}");
            let expires = message.expires.unwrap_or(Duration::from_secs(100 * 365 * 24 * 60 * 60));
            list += &format!(
                "<QueueMessage><MessageId>{}</MessageId><InsertionTime>{}</InsertionTime><ExpirationTime>{}</ExpirationTime>\
                 <PopReceipt>{}</PopReceipt><TimeNextVisible>{}</TimeNextVisible><DequeueCount>{}</DequeueCount>\
                 <MessageText>{}</MessageText></QueueMessage>",
                message.id,
                date(message.inserted),
                date(expires),
                message.receipt,
                date(message.visible_at),
                message.dequeue_count,
                message.text.replace('&', "&amp;").replace('<', "&lt;"),
            );
        }
        Response::builder().status(200).body((list + "</QueueMessagesList>").into()).unwrap()
    }
}

/// Reads the name of the queue and the id of the message from the path. If the path ends in `/messages`, the
/// id is empty. If the path names only the queue, the id is `None`.
fn target(request: &Request<Bytes>) -> (String, Option<String>) {
    let segments: Vec<&str> = request.uri().path().split('/').skip(2).collect();
    match segments.as_slice() {
        [queue] => ((*queue).into(), None),
        [queue, "messages"] => ((*queue).into(), Some(String::new())),
        [queue, "messages", id] => ((*queue).into(), Some((*id).into())),
        _ => panic!("the fake queue expected /account/queue[/messages[/id]], found {request:?}"),
    }
}

fn query(request: &Request<Bytes>) -> BTreeMap<String, String> {
    let pairs = request.uri().query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.into(), percent_decode_str(value).decode_utf8().unwrap().into()))
        .collect()
}

fn date(moment: Duration) -> String {
    let date: DateTime<Utc> = Utc.timestamp_opt(START_SECONDS, 0).unwrap() + moment;
    date.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn status(status: u16, code: &str) -> Response<Bytes> {
    Response::builder().status(status).header("x-ms-error-code", code).body(Bytes::new()).unwrap()
}
