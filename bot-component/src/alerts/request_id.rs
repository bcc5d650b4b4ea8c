//! The id of a request, in each of its log lines and in its answer.

use http::{HeaderMap, HeaderName, HeaderValue};
use platform::{Randomness, hex};
use serde_json::{Map, Value};

/// The header with the id, in the request and in the answer.
const HEADER: HeaderName = HeaderName::from_static("x-request-id");

const MAX_CHARACTERS: usize = 64;

/// The id of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RequestId(String);

impl RequestId {
    /// The id that the caller sent, if it is valid. The caller's log and the bot's log then have the same id.
    /// Otherwise a new id.
    pub(super) fn of(host: &impl Randomness, headers: &HeaderMap) -> Self {
        let sent = headers.get(HEADER).and_then(|value| value.to_str().ok()).filter(|text| is_id(text));
        Self(sent.map_or_else(
            || {
                let mut bytes = [0; 16];
                host.fill(&mut bytes);
                hex(&bytes)
            },
            str::to_owned,
        ))
    }

    fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as a field for the log.
    pub(super) fn about(&self) -> Map<String, Value> {
        Map::from_iter([("request".to_owned(), self.as_str().into())])
    }

    /// Adds the id to the headers of the answer.
    pub(super) fn add_to(&self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(&self.0) {
            headers.insert(HEADER, value);
        }
    }
}

/// Quotes, brackets and white space are not allowed, because they have a meaning in viewers of logs.
fn is_id(text: &str) -> bool {
    (1..=MAX_CHARACTERS).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&byte))
}

#[cfg(test)]
mod tests {
    use platform::testing::FakeHost;

    use super::*;

    #[test]
    fn id_of_the_caller_is_used_if_it_is_short_and_has_only_safe_characters() {
        let host = FakeHost::default();
        let longest = "x".repeat(64);
        for sent in ["a", "0HMVD9-1:00000001", "Root=1-67891233/abc+def@x_y.z", &longest] {
            let headers = HeaderMap::from_iter([(HEADER, HeaderValue::from_str(sent).unwrap())]);
            assert_eq!(RequestId::of(&host, &headers).as_str(), sent);
        }
        let too_long = "x".repeat(65);
        for sent in ["", "a b", "a\"b", "<a>", "a,b", "\u{fc}", &too_long] {
            let headers = HeaderMap::from_iter([(HEADER, HeaderValue::from_bytes(sent.as_bytes()).unwrap())]);
            let id = RequestId::of(&host, &headers);
            assert!(id.as_str().len() == 32 && id != RequestId::of(&host, &headers), "{sent:?}: {id:?}");
        }
    }
}
