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

/// The most messages that one Get Messages hands out.
const MOST_MESSAGES: u8 = 32;
/// The size of the longest text of a message.
const LONGEST_TEXT_BYTES: usize = 64 * 1024;
/// The length of the longest XML escape of one byte, such as `&quot;` or `&#x1F;`.
const ESCAPED_BYTE_BYTES: usize = 6;
/// An upper limit for the other parts of a message in a response: an id, a receipt, a count, three dates, and
/// the XML tags.
const AROUND_A_TEXT_BYTES: usize = 2 * 1024;
/// The size of the longest possible response. With a smaller limit, a response with 32 long messages could
/// exceed the limit. The client would then lease the messages, and fail to read the response.
const LONGEST_RESPONSE_BYTES: usize =
    MOST_MESSAGES as usize * (LONGEST_TEXT_BYTES * ESCAPED_BYTE_BYTES + AROUND_A_TEXT_BYTES);

/// A client of one queue, with a deadline for its calls.
///
/// If an attempt fails and the next attempt can succeed, the client waits for a random time, and makes the
/// next attempt with a new signature. The client never begins a repeated attempt after the deadline. Calls
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
    /// Whether the client reads the body of the response. If `true`, [`Put::stored`] contains the id and the
    /// receipt of the new message, so the caller can delete the new message.
    pub can_be_taken_back: bool,
}

/// A failed Delete Message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotDeleted {
    /// The failure of the last attempt.
    pub error: QueueError,
    /// Whether the result of at least one attempt is unknown. If so, the message has perhaps been deleted.
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
    /// Whether the result of at least one attempt is unknown. If `true`, the queue perhaps holds the message
    /// although `result` is an error, or holds two copies although `result` is `Ok`.
    pub is_doubtful: bool,
    /// The id and the receipt of the stored message, if [`PutOptions::can_be_taken_back`] is set and the
    /// response contains them.
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
    /// A repeated attempt found that the message has another receipt. Either an earlier attempt hid the
    /// message and changed the receipt, or the lease had ended and the queue had handed out the message
    /// again.
    Perhaps,
    /// A repeated attempt found no message with this receipt. Perhaps an earlier attempt hid the message and
    /// changed the receipt. Perhaps the message was deleted.
    Gone,
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
    /// Makes a client that repeats no call after `deadline`. The client shortens the time-outs of every
    /// attempt to the time that is left until `deadline`. If a call begins after `deadline`, the client still
    /// makes the first attempt, with time-outs of about 1 ms.
    pub fn new(host: &'a H, account: &'a Account, queue: &'a QueueName, deadline: Deadline) -> Self {
        Self { sender: Sender::new(host, account, Service::Queue, TIMEOUTS, deadline), queue }
    }

    /// Limits the attempts of each call to this number. The default is three.
    #[must_use]
    pub fn with_attempts(self, attempts: u32) -> Self {
        Self { sender: self.sender.with_attempts(attempts), ..self }
    }

    /// The number of repeated attempts of all calls of this client so far.
    pub fn retries(&self) -> u32 {
        self.sender.retries()
    }

    /// Create Queue. If the queue already exists, the call succeeds.
    pub async fn create(&self) -> Result<Created, QueueError> {
        match self.call(&Call::new(Method::PUT, self.path(&[]))).await {
            Ok(response) if response.status() == 201 => Ok(Created::New),
            Ok(_) => Ok(Created::Existed),
            // The service answers 409 if the existing queue has metadata, because this call sends no
            // metadata. This client uses no metadata, so the call counts as a success.
            Err(QueueError::Refused { status: 409, code }) if code == "QueueAlreadyExists" => {
                Ok(Created::Existed)
            }
            Err(error) => Err(error),
        }
    }

    /// Put Message. If the response is lost, the client sends the message again. The queue then perhaps holds
    /// the message twice. The text should contain an id, by which the reader can recognise the copy.
    ///
    /// The client does not need the body of the response, because the HTTP status 201 alone means that the
    /// message is stored.
    pub async fn put(&self, text: &str, options: PutOptions) -> Result<(), QueueError> {
        self.call(&self.put_call(text, options)).await.map(drop)
    }

    /// Does the same as [`QueueClient::put_creating_queue_if_missing`], and marks possible copies. If the
    /// first attempt fails, the next attempts put the text that `marked` returns. If `marked` returns `None`,
    /// the next attempts put the first text again.
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
                    if options.can_be_taken_back {
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
        let call = if options.can_be_taken_back { call.reading_the_response() } else { call };
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

    /// Get Messages: leases up to `count` messages (1 to 32) for `visibility_timeout_seconds` (1 to 604 800).
    ///
    /// If the client cannot read a message, the result leaves out the message. When the lease of this message
    /// ends, the message becomes visible again, and a later Get Messages leases it again, until the message
    /// expires. If the client can read none of the messages in the response, the result is a
    /// [`QueueError::Unreadable`].
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

    /// Peek Messages: returns the texts of up to `count` visible messages (1 to 32) without leasing them.
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

    /// Delete Message. If a repeated attempt finds no message, and an earlier attempt perhaps reached the
    /// service, the message counts as deleted.
    pub async fn delete(&self, id: &MessageId, receipt: &PopReceipt) -> Result<(), QueueError> {
        self.delete_noting_trouble(id, receipt, async || {}).await.map_err(|failed| failed.error)
    }

    /// Does the same as [`QueueClient::delete`], and also runs `on_trouble` directly after the first attempt,
    /// if this attempt fails.
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
            // Probably an earlier attempt deleted the message. If not, the message has another receipt now,
            // and this caller can no longer delete it.
            QueueError::LeaseLost { is_on_queue: false } if may_be_done => Ok(()),
            error => Err(NotDeleted { error, is_doubtful }),
        }
    }

    /// Update Message: hides the message for `visibility_timeout_seconds` from now, and replaces its text if
    /// `text` is given. The time is 0 to 604 800 seconds, and must not end after the message expires.
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
    /// the repeated attempt fails, because the service refuses the receipt. In this case, the method returns
    /// `Ok`. [`Hidden`] shows how sure it is that the message is hidden.
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
            QueueError::LeaseLost { .. } if may_be_done => Ok(Hidden::Gone),
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
