//! Fuzz target (a test with random input): reads the input as a JWK set (public keys as JSON). Each key of
//! the set must refuse a wrong signature.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| bot_framework::fuzzing::use_key_set(data));
