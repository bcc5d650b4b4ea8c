//! Fuzz target (a test with random input): reads the input as the text of a queue message. The bot accepts
//! several formats and encodings of an *envelope* (one alert as JSON). An envelope can have a *seal* (a proof
//! that the bot wrote the envelope).
#![no_main]

use envelope::{Arrival, Envelope, EnvelopeId, SealKey, SealState};
use libfuzzer_sys::fuzz_target;
use platform::Clock;
use platform::testing::FakeHost;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let key = SealKey::new([7; 32]);
    let arrival = Arrival { id: EnvelopeId::random([1; 16]), at: FakeHost::default().now() };
    let Ok((envelope, seal)) = Envelope::decode(text, Some(&key), arrival.clone()) else { return };
    assert!(seal != SealState::Valid, "random text must not have a valid seal");
    // If an accepted envelope fits into a queue message, the bot can seal, write and read the envelope.
    if let Ok(written) = envelope.encode(Some(&key)) {
        let (_, seal) = Envelope::decode(&written, Some(&key), arrival)
            .expect("an envelope that this code wrote can be read");
        assert_eq!(seal, SealState::Valid);
    }
});
