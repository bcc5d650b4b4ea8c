//! Reads responses of the queue service: lists of queue messages, and errors.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| storage_queue::fuzzing::read_response(data));
