//! The error of [`Envelope::decode`](crate::Envelope::decode).

use bot_framework::json::FieldError;
use thiserror::Error;

use crate::VERSION;

/// The reason why this code cannot read the text of a queue message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The text is neither JSON nor base64 of JSON. [`json_of`](crate::json_of) lists all encodings that this
    /// code reads.
    #[error("message: expected a JSON object, or base64 of a JSON object")]
    NotJson,
    /// The field `version` is not [`VERSION`]. For example, a newer bot wrote the message.
    #[error("version: expected {VERSION}, found {0}; update the bot and the poller")]
    UnsupportedVersion(u64),
    /// The JSON has no known shape. [`Shape`](crate::Shape) lists the known shapes.
    #[error(
        "message: expected an envelope of version {VERSION}, or an older shape (`address`, `RelatesTo`, \
         `ResumptionCookie`, an event named ContinueConversation)"
    )]
    UnknownShape,
    /// The message has no address to which the poller can send. The value is the reason.
    #[error("address: {0}")]
    NotAddressable(&'static str),
    /// A field is missing or of the wrong type.
    #[error("{0}")]
    Field(#[from] FieldError),
}

pub(crate) const COMPRESSED_COOKIE: DecodeError = DecodeError::NotAddressable(
    "the ResumptionCookie is compressed .NET data (GZipSerialize), which only the bot that wrote it can read; ask the \
     person to write to the bot again",
);
