//! Reads a JWK set, and checks a signature with each key of the set.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| bot_framework::fuzzing::use_key_set(data));
