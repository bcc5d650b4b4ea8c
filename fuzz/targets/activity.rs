//! Fuzz target (a test with random input): reads the input as an activity, which is the body of a call to
//! `/api/messages`.
#![no_main]

use bot_framework::{Activity, ConversationReference};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(activity) = Activity::parse(data) {
        assert!(!activity.conversation.id.is_empty());
        _ = (activity.adds_the_bot(), activity.text_to_the_bot());
        if let Ok(reference) = ConversationReference::of(&activity) {
            assert!(!reference.service_url.is_empty() && !reference.channel_id.is_empty());
        }
    }
});
