//! The log: one JSON line per event on stdout, without bodies, tokens or keys.

use serde_json::Value;

use crate::Clock;

/// The port for the log.
pub trait Log {
    /// Writes one line.
    fn line(&self, line: &str);

    /// Writes an event as one JSON object: `time`, `level`, `event`, then the fields of `fields` (a JSON object).
    ///
    /// Callers list what is logged field by field; whole bodies, headers and URLs are never passed here.
    fn event(&self, level: Level, event: &str, fields: Value)
    where
        Self: Clock,
    {
        // By hand, because what people look for first should stand first.
        let time = self.now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        let head =
            format!(r#"{{"time":"{time}","level":"{}","event":{}"#, level.as_str(), Value::from(event));
        // Writing JSON of text keys into memory does not fail.
        let fields = serde_json::to_string(&fields).unwrap_or_default();
        let rest = fields.strip_prefix('{').filter(|rest| *rest != "}");
        self.line(&format!("{head}{}{}", if rest.is_some() { "," } else { "" }, rest.unwrap_or("}")));
    }
}

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// What happened.
    Info,
    /// Something is odd, the work went on.
    Warn,
    /// Somebody has to do something.
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
    fn an_event_is_one_json_object() {
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
