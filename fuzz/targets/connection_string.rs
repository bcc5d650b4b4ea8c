//! Fuzz target (a test with random input): reads the input as a connection string of Azure Storage. The
//! `Debug` output of the parsed account must mask the credential.
#![no_main]

use libfuzzer_sys::fuzz_target;
use storage_queue::Account;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Account::parse(text) {
        Ok(account) => assert!(format!("{account:?}").contains("(***)")),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
