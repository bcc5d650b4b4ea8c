//! The service's XML: seven element names, read with an event reader.

use chrono::{DateTime, Utc};
use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::Event;

use crate::error::QueueError;
use crate::names::{MessageId, PopReceipt};

/// A message that Get Messages handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueMessage {
    /// Its id.
    pub id: MessageId,
    /// The right to delete or update it, until it is handed out again.
    pub pop_receipt: PopReceipt,
    /// When it was put on the queue.
    pub insertion_time: DateTime<Utc>,
    /// When the queue forgets it.
    pub expiration_time: DateTime<Utc>,
    /// When it is handed out again, if nobody deletes it.
    pub time_next_visible: DateTime<Utc>,
    /// How often it was handed out, this time included.
    pub dequeue_count: u32,
    /// Its text.
    pub text: String,
}

/// What of a message an answer holds: a Put's has no text and no count, a Peek's no receipt.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<(&'static str, String)>);

impl Fields {
    pub(crate) fn take(&mut self, name: &str) -> Result<String, QueueError> {
        let found = self.0.iter_mut().find(|(field, _)| *field == name);
        found.map(|(_, text)| std::mem::take(text)).ok_or_else(|| unreadable(&format!("{name} is missing")))
    }

    pub(crate) fn take_time(&mut self, name: &str) -> Result<DateTime<Utc>, QueueError> {
        parse_time(&self.take(name)?).ok_or_else(|| unreadable(&format!("{name} is not a time")))
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

fn unreadable(problem: &str) -> QueueError {
    QueueError::Unreadable(problem.to_owned())
}

/// RFC 1123, always GMT.
pub(crate) fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text).ok().map(|time| time.with_timezone(&Utc))
}

/// Reads `<QueueMessagesList>`: one [`Fields`] for each `<QueueMessage>`.
pub(crate) fn read_messages(body: &[u8]) -> Result<Vec<Fields>, QueueError> {
    let mut messages = Vec::new();
    let mut root_seen = false;
    walk(body, |path, text| match (path, text) {
        (["QueueMessagesList"], None) => root_seen = true,
        (["QueueMessagesList", "QueueMessage"], None) => messages.push(Fields::default()),
        (["QueueMessagesList", "QueueMessage", field], Some(text)) => {
            if let Some(Fields(fields)) = messages.last_mut() {
                fields.push((field, text));
            }
        }
        _ => {}
    })?;
    if root_seen { Ok(messages) } else { Err(unreadable("it is no QueueMessagesList")) }
}

/// The messages that can be read; an error if there are some, and none of them can.
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

/// What an error's body says; empty where it says nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ErrorBody {
    pub(crate) code: String,
    /// May quote a signature: not for logs.
    pub(crate) authentication_detail: String,
}

/// Reads `<Error>`, or nothing if the body is something else.
pub(crate) fn read_error(body: &[u8]) -> ErrorBody {
    let mut error = ErrorBody::default();
    let read = walk(body, |path, text| match (path, text) {
        (["Error", "Code"], Some(text)) => error.code = text,
        (["Error", "AuthenticationErrorDetail"], Some(text)) => error.authentication_detail = text,
        _ => {}
    });
    if read.is_ok() { error } else { ErrorBody::default() }
}

/// Every element that is looked at.
const ELEMENTS: [&str; 12] = [
    "QueueMessagesList",
    "QueueMessage",
    "MessageId",
    "InsertionTime",
    "ExpirationTime",
    "PopReceipt",
    "TimeNextVisible",
    "DequeueCount",
    "MessageText",
    "Error",
    "Code",
    "AuthenticationErrorDetail",
];

/// The name of an element, or nothing if this module does not look at it.
fn element(name: &str) -> &'static str {
    ELEMENTS.into_iter().find(|element| *element == name).unwrap_or_default()
}

/// Goes through a document: `visit(path, None)` where an element begins, `visit(path, Some(text))` where it ends.
/// Text is not trimmed; references are resolved and joined to what stands around them.
fn walk(body: &[u8], mut visit: impl FnMut(&[&'static str], Option<String>)) -> Result<(), QueueError> {
    // The service begins its XML with a byte order mark.
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let body = std::str::from_utf8(body).map_err(|_| unreadable("it is not UTF-8"))?;
    let malformed = || unreadable("it is not well-formed XML");
    let mut reader = Reader::from_str(body);
    let (mut path, mut texts): (Vec<&'static str>, Vec<String>) = (Vec::new(), Vec::new());
    loop {
        match reader.read_event().map_err(|_| malformed())? {
            Event::Start(start) => {
                // Deeper than any answer of the service: somebody else's document.
                if path.len() >= 16 {
                    return Err(malformed());
                }
                path.push(element(start.local_name().as_ref()));
                texts.push(String::new());
                visit(&path, None);
            }
            Event::Empty(empty) => {
                path.push(element(empty.local_name().as_ref()));
                visit(&path, None);
                visit(&path, Some(String::new()));
                path.pop();
            }
            Event::End(_) => {
                let text = texts.pop().ok_or_else(malformed)?;
                visit(&path, Some(text));
                path.pop();
            }
            Event::Text(text) => append(&mut texts, &text.xml10_content()),
            Event::CData(data) => append(&mut texts, &data.xml10_content()),
            Event::GeneralRef(reference) => {
                let named = reference.xml10_content();
                let mut buffer = [0; 4];
                let resolved = match reference.resolve_char_ref() {
                    Ok(Some(character)) => Some(&*character.encode_utf8(&mut buffer)),
                    Ok(None) => resolve_xml_entity(&named),
                    Err(_) => None,
                };
                // One in a message's text must not make the other messages unreadable.
                let resolved = resolved.or((path.len() > 2).then_some("\u{FFFD}"));
                append(&mut texts, resolved.ok_or_else(malformed)?);
            }
            Event::Eof if path.is_empty() => return Ok(()),
            Event::Eof => return Err(malformed()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            // Nothing of the service's has one, and entities are where XML turns dangerous.
            Event::DocType(_) => return Err(malformed()),
        }
    }
}

fn append(texts: &mut [String], text: &str) {
    if let Some(content) = texts.last_mut() {
        content.push_str(text);
    }
}

/// The body of Put and Update.
pub(crate) fn write_message(text: &str) -> String {
    format!(
        "<QueueMessage><MessageText>{}</MessageText></QueueMessage>",
        quick_xml::escape::partial_escape(text)
    )
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
    fn a_message_is_read_to_the_letter() {
        let message = read_messages(ONE.as_bytes()).unwrap().remove(0).into_message().unwrap();
        assert_eq!(message.id.as_str(), "799a2c63");
        assert_eq!(message.pop_receipt.as_str(), "AgAA+b/cZ1nS2gE=");
        assert_eq!(message.dequeue_count, 2);
        assert_eq!(message.insertion_time.to_rfc3339(), "2026-11-23T22:48:18+00:00");
        assert_eq!(message.expiration_time.to_rfc3339(), "9999-12-31T23:59:59+00:00");
        assert_eq!(message.text, "  a & b A\r<c> <d> ");
    }

    #[test]
    fn empty_lists() {
        for body in [
            "<QueueMessagesList/>",
            "<QueueMessagesList />",
            "<?xml version=\"1.0\"?><QueueMessagesList></QueueMessagesList>",
        ] {
            assert_eq!(read_messages(body.as_bytes()).unwrap().len(), 0, "{body}");
        }
    }

    #[test]
    fn what_is_no_list_is_an_error_and_never_a_panic() {
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
    fn one_that_makes_no_sense_does_not_hide_the_others() {
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
    fn a_reference_to_no_character_spoils_one_character() {
        for reference in ["&#0;", "&#xD800;", "&#xFFFFFFFF;", "&nope;"] {
            let body = ONE.replace("&lt;c&gt;", reference);
            let message = read_messages(body.as_bytes()).unwrap().remove(0).into_message().unwrap();
            assert_eq!(message.text, "  a & b A\r\u{FFFD} <d> ", "{reference}");
        }
    }

    #[test]
    fn error_bodies() {
        let body = "\u{FEFF}<?xml version=\"1.0\"?><Error><Code>QueueNotFound</Code><Message>The queue\nRequestId:1</Message>\
            <AuthenticationErrorDetail>a &amp; b</AuthenticationErrorDetail></Error>";
        let expected = ErrorBody { code: "QueueNotFound".into(), authentication_detail: "a & b".into() };
        assert_eq!(read_error(body.as_bytes()), expected);
        for body in ["", "<html><Code>x</Code></html>", "<Error><Code>x</Code>"] {
            assert_eq!(read_error(body.as_bytes()), ErrorBody::default(), "{body}");
        }
    }

    #[test]
    fn text_is_escaped_on_its_way_out() {
        assert_eq!(
            write_message("a<&>\"'"),
            "<QueueMessage><MessageText>a&lt;&amp;&gt;\"'</MessageText></QueueMessage>"
        );
    }
}
