//! Fuzz target (a test with random input): reads the input as the XML in a response of the queue service. The
//! target reads the XML twice: as a list of queue messages, and as an error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| storage_queue::fuzzing::read_response(data));
