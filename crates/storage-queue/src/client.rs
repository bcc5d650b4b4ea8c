//! The client of one queue. The crate's [front page](crate) explains *message*, *receipt*, *lease*, *call*
//! and *attempt*.
//!
//! Source of the calls: <https://learn.microsoft.com/rest/api/storageservices/operations-on-messages>.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderValue, Method, Response};
use platform::{Clock, Deadline, HttpClient, Randomness, Timeouts};
use storage_account::{Account, Call, Failed, Sender, Service, encoded, header, parse_rfc_1123};

use crate::error::QueueError;
use crate::names::{MessageId, PopReceipt, QueueName};
use crate::xml::{self, Fields, PeekedMessage, QueueMessage};

const XML: HeaderValue = HeaderValue::from_static("application/xml");

const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(3),
    first_byte: Duration::from_secs(5),
    between_bytes: Duration::from_secs(5),
    total: Duration::from_secs(12),
    max_response_bytes: LONGEST_RESPONSE_BYTES,
};

/// The most messages in one response to Get Messages.
const MOST_MESSAGES: u8 = 32;
/// The size of the longest text that a message can have.
const LONGEST_TEXT_BYTES: usize = 64 * 1024;
/// The length of the longest XML escape for a byte, such as `&quot;` or `&#x1F;`.
const ESCAPED_BYTE_BYTES: usize = 6;
/// An upper limit for the size of a message's other parts in a response: an id, a receipt, a count, three
/// dates, and the XML tags.
const AROUND_A_TEXT_BYTES: usize = 2 * 1024;
/// The size of the longest possible response. With a smaller `max_response_bytes`, a response with 32 long
/// messages could be too large. The queue would then hide these messages, but the client could not read them.
const LONGEST_RESPONSE_BYTES: usize =
    MOST_MESSAGES as usize * (LONGEST_TEXT_BYTES * ESCAPED_BYTE_BYTES + AROUND_A_TEXT_BYTES);

/// A client of one queue. The documentation of [`Sender`] says when the client repeats a failed call. Calls
/// can run concurrently.
#[derive(Debug)]
pub struct QueueClient<'a, H> {
    sender: Sender<'a, H>,
    queue: &'a QueueName,
}

/// The options of Put Message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PutOptions {
    /// How long the new message is hidden, in seconds: 0 to 604 800, and less than the time to live.
    pub visibility_timeout_seconds: u32,
    /// When the message expires.
    pub time_to_live: TimeToLive,
    /// Whether the client needs the body of the response. If `false`, the HTTP status 201 is enough, because
    /// it means that the message is stored. If `true`, [`QueueClient::put_marking_copies`] returns the id and
    /// the receipt of the new message, with which the caller can delete the message.
    pub reads_receipt: bool,
}

/// A failed Delete Message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotDeleted {
    /// The failure of the last attempt.
    pub error: QueueError,
    /// Whether the result of at least one attempt is unknown, e.g. because the response was lost. If `true`,
    /// the service has perhaps deleted the message.
    pub is_doubtful: bool,
}

/// When a message expires.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TimeToLive {
    /// After the service's default, 7 days.
    #[default]
    Default,
    /// After this number of seconds, at least 1.
    Seconds(u32),
    /// Never.
    Never,
}

/// The result of [`QueueClient::put_marking_copies`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// `Ok` if the service confirmed that it has stored the message.
    pub result: Result<(), QueueError>,
    /// Whether the result of at least one attempt is unknown, e.g. because the response was lost. If `true`
    /// and `result` is an error, the queue perhaps holds the message. If `true` and `result` is `Ok`, the
    /// queue perhaps holds the message twice.
    pub is_doubtful: bool,
    /// The id and the receipt of the stored message. `None` if [`PutOptions::reads_receipt`] is not set,
    /// or if the response lacks the id or the receipt.
    pub stored: Option<(MessageId, PopReceipt)>,
}

/// The response to Update Message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Updated {
    /// The new receipt. The old receipt is no longer valid.
    pub pop_receipt: PopReceipt,
    /// When the message becomes visible again.
    pub time_next_visible: Option<DateTime<Utc>>,
}

/// The result of [`QueueClient::hide`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hidden {
    /// The service confirmed that the message is hidden.
    Surely,
    /// A repeated attempt found that the message has another receipt. Either an earlier attempt has hidden
    /// the message, which changes the receipt. Or the lease has ended, and another caller has dequeued the
    /// message.
    Perhaps,
    /// A repeated attempt found no message with this receipt. Perhaps an earlier attempt has hidden the
    /// message, which changes the receipt. Perhaps another caller has dequeued or deleted the message.
    NotFound,
}

/// The result of [`QueueClient::create`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The call created the queue.
    New,
    /// The queue already existed.
    Existed,
}

impl<'a, H: HttpClient + Clock + Randomness> QueueClient<'a, H> {
    /// Makes a client that repeats no call after `deadline`. For every attempt, the client limits the
    /// time-outs to the time that is left until `deadline`. If a call begins after `deadline`, the client
    /// still makes the first attempt, with time-outs of about 1 ms.
    pub fn new(host: &'a H, account: &'a Account, queue: &'a QueueName, deadline: Deadline) -> Self {
        Self { sender: Sender::new(host, account, Service::Queue, TIMEOUTS, deadline), queue }
    }

    /// Limits the attempts of each call to this number. The default is three.
    #[must_use]
    pub fn with_attempts(self, attempts: u32) -> Self {
        Self { sender: self.sender.with_attempts(attempts), ..self }
    }

    /// How many times this client has repeated an attempt so far.
    pub fn retries(&self) -> u32 {
        self.sender.retries()
    }

    /// Create Queue. If the queue already exists, the call succeeds.
    pub async fn create(&self) -> Result<Created, QueueError> {
        match self.call(&Call::new(Method::PUT, self.path(&[]))).await {
            Ok(response) if response.status() == 201 => Ok(Created::New),
            Ok(_) => Ok(Created::Existed),
            // The service returns 409 if the existing queue has other metadata than the request. The request
            // has no metadata, so the existing queue has some. The client ignores metadata, so the call
            // counts as a success.
            Err(QueueError::Refused { status: 409, code }) if code == "QueueAlreadyExists" => {
                Ok(Created::Existed)
            }
            Err(error) => Err(error),
        }
    }

    /// Put Message. If the response is lost, the client sends the message again. The queue then perhaps holds
    /// the message twice. The text should contain an id, so that the program that dequeues the message can
    /// recognise the copy.
    pub async fn put(&self, text: &str, options: PutOptions) -> Result<(), QueueError> {
        self.call(&self.put_call(text, options)).await.map(drop)
    }

    /// Does the same as [`QueueClient::put_creating_queue_if_missing`], but can put another text after a
    /// failure. If the first attempt fails, the queue perhaps holds the message already. So the next attempts
    /// put the text that `marked` returns. This text can carry a mark for a possible copy. If `marked`
    /// returns `None`, the next attempts put `text` again. A missing queue cannot hold the message. So
    /// after the client has created the queue, the client begins again with `text`.
    pub async fn put_marking_copies(
        &self,
        text: &str,
        options: PutOptions,
        marked: impl Fn() -> Option<String>,
    ) -> Put {
        let (call, mark) = (self.put_call(text, options), || Some(self.put_call(&marked()?, options)));
        let mut is_doubtful = false;
        let (mut may_create, mut stored) = (true, None);
        loop {
            let result = match self.sender.send_noting_trouble(&call, async || mark()).await {
                Ok(sent) => {
                    is_doubtful |= sent.is_doubtful;
                    if options.reads_receipt {
                        stored = xml::read_receipt(sent.response.body());
                    }
                    Ok(())
                }
                Err(failed) => {
                    is_doubtful |= failed.is_doubtful;
                    Err(failed.failure.into())
                }
            };
            if may_create && result == Err(QueueError::QueueMissing) {
                may_create = false;
                match self.create().await {
                    Ok(_) => continue,
                    Err(error) => return Put { result: Err(error), is_doubtful, stored },
                }
            }
            return Put { result, is_doubtful, stored };
        }
    }

    fn put_call(&self, text: &str, options: PutOptions) -> Call {
        let call = Call::new(Method::POST, self.path(&["messages"]))
            .query("visibilitytimeout", options.visibility_timeout_seconds)
            .body(XML, xml::write_message(text));
        let call = if options.reads_receipt { call.reading_the_response() } else { call };
        match options.time_to_live {
            TimeToLive::Default => call,
            TimeToLive::Seconds(seconds) => call.query("messagettl", seconds),
            TimeToLive::Never => call.query("messagettl", -1),
        }
    }

    /// Put Message. If the queue does not exist, the client creates the queue and repeats Put Message.
    pub async fn put_creating_queue_if_missing(
        &self,
        text: &str,
        options: PutOptions,
    ) -> Result<(), QueueError> {
        match self.put(text, options).await {
            Err(QueueError::QueueMissing) => {
                self.create().await?;
                self.put(text, options).await
            }
            other => other,
        }
    }

    /// Get Messages: returns up to `count` messages (1 to 32), and hides them from other callers for
    /// `visibility_timeout_seconds` (1 to 604 800). This time is the *lease* of a message.
    ///
    /// If the client cannot read a message, the result leaves out the message. This message becomes visible
    /// again when its lease ends. Later calls lease the message again, until it expires. If the client can
    /// read none of the messages in the response, the result is a [`QueueError::Unreadable`].
    pub async fn get(
        &self,
        count: u8,
        visibility_timeout_seconds: u32,
    ) -> Result<Vec<QueueMessage>, QueueError> {
        let call = Call::new(Method::GET, self.path(&["messages"]))
            .query("numofmessages", count)
            .query("visibilitytimeout", visibility_timeout_seconds)
            .reading_the_response();
        let response = self.call(&call).await?;
        xml::into_readable(xml::read_messages(response.body())?)
    }

    /// Peek Messages: returns the texts of up to `count` visible messages (1 to 32). The messages stay
    /// visible.
    pub async fn peek(&self, count: u8) -> Result<Vec<String>, QueueError> {
        let messages = self.peek_fields(count).await?;
        messages.into_iter().map(|mut fields| fields.take("MessageText")).collect()
    }

    /// Peek Messages: returns the insertion time of the oldest of the first 32 visible messages. `None` if no
    /// message is visible. Hidden messages do not count, because Peek Messages does not return them.
    pub async fn oldest_insertion(&self) -> Result<Option<DateTime<Utc>>, QueueError> {
        let mut oldest = None;
        for mut fields in self.peek_fields(MOST_MESSAGES).await? {
            let insertion_time = fields.take_time("InsertionTime")?;
            oldest = Some(oldest.map_or(insertion_time, |oldest| insertion_time.min(oldest)));
        }
        Ok(oldest)
    }

    async fn peek_fields(&self, count: u8) -> Result<Vec<Fields>, QueueError> {
        let call = Call::new(Method::GET, self.path(&["messages"]))
            .query("numofmessages", count)
            .query("peekonly", true)
            .reading_the_response();
        let response = self.call(&call).await?;
        xml::read_messages(response.body())
    }

    /// Does the same as [`QueueClient::peek`], and also returns the ids and insertion times of the messages.
    /// If the client cannot read a message, the result leaves out the message.
    pub async fn peek_messages(&self, count: u8) -> Result<Vec<PeekedMessage>, QueueError> {
        let all = self.peek_fields(count).await?;
        Ok(all.into_iter().filter_map(|fields| fields.into_peeked_message().ok()).collect())
    }

    /// Delete Message. If an earlier attempt perhaps reached the service, and the last attempt finds no
    /// message, the method returns `Ok`.
    pub async fn delete(&self, id: &MessageId, receipt: &PopReceipt) -> Result<(), QueueError> {
        self.delete_noting_trouble(id, receipt, async || {}).await.map_err(|failed| failed.error)
    }

    /// Does the same as [`QueueClient::delete`]. If the first attempt fails, the client also runs
    /// `on_trouble`, before it waits or makes the next attempt.
    pub async fn delete_noting_trouble(
        &self,
        id: &MessageId,
        receipt: &PopReceipt,
        on_trouble: impl AsyncFnOnce(),
    ) -> Result<(), NotDeleted> {
        let call = Call::new(Method::DELETE, self.path(&["messages", id.as_str()]))
            .query("popreceipt", receipt.as_str());
        let note = async || {
            on_trouble().await;
            None
        };
        let Err(failed) = self.sender.send_noting_trouble(&call, note).await else { return Ok(()) };
        let Failed { failure, may_be_done, is_doubtful } = failed;
        match QueueError::from(failure) {
            // Azure gives this response for a missing message and for an old receipt. Probably an earlier
            // attempt has deleted the message. Otherwise the message has another receipt now, so this caller
            // can no longer delete the message.
            QueueError::LeaseLost { is_on_queue: false } if may_be_done => Ok(()),
            error => Err(NotDeleted { error, is_doubtful }),
        }
    }

    /// Update Message: hides the message for `visibility_timeout_seconds` from now. If `text` is given, the
    /// call also replaces the text of the message. The time must be 0 to 604 800 seconds, and not longer than
    /// the time until the message expires.
    ///
    /// If the service updates the message but the response is lost, the client repeats the call with the old
    /// receipt. The service refuses the old receipt, and the method returns [`QueueError::LeaseLost`]. The
    /// lost response contained the new receipt, so the caller can no longer delete or update the message.
    pub async fn update(
        &self,
        id: &MessageId,
        receipt: &PopReceipt,
        visibility_timeout_seconds: u32,
        text: Option<&str>,
    ) -> Result<Updated, QueueError> {
        let response = self.call(&self.update_call(id, receipt, visibility_timeout_seconds, text)).await?;
        let receipt = header(response.headers(), "x-ms-popreceipt");
        Ok(Updated {
            pop_receipt: PopReceipt(
                receipt
                    .ok_or_else(|| QueueError::Unreadable("x-ms-popreceipt is missing".into()))?
                    .to_owned(),
            ),
            time_next_visible: header(response.headers(), "x-ms-time-next-visible").and_then(parse_rfc_1123),
        })
    }

    /// Does the same as [`QueueClient::update`], for a caller that does not need the new receipt.
    ///
    /// An attempt that hides the message makes the receipt invalid. If the response to this attempt is lost,
    /// the service refuses the receipt in the repeated attempt. The method then still returns `Ok`, with
    /// [`Hidden::Perhaps`] or [`Hidden::NotFound`].
    pub async fn hide(
        &self,
        id: &MessageId,
        receipt: &PopReceipt,
        visibility_timeout_seconds: u32,
        text: Option<&str>,
    ) -> Result<Hidden, QueueError> {
        let call = self.update_call(id, receipt, visibility_timeout_seconds, text);
        let Err(failed) = self.sender.send(&call).await else { return Ok(Hidden::Surely) };
        let Failed { failure, may_be_done, .. } = failed;
        match QueueError::from(failure) {
            QueueError::LeaseLost { is_on_queue: true } if may_be_done => Ok(Hidden::Perhaps),
            QueueError::LeaseLost { .. } if may_be_done => Ok(Hidden::NotFound),
            error => Err(error),
        }
    }

    fn update_call(
        &self,
        id: &MessageId,
        receipt: &PopReceipt,
        visibility_timeout_seconds: u32,
        text: Option<&str>,
    ) -> Call {
        let call = Call::new(Method::PUT, self.path(&["messages", id.as_str()]))
            .query("popreceipt", receipt.as_str())
            .query("visibilitytimeout", visibility_timeout_seconds);
        match text {
            Some(text) => call.body(XML, xml::write_message(text)),
            None => call,
        }
    }

    /// Returns the number of messages, including hidden messages. The number can be too high, but is never
    /// too low.
    pub async fn approximate_count(&self) -> Result<u64, QueueError> {
        let response = self.call(&Call::new(Method::GET, self.path(&[])).query("comp", "metadata")).await?;
        header(response.headers(), "x-ms-approximate-messages-count")
            .and_then(|count| count.parse().ok())
            .ok_or_else(|| QueueError::Unreadable("x-ms-approximate-messages-count is missing".into()))
    }

    async fn call(&self, call: &Call) -> Result<Response<Bytes>, QueueError> {
        let sent = self.sender.send(call).await;
        sent.map(|sent| sent.response).map_err(|failed| failed.failure.into())
    }

    /// Returns the encoded path of the queue, or of a resource below the queue.
    fn path(&self, below: &[&str]) -> String {
        let mut path = format!("/{}", encoded(self.queue.as_str()));
        for segment in below {
            path.push('/');
            path.extend(encoded(segment));
        }
        path
    }
}
