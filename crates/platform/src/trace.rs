//! The header `traceparent` of W3C Trace Context: one trace id follows a request through several programs.
//!
//! Specification: <https://www.w3.org/TR/trace-context/>. The bot ignores the header `tracestate`, in
//! which the tracing systems of the sender can write 512 characters. If the bot kept this header, the poller
//! would pass these characters on to the Connector, an external service.

use std::fmt;

use http::{HeaderMap, HeaderName};
use serde_json::Value;

use crate::{Randomness, hex};

/// The header `traceparent`, in the form of version 00: `00-<trace id>-<parent id>-<flags>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traceparent {
    trace_id: String,
    parent_id: String,
    flags: u8,
}

impl Traceparent {
    /// The name of the header.
    pub const HEADER: HeaderName = HeaderName::from_static("traceparent");

    /// The two flags that the specification defines: *sampled* and *random trace id*. A program must send all
    /// other flags as zero.
    const DEFINED_FLAGS: u8 = 0b11;

    /// Reads the header of a request. Returns `None` if the header is missing, occurs several times, or is
    /// not valid.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(Self::HEADER).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        Self::parse(value.to_str().ok()?)
    }

    /// Parses the value of the header. Returns `None` if the value is not valid, or has another version.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace_id, parent_id, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_valid = parts.next().is_none()
            && version == "00"
            && is_id(trace_id, 32)
            && is_id(parent_id, 16)
            && is_hex(flags, 2);
        let flags = u8::from_str_radix(flags, 16).ok().filter(|_| is_valid)?;
        Some(Self { trace_id: trace_id.into(), parent_id: parent_id.into(), flags })
    }

    /// The trace id: 32 hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        &self.trace_id
    }

    /// Makes the header's value for an outbound call of this program. The value has the same trace id, and a
    /// new parent id (the id of the call).
    #[must_use]
    pub fn child(&self, host: &impl Randomness) -> Self {
        let mut parent_id = [0; 8];
        host.fill(&mut parent_id);
        // A parent id of zeros is not valid.
        parent_id[7] |= u8::from(parent_id == [0; 8]);
        let flags = self.flags & Self::DEFINED_FLAGS;
        Self { trace_id: self.trace_id.clone(), parent_id: hex(&parent_id), flags }
    }

    /// Adds the trace id as `trace` to the fields of a log line, if there is a trace.
    pub fn add_to(trace: Option<&Self>, mut fields: Value) -> Value {
        if let (Some(trace), Value::Object(fields)) = (trace, &mut fields) {
            fields.insert("trace".into(), trace.trace_id().into());
        }
        fields
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace_id, self.parent_id, self.flags)
    }
}

/// Whether `text` has exactly `digits` hexadecimal digits in lower case, and at least one digit is not zero.
fn is_id(text: &str, digits: usize) -> bool {
    is_hex(text, digits) && text.bytes().any(|byte| byte != b'0')
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::*;
    use crate::testing::FakeHost;

    /// The example of the specification.
    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn traceparent_of_another_form_than_version_00_is_not_read() {
        for valid in [EXAMPLE, &EXAMPLE.replace("-01", "-00"), &EXAMPLE.replace("-01", "-ff")] {
            assert_eq!(Traceparent::parse(valid).unwrap().to_string(), valid);
        }
        let zeros = |digits: usize| "0".repeat(digits);
        for invalid in [
            "",
            "-",
            &EXAMPLE.to_uppercase(),
            &EXAMPLE.replacen("00-", "01-", 1),
            &EXAMPLE.replacen("00-", "ff-", 1),
            &EXAMPLE.replacen("00-", "0-", 1),
            &EXAMPLE.replacen("00-", "", 1),
            &EXAMPLE.replace("4bf92f3577b34da6a3ce929d0e0e4736", &zeros(32)),
            &EXAMPLE.replace("00f067aa0ba902b7", &zeros(16)),
            &EXAMPLE.replace("4736", "473"),
            &EXAMPLE.replace("4736", "47361"),
            &EXAMPLE.replace("4736", "473g"),
            &EXAMPLE.replace("02b7", "2b7"),
            &EXAMPLE.replace("-01", ""),
            &EXAMPLE.replace("-01", "-1"),
            &EXAMPLE.replace("-01", "-+1"),
            &EXAMPLE.replace('-', "_"),
            &format!("{EXAMPLE}-"),
            &format!("{EXAMPLE}-what"),
            &format!(" {EXAMPLE}"),
            &format!("{EXAMPLE}\n"),
            &format!("ü{EXAMPLE}"),
        ] {
            assert_eq!(Traceparent::parse(invalid), None, "{invalid:?}");
        }
    }

    #[test]
    fn traceparent_is_read_only_if_the_header_occurs_exactly_once() {
        let headers = |values: &[&str]| {
            let value =
                |text: &&str| (Traceparent::HEADER, HeaderValue::from_bytes(text.as_bytes()).unwrap());
            HeaderMap::from_iter(values.iter().map(value))
        };
        let mut twice = headers(&[EXAMPLE]);
        twice.append(Traceparent::HEADER, HeaderValue::from_static(EXAMPLE));
        assert_eq!(Traceparent::of(&headers(&[EXAMPLE])).unwrap().to_string(), EXAMPLE);
        for headers in [headers(&[]), headers(&["x"]), headers(&["\u{fc}"]), twice] {
            assert_eq!(Traceparent::of(&headers), None, "{headers:?}");
        }
    }

    #[test]
    fn traceparent_of_an_outbound_call_has_the_same_trace_id_and_a_new_parent_id() {
        struct Zeros;
        impl Randomness for Zeros {
            fn fill(&self, buffer: &mut [u8]) {
                buffer.fill(0);
            }
        }
        let host = FakeHost::default();
        for (flags, expected) in [("-01", "-01"), ("-00", "-00"), ("-03", "-03"), ("-ff", "-03")] {
            let given = Traceparent::parse(&EXAMPLE.replace("-01", flags)).unwrap();
            let (one, other) = (given.child(&host), given.child(&host));
            assert!(one.to_string().ends_with(expected), "{one}");
            assert_eq!((one.trace_id(), other.trace_id()), (given.trace_id(), given.trace_id()));
            assert!(one != other && one.parent_id != given.parent_id, "{one} {other}");
            for call in [&one, &given.child(&Zeros)] {
                assert_eq!(Traceparent::parse(&call.to_string()).as_ref(), Some(call), "a valid header");
            }
        }
    }

    #[test]
    fn log_line_has_the_trace_id_only_if_there_is_a_trace() {
        let trace = Traceparent::parse(EXAMPLE);
        let expected = json!({"a": 1, "trace": "4bf92f3577b34da6a3ce929d0e0e4736"});
        assert_eq!(Traceparent::add_to(trace.as_ref(), json!({"a": 1})), expected);
        assert_eq!(Traceparent::add_to(None, json!({"a": 1})), json!({"a": 1}));
    }
}
