//! The entry point for the fuzz target `storage_xml` in `fuzz/`. Only builds with `--cfg fuzzing` contain
//! this module.

use storage_account::read_error;

use crate::xml::read_messages;

/// Reads the body of a response as a list of messages, and then as an error. The fuzz target finds bodies for
/// which one of the two readers panics.
pub fn read_response(body: &[u8]) {
    if let Ok(messages) = read_messages(body) {
        for message in messages {
            _ = message.into_message();
        }
    }
    _ = read_error(body);
}
