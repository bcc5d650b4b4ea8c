//! Why a message of the queue cannot be read.

use bot_framework::json::FieldError;
use thiserror::Error;

use crate::VERSION;

/// The text of a queue message is not an envelope that this code can read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Neither JSON nor base64 of JSON, in any form that [`json_of`](crate::json_of) reads.
    #[error("neither a JSON object nor base64 of one")]
    NotJson,
    /// A newer producer wrote the message.
    #[error("version {0} is not supported, this reads version {VERSION}")]
    UnsupportedVersion(u64),
    /// The JSON has no known shape.
    #[error(
        "neither version {VERSION} nor an older shape (`address`, `RelatesTo`, `ResumptionCookie`, an event named \
         ContinueConversation)"
    )]
    UnknownShape,
    /// The message has no usable address.
    #[error("it cannot be addressed: {0}")]
    NotAddressable(&'static str),
    /// A field is missing or of the wrong type.
    #[error("{0}")]
    Field(#[from] FieldError),
}

pub(crate) const COMPRESSED: DecodeError = DecodeError::NotAddressable(
    "its ResumptionCookie is compressed .NET data (GZipSerialize), which only the bot that wrote it can read",
);
