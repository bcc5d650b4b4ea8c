//! The calls: <https://learn.microsoft.com/rest/api/storageservices/operations-on-messages>.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderValue, Method, Response};
use platform::{Clock, Deadline, HttpClient, Randomness, Timeouts};
use storage_account::{Account, Call, Failed, Sender, Service, encoded, header, parse_rfc_1123};

use crate::error::QueueError;
use crate::names::{MessageId, PopReceipt, QueueName};
use crate::xml::{self, QueueMessage};

const XML: HeaderValue = HeaderValue::from_static("application/xml");

const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(3),
    first_byte: Duration::from_secs(5),
    between_bytes: Duration::from_secs(5),
    total: Duration::from_secs(12),
    max_answer_bytes: LONGEST_ANSWER_BYTES,
};

/// The most that Get Messages hands out at once.
const MOST_MESSAGES: usize = 32;
/// The longest text of a message.
const LONGEST_TEXT_BYTES: usize = 64 * 1024;
/// What XML makes of one byte at the most: `&quot;`, `&#x1F;`.
const ESCAPED_BYTE_BYTES: usize = 6;
/// More than stands around a text: an id, a receipt, three dates, and their tags.
const AROUND_A_TEXT_BYTES: usize = 2 * 1024;
/// No answer is longer. If one could be, whoever writes to the queue could make a Get that fails with everything that it
/// was to hand out, again and again.
const LONGEST_ANSWER_BYTES: usize =
    MOST_MESSAGES * (LONGEST_TEXT_BYTES * ESCAPED_BYTE_BYTES + AROUND_A_TEXT_BYTES);

/// A client of one queue, for the time until a deadline. Calls are repeated where that makes sense: signed anew, after a
/// random wait, and never past the deadline. Calls may go on side by side.
#[derive(Debug)]
pub struct QueueClient<'a, H> {
    sender: Sender<'a, H>,
    queue: &'a QueueName,
}

/// How a message is put on the queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PutOptions {
    /// Hidden for that long: 0 to 604 800, and less than the time to live.
    pub visibility_timeout_seconds: u32,
    /// When the queue forgets it.
    pub time_to_live: TimeToLive,
}

/// When the queue forgets a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TimeToLive {
    /// After the service's default, 7 days.
    #[default]
    Default,
    /// After that many seconds, at least 1.
    Seconds(u32),
    /// Never.
    Never,
}

/// What became of a Put of a message that can be marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// Whether the service says that it has stored the message.
    pub result: Result<(), QueueError>,
    /// Whether an attempt has a result that nobody knows: the queue may hold a copy more than `result` says.
    pub is_doubtful: bool,
}

/// What an Update answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Updated {
    /// The new right to delete or update; the old one has ended.
    pub pop_receipt: PopReceipt,
    /// When the message is handed out again.
    pub time_next_visible: Option<DateTime<Utc>>,
}

/// Whether [`QueueClient::hide`] did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hidden {
    /// The service says so.
    Surely,
    /// An attempt had no answer, and then the message was there and the receipt had ended: by that attempt, if it had not
    /// ended before.
    Perhaps,
    /// An attempt had no answer, and then the service knew no such message.
    Gone,
}

/// What creating a queue did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It is new.
    New,
    /// It was there.
    Existed,
}

impl<'a, H: HttpClient + Clock + Randomness> QueueClient<'a, H> {
    /// A client that repeats no call past `deadline`, and shortens the time-outs of every attempt to what is left of it.
    /// A call that begins too late is still made, with next to no time.
    pub fn new(host: &'a H, account: &'a Account, queue: &'a QueueName, deadline: Deadline) -> Self {
        Self { sender: Sender::new(host, account, Service::Queue, TIMEOUTS, deadline), queue }
    }

    /// How many calls were repeated so far.
    pub fn retries(&self) -> u32 {
        self.sender.retries()
    }

    /// Create Queue.
    pub async fn create(&self) -> Result<Created, QueueError> {
        match self.call(&Call::new(Method::PUT, self.path(&[]))).await {
            Ok(answer) if answer.status() == 201 => Ok(Created::New),
            Ok(_) => Ok(Created::Existed),
            // With other metadata than ours: it exists, which is all that was wanted.
            Err(QueueError::Refused { status: 409, code }) if code == "QueueAlreadyExists" => {
                Ok(Created::Existed)
            }
            Err(error) => Err(error),
        }
    }

    /// Put Message. A Put whose answer is lost is repeated: the message may then stand there twice, and the id in it
    /// tells. What the answer says of the new message is not read: nobody wants it, and a 201 alone says that it is stored.
    pub async fn put(&self, text: &str, options: PutOptions) -> Result<(), QueueError> {
        self.call(&self.put_call(text, options)).await.map(drop)
    }

    /// [`QueueClient::put_creating_queue_if_missing`] of a message that says whether the queue may hold it twice: after the
    /// first attempt has failed, the next ones put what `marked` returns, if it returns something.
    pub async fn put_marking_copies(
        &self,
        text: &str,
        options: PutOptions,
        marked: impl Fn() -> Option<String>,
    ) -> Put {
        let (call, mark) = (self.put_call(text, options), || Some(self.put_call(&marked()?, options)));
        let mut is_doubtful = false;
        let mut may_create = true;
        loop {
            let result = match self.sender.send_noting_trouble(&call, async || mark()).await {
                Ok(sent) => {
                    is_doubtful |= sent.is_doubtful;
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
                    Err(error) => return Put { result: Err(error), is_doubtful },
                }
            }
            return Put { result, is_doubtful };
        }
    }

    fn put_call(&self, text: &str, options: PutOptions) -> Call {
        let call = Call::new(Method::POST, self.path(&["messages"]))
            .query("visibilitytimeout", options.visibility_timeout_seconds)
            .body(XML, xml::write_message(text));
        match options.time_to_live {
            TimeToLive::Default => call,
            TimeToLive::Seconds(seconds) => call.query("messagettl", seconds),
            TimeToLive::Never => call.query("messagettl", -1),
        }
    }

    /// Put Message, and if there is no queue, Create Queue and Put again.
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

    /// Get Messages: up to `count` (1 to 32), each ours for `visibility_timeout_seconds` (1 to 604 800). A message that
    /// makes no sense does not hide the others: it is left out, and comes back when its lease ends, until the queue forgets
    /// it. If no other was handed out with it, it is a [`QueueError::Unreadable`].
    pub async fn get(
        &self,
        count: u8,
        visibility_timeout_seconds: u32,
    ) -> Result<Vec<QueueMessage>, QueueError> {
        let call = Call::new(Method::GET, self.path(&["messages"]))
            .query("numofmessages", count)
            .query("visibilitytimeout", visibility_timeout_seconds)
            .reading_the_answer();
        let answer = self.call(&call).await?;
        xml::into_readable(xml::read_messages(answer.body())?)
    }

    /// Peek Messages: the texts of up to `count` (1 to 32) visible ones, which stay where they are.
    pub async fn peek(&self, count: u8) -> Result<Vec<String>, QueueError> {
        let call = Call::new(Method::GET, self.path(&["messages"]))
            .query("numofmessages", count)
            .query("peekonly", true)
            .reading_the_answer();
        let answer = self.call(&call).await?;
        xml::read_messages(answer.body())?.into_iter().map(|mut fields| fields.take("MessageText")).collect()
    }

    /// Delete Message. If the answer to an earlier attempt was lost, a message that is no longer there counts as deleted.
    pub async fn delete(&self, id: &MessageId, receipt: &PopReceipt) -> Result<(), QueueError> {
        self.delete_noting_trouble(id, receipt, async || {}).await
    }

    /// [`QueueClient::delete`], with something to be done as soon as the first attempt has failed: before another one, and
    /// before the failure is returned.
    pub async fn delete_noting_trouble(
        &self,
        id: &MessageId,
        receipt: &PopReceipt,
        on_trouble: impl AsyncFnOnce(),
    ) -> Result<(), QueueError> {
        let call = Call::new(Method::DELETE, self.path(&["messages", id.as_str()]))
            .query("popreceipt", receipt.as_str());
        let note = async || {
            on_trouble().await;
            None
        };
        let Err(failed) = self.sender.send_noting_trouble(&call, note).await else { return Ok(()) };
        let Failed { may_be_done, .. } = failed;
        let status = failed.status();
        match QueueError::from(failed.failure) {
            // An earlier attempt did it. A 400 tells otherwise: the message is there, and somebody else has it.
            QueueError::LeaseLost if may_be_done && status == Some(404) => Ok(()),
            error => Err(error),
        }
    }

    /// Update Message: hides it for `visibility_timeout_seconds` (0 to 604 800, not past its end) from now, and replaces
    /// its text if there is a new one. If it was done and its answer was lost, repeating it says [`QueueError::LeaseLost`]:
    /// the new receipt is lost too, so the message is out of our hands either way.
    pub async fn update(
        &self,
        id: &MessageId,
        receipt: &PopReceipt,
        visibility_timeout_seconds: u32,
        text: Option<&str>,
    ) -> Result<Updated, QueueError> {
        let answer = self.call(&self.update_call(id, receipt, visibility_timeout_seconds, text)).await?;
        let receipt = header(answer.headers(), "x-ms-popreceipt");
        Ok(Updated {
            pop_receipt: PopReceipt(
                receipt
                    .ok_or_else(|| QueueError::Unreadable("x-ms-popreceipt is missing".into()))?
                    .to_owned(),
            ),
            time_next_visible: header(answer.headers(), "x-ms-time-next-visible").and_then(parse_rfc_1123),
        })
    }

    /// [`QueueClient::update`] by somebody who lets go of the message. If the answer to an earlier attempt was lost, a
    /// receipt that is no longer the message's counts as done: that attempt changed it.
    pub async fn hide(
        &self,
        id: &MessageId,
        receipt: &PopReceipt,
        visibility_timeout_seconds: u32,
        text: Option<&str>,
    ) -> Result<Hidden, QueueError> {
        let call = self.update_call(id, receipt, visibility_timeout_seconds, text);
        let Err(failed) = self.sender.send(&call).await else { return Ok(Hidden::Surely) };
        let (status, may_be_done) = (failed.status(), failed.may_be_done);
        match QueueError::from(failed.failure) {
            QueueError::LeaseLost if may_be_done && status == Some(404) => Ok(Hidden::Gone),
            QueueError::LeaseLost if may_be_done => Ok(Hidden::Perhaps),
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

    /// How many messages there are, hidden ones included: never too few, maybe too many.
    pub async fn approximate_count(&self) -> Result<u64, QueueError> {
        let answer = self.call(&Call::new(Method::GET, self.path(&[])).query("comp", "metadata")).await?;
        header(answer.headers(), "x-ms-approximate-messages-count")
            .and_then(|count| count.parse().ok())
            .ok_or_else(|| QueueError::Unreadable("x-ms-approximate-messages-count is missing".into()))
    }

    async fn call(&self, call: &Call) -> Result<Response<Bytes>, QueueError> {
        let sent = self.sender.send(call).await;
        sent.map(|sent| sent.answer).map_err(|failed| failed.failure.into())
    }

    /// The path of the queue, or of something below it.
    fn path(&self, below: &[&str]) -> String {
        let mut path = format!("/{}", encoded(self.queue.as_str()));
        for segment in below {
            path.push('/');
            path.extend(encoded(segment));
        }
        path
    }
}
