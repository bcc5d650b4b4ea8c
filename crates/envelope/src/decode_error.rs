//! The reason why the text of a queue message cannot be read.

use bot_framework::json::FieldError;
use thiserror::Error;

use crate::VERSION;

/// The text of a queue message is not an envelope that this code can read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The text is neither JSON nor base64 of JSON. [`json_of`](crate::json_of) lists the forms that this
    /// code reads.
    #[error("message: expected a JSON object, or base64 of a JSON object")]
    NotJson,
    /// The message has another version than [`VERSION`], because a newer producer wrote it.
    #[error("version: expected {VERSION}, found {0}; update the bot and the poller")]
    UnsupportedVersion(u64),
    /// The JSON has no known shape.
    #[error(
        "message: expected an envelope of version {VERSION}, or an older shape (`address`, `RelatesTo`, \
         `ResumptionCookie`, an event named ContinueConversation)"
    )]
    UnknownShape,
    /// The message has no usable address.
    #[error("address: {0}")]
    NotAddressable(&'static str),
    /// A field is missing or of the wrong type.
    #[error("{0}")]
    Field(#[from] FieldError),
}

pub(crate) const COMPRESSED: DecodeError = DecodeError::NotAddressable(
    "the ResumptionCookie is compressed .NET data (GZipSerialize), which only its own bot can read; ask the \
     person to write to the bot again",
);
