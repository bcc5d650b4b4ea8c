//! Recognizes triggers. A *trigger* is an activity from a program, not from a person. The trigger names a
//! conversation, and the bot sends a message to this conversation.

use platform::{Settings, SettingsError};
use serde_json::Value;

use crate::activity::{Activity, ActivityKind};

/// The variable `triggername`. An activity of the type `event` with this name is a trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggerName(String);

impl TriggerName {
    /// Reads the variable `triggername`. If the variable is empty, the name is `trigger`.
    pub fn read(settings: &impl Settings) -> Result<Self, SettingsError> {
        let name = settings.setting("triggername")?.trim().to_owned();
        Ok(Self(if name.is_empty() { "trigger".to_owned() } else { name }))
    }

    /// The name of the events that are triggers.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether an activity is a trigger: an event with this name, or any activity of the type `trigger`. An
    /// activity of the type `trigger` needs no name. The Azure Function of Microsoft's 2017 bot template sent
    /// such activities.
    pub fn is_trigger(&self, activity: &Activity) -> bool {
        match activity.kind {
            ActivityKind::Trigger => true,
            ActivityKind::Event => activity.rest.get("name").and_then(Value::as_str) == Some(self.as_str()),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use platform::testing::FakeHost;

    use super::*;

    #[test]
    fn trigger_name_matches_activities_of_type_trigger_and_events_with_the_name() {
        for (setting, kind, name, expected) in [
            ("", "trigger", "null", true),
            ("", "trigger", r#""other""#, true),
            ("", "event", r#""trigger""#, true),
            ("", "event", r#""Trigger""#, false),
            ("", "event", "null", false),
            ("", "message", r#""trigger""#, false),
            (" wake ", "event", r#""wake""#, true),
            ("wake", "event", r#""trigger""#, false),
        ] {
            let host = FakeHost::with_settings([("triggername", setting)]);
            let json = format!(r#"{{"type":"{kind}","name":{name},"conversation":{{"id":"c"}}}}"#);
            let activity = Activity::parse(json.as_bytes()).unwrap();
            assert_eq!(
                TriggerName::read(&host).unwrap().is_trigger(&activity),
                expected,
                "{setting:?} {json}"
            );
        }
    }
}
