//! A fake trace collector. It stores the *spans* that Spin exports. A span is the record of one operation in
//! a trace, such as a request.
//!
//! The protocol is OTLP/HTTP with protobuf: <https://opentelemetry.io/docs/specs/otlp/#otlphttp>. The
//! protobuf messages below have only the fields that the tests read. The field numbers come from three files
//! in the folder `opentelemetry/proto/` of opentelemetry-proto: `collector/trace/v1/trace_service.proto`,
//! `trace/v1/trace.proto` and `common/v1/common.proto`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use platform::hex;
use prost::Message;

use crate::loopback_server::LoopbackServer;
use crate::waiting::eventually;

/// The collector.
#[derive(Debug)]
pub struct SpanCollector {
    server: LoopbackServer,
    spans: Arc<Mutex<Vec<Span>>>,
}

/// A span that Spin exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// 16 hexadecimal digits; empty if the span begins the trace.
    pub parent_id: String,
    pub name: String,
    /// Whether the span records an inbound request. Spin exports such a span with the kind `server`.
    pub is_inbound: bool,
    /// The attributes whose values are texts or whole numbers. Other attributes are left out.
    pub attributes: BTreeMap<String, String>,
    /// The attributes of each event in the span.
    pub events: Vec<BTreeMap<String, String>>,
}

impl Span {
    /// The value of an attribute; empty if the span has no such attribute.
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map(String::as_str).unwrap_or_default()
    }
}

impl SpanCollector {
    /// Starts the collector on a free loopback port. The collector also accepts metrics and log records, and
    /// ignores them.
    pub fn start() -> Self {
        let spans = Arc::new(Mutex::new(Vec::new()));
        let taking = Arc::clone(&spans);
        let server = LoopbackServer::start(move |request: http::Request<Bytes>| {
            if request.uri().path() == "/v1/traces" {
                let export = Export::decode(request.into_body()).expect("an ExportTraceServiceRequest");
                taking.lock().unwrap_or_else(PoisonError::into_inner).extend(export.spans());
            }
            // An empty body is a protobuf message without fields. This message tells Spin that the export
            // succeeded.
            async { Some(http::Response::new(Bytes::new())) }
        });
        Self { server, spans }
    }

    /// The environment variables that make Spin export its spans to this collector. Every 100 milliseconds,
    /// Spin exports the spans that have ended.
    pub fn environment(&self) -> [(&'static str, String); 2] {
        [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", self.server.authority())),
            ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
        ]
    }

    /// All spans so far, in the order in which Spin exported them.
    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a span for which `is_awaited` returns true. `awaited` describes the span in the failure
    /// message.
    #[track_caller]
    pub fn wait_for(&self, awaited: &str, is_awaited: impl Fn(&Span) -> bool) -> Span {
        eventually(awaited, || self.spans().into_iter().find(|span| is_awaited(span)))
    }
}

/// The protobuf message `ExportTraceServiceRequest`.
#[derive(Clone, PartialEq, Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, repeated, tag = "2")]
    spans: Vec<ExportedSpan>,
}

/// The protobuf message `Span`.
#[derive(Clone, PartialEq, Message)]
struct ExportedSpan {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, repeated, tag = "11")]
    events: Vec<Event>,
}

/// The protobuf message `Span.Event`.
#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(message, repeated, tag = "3")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

/// The protobuf message `AnyValue`. At most one of the two fields is set.
#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(string, optional, tag = "1")]
    text: Option<String>,
    #[prost(int64, optional, tag = "3")]
    number: Option<i64>,
}

/// The value of `SPAN_KIND_SERVER` in the protobuf enum `SpanKind`.
const KIND_SERVER: i32 = 2;

impl Export {
    fn spans(self) -> impl Iterator<Item = Span> {
        let scopes = self.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).map(Span::from)
    }
}

impl From<ExportedSpan> for Span {
    fn from(span: ExportedSpan) -> Self {
        Self {
            trace_id: hex(&span.trace_id),
            span_id: hex(&span.span_id),
            parent_id: hex(&span.parent_span_id),
            name: span.name,
            is_inbound: span.kind == KIND_SERVER,
            attributes: texts(span.attributes),
            events: span.events.into_iter().map(|event| texts(event.attributes)).collect(),
        }
    }
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: AnyValue| value.text.or_else(|| value.number.map(|number| number.to_string()));
    attributes.into_iter().filter_map(|one| Some((one.key, text(one.value?)?))).collect()
}
