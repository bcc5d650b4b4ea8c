//! The errors of the readers.

use thiserror::Error;

use crate::{MAX_EVENTS, Shape};

/// The reason why the crate cannot make an alert from a payload (the body of a sender's request). The text is
/// for the person who set up the sender.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ShapeError {
    /// The body has bytes that are not UTF-8.
    #[error("body: expected UTF-8, found an invalid byte at index {at}; send UTF-8")]
    NotUtf8 {
        /// The index of the first byte that is not UTF-8, counted from 0.
        at: usize,
    },
    /// The body is broken JSON, or has more levels of nested objects and arrays than the parser accepts.
    #[error("body: the JSON is not valid at line {line}, column {column}; send valid JSON")]
    NotJson {
        /// The line of the fault, counted from 1.
        line: usize,
        /// The column of the fault, counted from 1.
        column: usize,
    },
    /// The body has none of the shapes (formats) that the crate knows.
    #[error(
        "body: no known shape; send {{\"text\": \"...\"}}, plain text, a MessageCard, an Adaptive Card, or the \
         format of Alertmanager, Grafana, Azure Monitor (common alert schema), Slack, GitHub, CloudEvents or \
         Event Grid"
    )]
    Unknown,
    /// A member or a header that the shape needs is missing.
    #[error("{member}: missing, and {shape} needs it; send it, or replace the source in the URL by `auto`")]
    Missing {
        /// The shape that the caller of [`read`](crate::read) named. If the caller named no shape, this is
        /// the shape that the crate recognised.
        shape: Shape,
        /// The member or header that is missing.
        member: &'static str,
    },
    /// The body has no text that a person could read, or the batch (an array of events) is empty.
    #[error("body: the {shape} payload has no text that a person could read; send a text or a title")]
    Empty {
        /// The shape of the body.
        shape: Shape,
    },
    /// The batch (an array of events) has more events than [`MAX_EVENTS`].
    #[error("body: expected at most {MAX_EVENTS} events, found {found}; send them in smaller batches")]
    TooMany {
        /// The number of events in the batch.
        found: usize,
    },
}
