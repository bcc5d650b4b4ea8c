//! Reads XML from the services: responses of the queue service, and errors of both services.

use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::Event;
use thiserror::Error;

/// Why the body of a response cannot be read as XML.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Malformed {
    /// The document is not UTF-8.
    #[error("the body is not UTF-8")]
    NotUtf8,
    /// The document is not XML, or has a part that neither service writes: a document type, or more than 16
    /// levels of elements.
    #[error("the body is not well-formed XML")]
    NotWellFormed,
}

/// The body of an error response. If the body lacks an element, the field for this element is
/// empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ErrorBody {
    /// The service's error code.
    pub code: String,
    /// The service's text about a problem with the authorization. Never log this text, because the text can
    /// contain a signature.
    pub authentication_detail: String,
}

/// Reads the body of an error response (`<Error>`). If the body is another document, the fields are empty.
pub fn read_error(body: &[u8]) -> ErrorBody {
    let mut error = ErrorBody::default();
    let read = walk(body, &["Error", "Code", "AuthenticationErrorDetail"], |path, text| match (path, text) {
        (["Error", "Code"], Some(text)) => error.code = text,
        (["Error", "AuthenticationErrorDetail"], Some(text)) => error.authentication_detail = text,
        _ => {}
    });
    if read.is_ok() { error } else { ErrorBody::default() }
}

/// Walks through a document. Where an element begins, the function calls `visit(path, None)`. Where the
/// element ends, the function calls `visit(path, Some(text))`. `path` holds the names of the open elements,
/// from the root to the current element.
///
/// If `elements` does not contain an element's name, the path has an empty string in place of the name. The
/// function does not trim text. The function replaces references such as `&amp;` by their characters.
pub fn walk(
    body: &[u8],
    elements: &[&'static str],
    mut visit: impl FnMut(&[&'static str], Option<String>),
) -> Result<(), Malformed> {
    let element = |name: &str| elements.iter().copied().find(|element| *element == name).unwrap_or_default();
    // A service can begin its XML with a byte order mark.
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let body = std::str::from_utf8(body).map_err(|_| Malformed::NotUtf8)?;
    let malformed = || Malformed::NotWellFormed;
    let mut reader = Reader::from_str(body);
    let (mut path, mut texts): (Vec<&'static str>, Vec<String>) = (Vec::new(), Vec::new());
    loop {
        match reader.read_event().map_err(|_| malformed())? {
            Event::Start(start) => {
                // No response of the services has more than 16 levels of elements.
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
                // An unknown reference is an error. But inside a queue message (more than two open elements),
                // U+FFFD replaces the reference, so that the other messages in the response stay readable.
                let resolved = resolved.or((path.len() > 2).then_some("\u{FFFD}"));
                append(&mut texts, resolved.ok_or_else(malformed)?);
            }
            Event::Eof if path.is_empty() => return Ok(()),
            Event::Eof => return Err(malformed()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            // A document type can define dangerous entities, and the services send no document type.
            Event::DocType(_) => return Err(malformed()),
        }
    }
}

fn append(texts: &mut [String], text: &str) {
    if let Some(content) = texts.last_mut() {
        content.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_body_is_read_and_another_document_gives_empty_fields() {
        let body = "\u{FEFF}<?xml version=\"1.0\"?><Error><Code>QueueNotFound</Code><Message>The queue\nRequestId:1</Message>\
            <AuthenticationErrorDetail>a &amp; b</AuthenticationErrorDetail></Error>";
        let expected = ErrorBody { code: "QueueNotFound".into(), authentication_detail: "a & b".into() };
        assert_eq!(read_error(body.as_bytes()), expected);
        for body in ["", "<html><Code>x</Code></html>", "<Error><Code>x</Code>"] {
            assert_eq!(read_error(body.as_bytes()), ErrorBody::default(), "{body}");
        }
    }
}
