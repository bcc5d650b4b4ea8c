//! A door for the fuzz target in `fuzz/`, which builds with `--cfg fuzzing`. Nothing else has it.

use storage_account::read_error;

use crate::xml::read_messages;

/// Reads the body of an answer, as a list of messages and as an error.
pub fn read_answer(body: &[u8]) {
    if let Ok(messages) = read_messages(body) {
        for message in messages {
            _ = message.into_message();
        }
    }
    _ = read_error(body);
}
