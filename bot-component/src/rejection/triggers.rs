//! Refusals of trigger activities. A *trigger* is an activity with an *envelope* (an alert as JSON). A
//! program has taken the envelope from the queue, and asks the bot to send the alert.

use thiserror::Error;

/// The reason why the bot does not send the alert of a trigger. The HTTP status is 403.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum TriggerRefusal {
    #[error(
        "envelope: expected a seal that this bot can check, because unsealedtriggers=refuse; send an \
         envelope that this bot sealed"
    )]
    NoSeal,
    #[error("envelope: the seal is not valid; send the envelope unchanged")]
    BrokenSeal,
    #[error("envelope: the seal is older than seven days; send a new alert")]
    OldSeal,
    #[error("envelope: the bot does not serve the tenant of the address; add the tenant to `tenants`")]
    TenantNotServed,
    #[error("envelope: the person has said `stop`; the bot sends nothing until the person says `start`")]
    Stopped,
    #[error("envelope: the person asked to be forgotten after the alert was accepted; send nothing")]
    Forgotten,
    #[error("envelope: the sender has cancelled the alert; send a new alert")]
    Cancelled,
    #[error("envelope: the alert has already ended; send a new alert")]
    Ended,
}

/// The reason why the bot could not deliver the alert of a trigger, or does not know whether the person got
/// the alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Undelivered {
    /// A later attempt can succeed.
    #[error("alert: not delivered for now; send the trigger again later")]
    ForNow,
    /// A later attempt fails, too.
    #[error("alert: not delivered, and the same trigger would fail again; the bot's log has the reason")]
    ForGood,
    /// The alert was perhaps delivered: the Connector's response was lost, or an earlier attempt has no
    /// recorded result. The bot does not send the alert again.
    #[error("alert: possibly delivered, so the bot does not send it again; look at the conversation")]
    Unsure,
}
