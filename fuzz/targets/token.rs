//! The compact JWT of an `Authorization` header.
#![no_main]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // As it came.
    bot_framework::fuzzing::read_token(data);
    // And with the base64 taken off, so that the JSON inside is reached: header and claims, split at the first NUL.
    let mut parts = data.splitn(2, |byte| *byte == 0).map(|part| URL_SAFE_NO_PAD.encode(part));
    let (header, claims) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    bot_framework::fuzzing::read_token(format!("Bearer {header}.{claims}.AAAA").as_bytes());
});
