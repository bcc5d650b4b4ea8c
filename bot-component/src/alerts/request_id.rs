//! The id of a request. Each log line about the request has this id, and the response has the id, too. If the
//! caller sent a trace id (in the header `traceparent`), the log lines also have the trace id.

use bot_framework::json::put;
use http::{HeaderMap, HeaderName, HeaderValue};
use platform::{Randomness, Traceparent, hex};
use serde_json::{Map, Value};

/// The header with the id, in the request and in the response.
const HEADER: HeaderName = HeaderName::from_static("x-request-id");

const MAX_CHARACTERS: usize = 64;

/// The id of one request, and the trace that the caller sent with the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RequestId {
    id: String,
    trace: Option<Traceparent>,
}

impl RequestId {
    /// Returns the id and the trace that the caller sent. The bot keeps the caller's id, so that the logs of
    /// the caller and the logs of the bot have the same id. If the caller sent no valid id, makes a new id.
    pub(super) fn of(host: &impl Randomness, headers: &HeaderMap) -> Self {
        let sent = headers.get(HEADER).and_then(|value| value.to_str().ok()).filter(|text| is_id(text));
        let id = sent.map_or_else(
            || {
                let mut bytes = [0; 16];
                host.fill(&mut bytes);
                hex(&bytes)
            },
            str::to_owned,
        );
        Self { id, trace: Traceparent::of(headers) }
    }

    /// The trace of the request. The bot also gives this trace to the alerts of the request.
    pub(super) fn trace(&self) -> Option<&Traceparent> {
        self.trace.as_ref()
    }

    fn as_str(&self) -> &str {
        &self.id
    }

    /// Returns the fields for the log: the id as `request`, and `trace` if the caller sent a trace.
    pub(super) fn about(&self) -> Map<String, Value> {
        let mut about = Map::from_iter([("request".to_owned(), self.as_str().into())]);
        put(&mut about, "trace", self.trace.as_ref().map(Traceparent::trace_id));
        about
    }

    /// Adds the id to the headers of the response.
    pub(super) fn add_to(&self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(&self.id) {
            headers.insert(HEADER, value);
        }
    }
}

/// Whether a text is allowed as the id of a request. Quotes, brackets and white space are not allowed,
/// because these characters have a meaning in programs that show logs.
fn is_id(text: &str) -> bool {
    (1..=MAX_CHARACTERS).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&byte))
}

#[cfg(test)]
mod tests {
    use platform::testing::FakeHost;

    use super::*;

    #[test]
    fn fields_for_the_log_have_the_trace_id_only_if_the_caller_sent_a_valid_trace() {
        let host = FakeHost::default();
        let headers = |trace| HeaderMap::from_iter([(Traceparent::HEADER, HeaderValue::from_static(trace))]);
        let of = |headers: &HeaderMap| RequestId::of(&host, headers).about().get("trace").cloned();
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(of(&headers(trace)), Some("4bf92f3577b34da6a3ce929d0e0e4736".into()));
        assert_eq!(of(&headers("00-x")), None);
        assert_eq!(of(&HeaderMap::new()), None);
    }

    #[test]
    fn id_from_the_caller_is_used_only_if_short_and_without_unsafe_characters() {
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
