//! Reads and writes the XML of the queue service.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use storage_account::{parse_rfc_1123, walk};

use crate::error::QueueError;
use crate::names::{MessageId, PopReceipt};

/// One queue message in a response to Get Messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueMessage {
    /// The id of the message.
    pub id: MessageId,
    /// The receipt, which the caller needs to delete or update the message. The receipt is valid until the
    /// message is updated or dequeued again.
    pub pop_receipt: PopReceipt,
    /// When the message was put on the queue.
    pub insertion_time: DateTime<Utc>,
    /// When the message expires.
    pub expiration_time: DateTime<Utc>,
    /// When the message becomes visible again, if no caller deletes or updates the message before this time.
    pub time_next_visible: DateTime<Utc>,
    /// How often the message was dequeued. The first time, the number is 1.
    pub dequeue_count: u32,
    /// The text of the message.
    pub text: String,
}

/// A queue message that Peek Messages returned without leasing the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeekedMessage {
    /// The id of the message.
    pub id: MessageId,
    /// When the message was put on the queue.
    pub insertion_time: DateTime<Utc>,
    /// The text of the message.
    pub text: String,
}

/// The fields of one message in a response. Not every response has every field. The response to Put Message
/// has no `MessageText` and no `DequeueCount`, and the response to Peek Messages has no receipt.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<(&'static str, String)>);

impl Fields {
    pub(crate) fn take(&mut self, name: &str) -> Result<String, QueueError> {
        let found = self.0.iter_mut().find(|(field, _)| *field == name);
        found.map(|(_, text)| std::mem::take(text)).ok_or_else(|| unreadable(&format!("{name} is missing")))
    }

    pub(crate) fn take_time(&mut self, name: &str) -> Result<DateTime<Utc>, QueueError> {
        parse_rfc_1123(&self.take(name)?).ok_or_else(|| unreadable(&format!("{name} is not a time")))
    }

    pub(crate) fn into_message(mut self) -> Result<QueueMessage, QueueError> {
        Ok(QueueMessage {
            id: MessageId(self.take("MessageId")?),
            pop_receipt: PopReceipt(self.take("PopReceipt")?),
            insertion_time: self.take_time("InsertionTime")?,
            expiration_time: self.take_time("ExpirationTime")?,
            time_next_visible: self.take_time("TimeNextVisible")?,
            dequeue_count: self
                .take("DequeueCount")?
                .parse()
                .map_err(|_| unreadable("DequeueCount is not a number"))?,
            text: self.take("MessageText")?,
        })
    }
}

impl Fields {
    pub(crate) fn into_peeked_message(mut self) -> Result<PeekedMessage, QueueError> {
        Ok(PeekedMessage {
            id: MessageId(self.take("MessageId")?),
            insertion_time: self.take_time("InsertionTime")?,
            text: self.take("MessageText")?,
        })
    }
}

fn unreadable(problem: &str) -> QueueError {
    QueueError::Unreadable(problem.to_owned())
}

/// Reads `<QueueMessagesList>`, and returns one [`Fields`] for each `<QueueMessage>`.
pub(crate) fn read_messages(body: &[u8]) -> Result<Vec<Fields>, QueueError> {
    let mut messages = Vec::new();
    let mut root_seen = false;
    walk(body, &ELEMENTS, |path, text| match (path, text) {
        (["QueueMessagesList"], None) => root_seen = true,
        (["QueueMessagesList", "QueueMessage"], None) => messages.push(Fields::default()),
        (["QueueMessagesList", "QueueMessage", field], Some(text)) => {
            if let Some(Fields(fields)) = messages.last_mut() {
                fields.push((field, text));
            }
        }
        _ => {}
    })
    .map_err(|malformed| unreadable(&malformed.to_string()))?;
    if root_seen { Ok(messages) } else { Err(unreadable("expected a QueueMessagesList, found other XML")) }
}

/// Returns the readable messages, and leaves out the unreadable messages. If `all` is not empty, and every
/// message is unreadable, the function returns an error.
pub(crate) fn into_readable(all: Vec<Fields>) -> Result<Vec<QueueMessage>, QueueError> {
    let mut unreadable = None;
    let mut messages = Vec::with_capacity(all.len());
    for fields in all {
        match fields.into_message() {
            Ok(message) => messages.push(message),
            Err(error) => unreadable = Some(error),
        }
    }
    match unreadable {
        Some(error) if messages.is_empty() => Err(error),
        _ => Ok(messages),
    }
}

/// Reads the id and the receipt in a response to Put Message. `None` if one of the two is missing.
pub(crate) fn read_receipt(body: &[u8]) -> Option<(MessageId, PopReceipt)> {
    let mut fields = read_messages(body).ok()?.pop()?;
    Some((MessageId(fields.take("MessageId").ok()?), PopReceipt(fields.take("PopReceipt").ok()?)))
}

/// The names of the elements that this module reads.
const ELEMENTS: [&str; 9] = [
    "QueueMessagesList",
    "QueueMessage",
    "MessageId",
    "InsertionTime",
    "ExpirationTime",
    "PopReceipt",
    "TimeNextVisible",
    "DequeueCount",
    "MessageText",
];

/// Returns the body of the requests Put Message and Update Message. The function writes a carriage return as
/// `&#13;`, because an XML reader turns a plain carriage return into a line feed
/// (<https://www.w3.org/TR/xml/#sec-line-ends>).
pub(crate) fn write_message(text: &str) -> String {
    let is_special = |byte| matches!(byte, b'<' | b'>' | b'&' | b'\r');
    let text = match text.bytes().any(is_special) {
        true => Cow::Owned(quick_xml::escape::partial_escape(text).replace('\r', "&#13;")),
        // The bot's messages are base64, which needs no escapes.
        false => Cow::Borrowed(text),
    };
    ["<QueueMessage><MessageText>", &text, "</MessageText></QueueMessage>"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "\u{FEFF}<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?><QueueMessagesList><QueueMessage>\
        <MessageId>799a2c63</MessageId><InsertionTime>Mon, 23 Nov 2026 22:48:18 GMT</InsertionTime>\
        <ExpirationTime>Fri, 31 Dec 9999 23:59:59 GMT</ExpirationTime><PopReceipt>AgAA+b/cZ1nS2gE=</PopReceipt>\
        <TimeNextVisible>Mon, 23 Nov 2026 22:49:18 GMT</TimeNextVisible><DequeueCount>2</DequeueCount>\
        <Later>x</Later><MessageText>  a &amp; b &#65;&#xD;&lt;c&gt; <![CDATA[<d>]]> </MessageText></QueueMessage></QueueMessagesList>";

    #[test]
    fn text_with_references_and_spaces_is_decoded_and_not_trimmed() {
        let message = read_messages(ONE.as_bytes()).unwrap().remove(0).into_message().unwrap();
        assert_eq!(message.id.as_str(), "799a2c63");
        assert_eq!(message.pop_receipt.as_str(), "AgAA+b/cZ1nS2gE=");
        assert_eq!(message.dequeue_count, 2);
        assert_eq!(message.insertion_time.to_rfc3339(), "2026-11-23T22:48:18+00:00");
        assert_eq!(message.expiration_time.to_rfc3339(), "9999-12-31T23:59:59+00:00");
        assert_eq!(message.text, "  a & b A\r<c> <d> ");
    }

    #[test]
    fn empty_list_in_each_xml_form_has_no_messages() {
        for body in [
            "<QueueMessagesList/>",
            "<QueueMessagesList />",
            "<?xml version=\"1.0\"?><QueueMessagesList></QueueMessagesList>",
        ] {
            assert_eq!(read_messages(body.as_bytes()).unwrap().len(), 0, "{body}");
        }
    }

    #[test]
    fn body_that_is_no_list_is_an_error_and_so_is_a_message_without_a_field() {
        for body in [
            "",
            "hello",
            "<html></html>",
            "<QueueMessagesList>",
            "<QueueMessagesList></Other>",
            "</QueueMessagesList>",
            "<QueueMessagesList>&nope;</QueueMessagesList>",
            "<QueueMessagesList>&#xFFFFFFFF;</QueueMessagesList>",
            "<!DOCTYPE x [<!ENTITY a \"b\">]><QueueMessagesList/>",
            "<a><b><c><d><e><f><g><h><i><j><k><l><m><n><o><p><q>",
            "<",
            "<QueueMessagesList",
            "&amp;",
        ] {
            assert!(matches!(read_messages(body.as_bytes()), Err(QueueError::Unreadable(_))), "{body}");
        }
        assert!(read_messages(b"\xff\xfe").is_err());
        for field in
            ["MessageId", "PopReceipt", "InsertionTime", "DequeueCount", "MessageText", "TimeNextVisible"]
        {
            let body = ONE.replace(&format!("<{field}>"), "<X>").replace(&format!("</{field}>"), "</X>");
            let error = read_messages(body.as_bytes()).unwrap().remove(0).into_message().expect_err(field);
            assert!(error.to_string().contains(field), "{error}");
        }
        let body = ONE.replace("<DequeueCount>2<", "<DequeueCount>-2<");
        assert!(read_messages(body.as_bytes()).unwrap().remove(0).into_message().is_err());
    }

    #[test]
    fn list_with_an_unreadable_message_still_gives_the_readable_messages() {
        let (begin, rest) = ONE.split_once("<QueueMessage>").unwrap();
        let good = rest.strip_suffix("</QueueMessage></QueueMessagesList>").unwrap();
        let without = |field: &str| good.replace(&format!("{field}>"), "X>");
        let odd = |from: &str, to: &str| good.replace(from, to);
        for bad in [
            String::new(),
            without("MessageId"),
            without("PopReceipt"),
            without("MessageText"),
            without("DequeueCount"),
            odd("Fri, 31 Dec 9999", "Someday"),
            odd("<DequeueCount>2<", "<DequeueCount>two<"),
        ] {
            let read = |messages: &[&str]| {
                let messages: String =
                    messages.iter().map(|one| format!("<QueueMessage>{one}</QueueMessage>")).collect();
                let body = format!("{begin}{messages}</QueueMessagesList>");
                into_readable(read_messages(body.as_bytes()).unwrap()).map(|messages| messages.len())
            };
            assert_eq!(read(&[&bad, good]), Ok(1), "{bad}");
            assert_eq!(read(&[good, &bad, good, &bad]), Ok(2), "{bad}");
            assert!(matches!(read(&[&bad]), Err(QueueError::Unreadable(_))), "{bad}");
            assert!(matches!(read(&[&bad, &bad]), Err(QueueError::Unreadable(_))), "{bad}");
        }
        assert_eq!(into_readable(Vec::new()), Ok(Vec::new()));
    }

    #[test]
    fn invalid_reference_in_the_text_of_a_message_becomes_one_replacement_character() {
        for reference in ["&#0;", "&#xD800;", "&#xFFFFFFFF;", "&nope;"] {
            let body = ONE.replace("&lt;c&gt;", reference);
            let message = read_messages(body.as_bytes()).unwrap().remove(0).into_message().unwrap();
            assert_eq!(message.text, "  a & b A\r\u{FFFD} <d> ", "{reference}");
        }
    }

    #[test]
    fn text_with_markup_is_escaped_in_the_body() {
        assert_eq!(
            write_message("a<&>\"'\r\n"),
            "<QueueMessage><MessageText>a&lt;&amp;&gt;\"'&#13;\n</MessageText></QueueMessage>"
        );
    }
}
