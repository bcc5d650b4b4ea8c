//! The calls of the queue service:
//! <https://learn.microsoft.com/rest/api/storageservices/operations-on-messages>.

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
/// The most bytes into which XML escapes one byte: `&quot;`, `&#x1F;`.
const ESCAPED_BYTE_BYTES: usize = 6;
/// An upper limit for the other data of a message in a response: an id, a receipt, three dates, and their XML
/// tags.
const AROUND_A_TEXT_BYTES: usize = 2 * 1024;
/// The size of the longest possible response. A smaller limit would let a sender write messages that together
/// exceed it. Every Get would then lease messages and fail, again and again.
const LONGEST_RESPONSE_BYTES: usize =
    MOST_MESSAGES as usize * (LONGEST_TEXT_BYTES * ESCAPED_BYTE_BYTES + AROUND_A_TEXT_BYTES);

/// A client of one queue, with a deadline for its calls.
///
/// If another attempt may succeed, a failed call is sent again after a random wait, with a new signature, and
/// never past the deadline. Calls may run concurrently.
#[derive(Debug)]
pub struct QueueClient<'a, H> {
    sender: Sender<'a, H>,
    queue: &'a QueueName,
}

/// How a message is put on the queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PutOptions {
    /// How long the message is hidden, in seconds: 0 to 604 800, and less than the time to live.
    pub visibility_timeout_seconds: u32,
    /// When the message expires.
    pub time_to_live: TimeToLive,
    /// Whether [`Put::stored`] is read, so that the caller can delete the message again.
    pub can_be_taken_back: bool,
}

/// A Delete without success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotDeleted {
    /// The failure of the last attempt.
    pub error: QueueError,
    /// Whether an attempt has an unknown result: the message may have left the queue.
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
    /// Whether the service answered that it has stored the message.
    pub result: Result<(), QueueError>,
    /// Whether an attempt has an unknown result: the queue may hold one copy more than `result` says.
    pub is_doubtful: bool,
    /// The message, if the caller wanted to know it and the response names it.
    pub stored: Option<(MessageId, PopReceipt)>,
}

/// The response to Update Message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Updated {
    /// The new receipt. The old one is no longer valid.
    pub pop_receipt: PopReceipt,
    /// When the message becomes visible again.
    pub time_next_visible: Option<DateTime<Utc>>,
}

/// The result of [`QueueClient::hide`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hidden {
    /// The service confirmed that the message is hidden.
    Surely,
    /// A later attempt found the message with another receipt. An earlier attempt may have hidden the message
    /// and changed the receipt, or the lease had ended before.
    Perhaps,
    /// A later attempt found no such message, and an earlier attempt may have taken effect.
    Gone,
}

/// The result of [`QueueClient::create`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The call created the queue.
    New,
    /// The queue existed already.
    Existed,
}

impl<'a, H: HttpClient + Clock + Randomness> QueueClient<'a, H> {
    /// A client that repeats no call past `deadline`. It shortens the time-outs of every attempt to the time
    /// that is left until `deadline`. If a call begins after `deadline`, its first attempt is still sent,
    /// with time-outs of about 1 ms.
    pub fn new(host: &'a H, account: &'a Account, queue: &'a QueueName, deadline: Deadline) -> Self {
        Self { sender: Sender::new(host, account, Service::Queue, TIMEOUTS, deadline), queue }
    }

    /// Sends each call at most this many times. By default, the client sends a call up to three times.
    #[must_use]
    pub fn with_attempts(self, attempts: u32) -> Self {
        Self { sender: self.sender.with_attempts(attempts), ..self }
    }

    /// How many calls were repeated so far.
    pub fn retries(&self) -> u32 {
        self.sender.retries()
    }

    /// Create Queue.
    pub async fn create(&self) -> Result<Created, QueueError> {
        match self.call(&Call::new(Method::PUT, self.path(&[]))).await {
            Ok(response) if response.status() == 201 => Ok(Created::New),
            Ok(_) => Ok(Created::Existed),
            // The queue exists with other metadata. The caller needs only its existence.
            Err(QueueError::Refused { status: 409, code }) if code == "QueueAlreadyExists" => {
                Ok(Created::Existed)
            }
            Err(error) => Err(error),
        }
    }

    /// Put Message. If the response is lost, the client sends the message again, so the queue may then store
    /// the message twice. A caller can recognise such copies by an id in the message's text.
    ///
    /// The body of the response is not read, because the status 201 alone means that the message is stored.
    pub async fn put(&self, text: &str, options: PutOptions) -> Result<(), QueueError> {
        self.call(&self.put_call(text, options)).await.map(drop)
    }

    /// Does the same as [`QueueClient::put_creating_queue_if_missing`], and marks possible copies. After the
    /// first attempt has failed, the next attempts put the text that `marked` returns, if it returns one.
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

    /// Put Message. If the queue does not exist, Create Queue and then Put Message again.
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
    /// A message that cannot be read is left out of the result. It becomes visible again each time its lease
    /// ends, until it expires. If the response holds messages and none of them can be read, the result is a
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

    /// Peek Messages: returns when the oldest of the first 32 visible messages was put on the queue. `None`
    /// if no message is visible. A hidden message does not count, because Peek Messages does not return it.
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

    /// Does the same as [`QueueClient::peek`], and also returns the ids and times of the messages. A message
    /// that cannot be read is left out.
    pub async fn peek_messages(&self, count: u8) -> Result<Vec<PeekedMessage>, QueueError> {
        let all = self.peek_fields(count).await?;
        Ok(all.into_iter().filter_map(|fields| fields.into_peeked_message().ok()).collect())
    }

    /// Delete Message. If an earlier attempt may have taken effect, a missing message counts as deleted.
    pub async fn delete(&self, id: &MessageId, receipt: &PopReceipt) -> Result<(), QueueError> {
        self.delete_noting_trouble(id, receipt, async || {}).await.map_err(|failed| failed.error)
    }

    /// Does the same as [`QueueClient::delete`], and also runs `on_trouble` as soon as the first attempt has
    /// failed: before the next attempt, and before the method returns the failure.
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
            // Probably an earlier attempt deleted the message. If the queue still holds the message, the
            // message has another receipt, and this caller can no longer delete it.
            QueueError::LeaseLost { is_on_queue: false } if may_be_done => Ok(()),
            error => Err(NotDeleted { error, is_doubtful }),
        }
    }

    /// Update Message: hides the message for `visibility_timeout_seconds` from now, and replaces its text if
    /// `text` is given. The time is 0 to 604 800 seconds, and must not end after the message expires.
    ///
    /// If the service updated the message but the response was lost, the repeated call returns
    /// [`QueueError::LeaseLost`]. The new receipt is lost as well, so the caller can no longer delete or
    /// update the message.
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
    /// An earlier attempt may have taken effect and changed the receipt. In that case, an invalid receipt
    /// counts as a success, and [`Hidden`] shows how sure the success is.
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

    /// Returns the number of messages, hidden messages included. The number may be too high, and is never too
    /// low.
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

    /// Returns the path of the queue, or of a resource below the queue.
    fn path(&self, below: &[&str]) -> String {
        let mut path = format!("/{}", encoded(self.queue.as_str()));
        for segment in below {
            path.push('/');
            path.extend(encoded(segment));
        }
        path
    }
}
