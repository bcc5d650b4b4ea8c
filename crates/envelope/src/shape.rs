//! The shapes of queue messages.

/// The shape of a queue message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Shape {
    /// This crate's own shape.
    #[default]
    Version1,
    /// The Node.js template: `{address, text}`.
    Node,
    /// The C# template from its second version on: `{RelatesTo, Text}`.
    RelatesTo,
    /// The first C# template: `{ResumptionCookie, Text}`.
    ResumptionCookie,
    /// Composer and `AzureQueueStorage`: an event activity named `ContinueConversation`.
    ContinueConversation,
}

impl Shape {
    /// Whether an older bot wrote the message.
    pub fn is_legacy(self) -> bool {
        self != Self::Version1
    }

    /// The name of the shape in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Version1 => "version1",
            Self::Node => "node",
            Self::RelatesTo => "relatesTo",
            Self::ResumptionCookie => "resumptionCookie",
            Self::ContinueConversation => "continueConversation",
        }
    }
}
