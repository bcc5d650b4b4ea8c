//! Fuzz target (a test with random input): reads the input as the token (a JWT) of an `Authorization` header.
#![no_main]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // The target reads the input unchanged.
    bot_framework::fuzzing::read_token(data);
    // Then the target reads the input as the JSON of a token: the header, a NUL byte, and the claims. The
    // target encodes both parts in base64, because random input is hardly ever valid base64. Without this
    // step, the input would not reach the JSON reader.
    let mut parts = data.splitn(2, |byte| *byte == 0).map(|part| URL_SAFE_NO_PAD.encode(part));
    let (header, claims) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    bot_framework::fuzzing::read_token(format!("Bearer {header}.{claims}.AAAA").as_bytes());
});
