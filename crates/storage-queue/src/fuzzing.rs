//! An entry point for the fuzz target in `fuzz/`. Only builds with `--cfg fuzzing` have it.

use storage_account::read_error;

use crate::xml::read_messages;

/// Reads the body of a response, as a list of messages and as an error.
pub fn read_response(body: &[u8]) {
    if let Ok(messages) = read_messages(body) {
        for message in messages {
            _ = message.into_message();
        }
    }
    _ = read_error(body);
}
