//! How envelopes are put on the queue.

use std::time::Duration;

use chrono::{DateTime, Utc};
use envelope::Envelope;
use storage_queue::{PutOptions, TimeToLive};

/// The longest that the queue hides a message.
const MAX_HIDE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Hidden until it is due, or for as long as the queue can: the poller hides it again. Never forgotten, because alerts may
/// lie longer than a queue's default of seven days.
pub(crate) fn put_options(envelope: &Envelope, now: DateTime<Utc>) -> PutOptions {
    let wait =
        envelope.not_before.and_then(|due| (due - now).to_std().ok()).unwrap_or_default().min(MAX_HIDE);
    // Up, so that nobody is handed one that is not due.
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    PutOptions {
        visibility_timeout_seconds: u32::try_from(seconds).unwrap_or(u32::MAX),
        time_to_live: TimeToLive::Never,
    }
}

#[cfg(test)]
mod tests {
    use bot_framework::ConversationReference;
    use bot_framework::json::Fields;
    use chrono::TimeDelta;
    use envelope::EnvelopeId;

    use super::*;

    #[test]
    fn it_is_hidden_until_it_is_due_or_for_seven_days() {
        let address = br#"{"channelId":"x","serviceUrl":"https://x/","conversation":{"id":"c"}}"#;
        let address = ConversationReference::from_fields(Fields::parse(address).unwrap()).unwrap();
        let now = "2026-11-23T22:00:00Z".parse().unwrap();
        let mut envelope = Envelope::new(EnvelopeId::from_text("1"), address, "hi", now);
        for (due_milliseconds, expected_seconds) in [
            (None, 0),
            (Some(-5000), 0),
            (Some(0), 0),
            (Some(1), 1),
            (Some(10_000), 10),
            (Some(10_001), 11),
            (Some(604_800_000), 604_800),
            (Some(31_536_000_000), 604_800),
        ] {
            envelope.not_before =
                due_milliseconds.map(|milliseconds| now + TimeDelta::milliseconds(milliseconds));
            let options = put_options(&envelope, now);
            assert_eq!(options.visibility_timeout_seconds, expected_seconds, "{due_milliseconds:?}");
            assert_eq!(options.time_to_live, TimeToLive::Never);
        }
    }
}
