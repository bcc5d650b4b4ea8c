//! The shapes of queue messages of this bot and of older bots.

/// The shape of a queue message: the JSON members that hold the address of the conversation and
/// the text of the alert.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Shape {
    /// The shape that this crate writes.
    #[default]
    Version1,
    /// The shape of Microsoft's 2017 bot template in Node.js: `{address, text}`.
    Node,
    /// The shape of Microsoft's 2017 bot template in C#, from its second version on: `{RelatesTo, Text}`.
    RelatesTo,
    /// The shape of the first version of the C# template: `{ResumptionCookie, Text}`.
    ResumptionCookie,
    /// The shape of Bot Framework Composer, and of the class `AzureQueueStorage` in Microsoft's SDK: an event
    /// activity with the name `ContinueConversation`.
    ContinueConversation,
}

impl Shape {
    /// Whether the shape is a shape of older bots.
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
