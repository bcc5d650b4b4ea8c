//! Reads the compact JWT of an `Authorization` header.
#![no_main]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // The input as it is.
    bot_framework::fuzzing::read_token(data);
    // The input as JSON that this target encodes in base64, so that the fuzzer reaches the JSON reader. The
    // first NUL separates header and claims.
    let mut parts = data.splitn(2, |byte| *byte == 0).map(|part| URL_SAFE_NO_PAD.encode(part));
    let (header, claims) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    bot_framework::fuzzing::read_token(format!("Bearer {header}.{claims}.AAAA").as_bytes());
});
