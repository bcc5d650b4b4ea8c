//! The log: one JSON line for each event, on stdout. The lines contain no bodies of requests or responses, no
//! tokens and no other secrets.

use serde_json::Value;

use crate::Clock;

/// The trait for the log, one of the [ports](crate) to the platform.
pub trait Log {
    /// Writes one line.
    fn line(&self, line: &str);

    /// Writes an event as one JSON object: `time`, `level`, `event`, then the fields of `fields` (a JSON
    /// object).
    ///
    /// Callers pass single values, and never whole bodies, headers or URLs.
    fn event(&self, level: Level, event: &str, fields: Value)
    where
        Self: Clock,
    {
        // A JSON value of `serde_json` has its members in alphabetical order. So this function joins the
        // texts of the members itself. Then the line begins with the members that people look for first.
        let time = self.now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        // Both calls of `to_string` succeed, because they write a JSON value into memory.
        let event = serde_json::to_string(event).unwrap_or_default();
        let fields = serde_json::to_string(&fields).unwrap_or_default();
        let (separator, rest) = match fields.strip_prefix('{') {
            None | Some("}") => ("", "}"),
            Some(rest) => (",", rest),
        };
        let level = level.as_str();
        self.line(
            &[r#"{"time":""#, &time, r#"","level":""#, level, r#"","event":"#, &event, separator, rest]
                .concat(),
        );
    }
}

/// How important an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// A normal event.
    Info,
    /// An unusual event. The request, or the run of the poller, continued.
    Warn,
    /// A failure. An operator has to act.
    Error,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::FakeHost;

    #[test]
    fn event_is_written_as_one_json_object() {
        let host = FakeHost::default();
        host.event(Level::Warn, "queue.put", json!({"reason": "a \"b\"\n", "status": 503}));
        host.event(Level::Info, "started", json!({}));
        let lines = host.lines.borrow();
        let head = r#"{"time":"2026-11-23T22:00:00.000Z","level":"#;
        assert_eq!(
            lines[0],
            format!(r#"{head}"warn","event":"queue.put","reason":"a \"b\"\n","status":503}}"#)
        );
        assert_eq!(lines[1], format!(r#"{head}"info","event":"started"}}"#));
    }
}
